#!/usr/bin/env python3
"""Ids of findings, and lines of a baseline, outlive unrelated change: ids_test.py --snarl SNARL --orders PROGRAM [unittest's options]"""
import os
import shutil
import subprocess

import common
from common import Case, load, orders, snarl

MODES = ("ab", "ba")
# What is changed: compiler, flags, and what happens to the source.
VARIANTS = {
    "gcc": ("gcc", ["-g", "-O1"], 0),
    "gcc_O0": ("gcc", ["-g", "-O0"], 0),
    "gcc_O2": ("gcc", ["-g", "-O2"], 0),
    "clang": ("clang", ["-g", "-O1"], 0),
    "clang_O2": ("clang", ["-g", "-O2"], 0),
    "pie": ("gcc", ["-g", "-O1", "-pie", "-fPIE"], 0),
    "no_pie": ("gcc", ["-g", "-O1", "-no-pie", "-fno-pie"], 0),
    "fifty_lines": ("gcc", ["-g", "-O1"], 50),
    "dwarf4": ("gcc", ["-gdwarf-4", "-O1"], 0),
}


class Ids(Case):
    def build(self, name, compiler, flags, lines):
        if not shutil.which(compiler):
            self.skipTest("no " + compiler)
        with open(common.SOURCE, encoding="utf-8") as f:
            text = f.read()
        # The file is called the same: file-local locks are known by it.
        os.makedirs(self.path(name))
        head, mark, tail = text.partition("static pthread_mutex_t a ")
        filler = "".join(f"/* line {i} */ extern int unused_{i};\n" for i in range(lines))
        source = self.write(name + "/orders.c", head + filler + mark + tail)
        program = self.path(f"{name}/program-{name}")
        subprocess.run([compiler, *flags, "-pthread", source, "-o", program], check=True, capture_output=True)
        return program

    def ids(self, program, *modes):
        return sorted(f["id"] for f in load(common.result_of(program, *modes))["findings"])

    def test_variants(self):
        wanted = self.ids(common.ORDERS, *MODES)
        self.assertEqual(len(wanted), 1)
        baseline = self.path("base")
        self.assertEqual(snarl("check", "--baseline=" + baseline, "--update", orders(*MODES)).returncode, 0)
        for name, how in VARIANTS.items():
            with self.subTest(name):
                program = self.build(name, *how)
                self.assertEqual(self.ids(program, *MODES), wanted)
                p = snarl("check", "--baseline=" + baseline, "--strict", common.result_of(program, *MODES))
                self.assertEqual(p.returncode, 0, p.stdout + p.stderr)

    def test_other_threads(self):
        wanted = self.ids(common.ORDERS, *MODES)
        for modes in (("ba", "ab"), ("nothing", "nothing", "ba", "nothing", "ab"), ("alone:nothing", "ab", "ba"), ("ab", "ab", "ba", "ba")):
            self.assertEqual(self.ids(common.ORDERS, *modes), wanted, modes)

    def test_other_bug_other_id(self):
        self.assertNotEqual(self.ids(common.ORDERS, "gated_ab", "ba"), self.ids(common.ORDERS, *MODES))
        self.assertNotEqual(self.ids(common.ORDERS, "ab", "bc", "ca"), self.ids(common.ORDERS, *MODES))


if __name__ == "__main__":
    common.main()
