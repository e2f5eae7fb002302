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

    def build_kinds(self, name, compiler, flags, lines):
        """tests/run/found/found.c: findings of all kinds, memory accesses among them."""
        if not shutil.which(compiler):
            self.skipTest("no " + compiler)
        folder = os.path.join(os.path.dirname(common.SOURCE), "../run")
        with open(os.path.join(folder, "found/found.c"), encoding="utf-8") as f:
            head, mark, tail = f.read().partition("static pthread_mutex_t a ")
        filler = "".join(f"/* line {i} */ extern int unused_{i};\n" for i in range(lines))
        source = self.write(name + "/found.c", head + filler + mark + tail)
        program = self.path(f"{name}/program-{name}")
        p = snarl("cc", "--with=" + compiler, *flags, "-pthread", "-I", os.path.join(folder, "cases"), source, "-o", program)
        self.assertEqual(p.returncode, 0, p.stderr)
        return program

    def test_kinds(self):
        """The same for each kind of finding: global and allocated memory, lost updates, misused locks, deadlocks that strike."""
        deeds = (("race",), ("heap",), ("lost",), ("misuse",), ("order",), ("deadlock",))
        first = {}
        for name, how in VARIANTS.items():
            program = self.build_kinds(name, *how)
            for deed in deeds:
                with self.subTest(variant=name, deed=deed):
                    ids = self.ids(program, *deed)
                    self.assertTrue(ids)
                    self.assertEqual(ids, first.setdefault(deed, ids))
        self.assertEqual(len({i for ids in first.values() for i in ids}), sum(map(len, first.values()))) # no two the same

    def test_another_machine(self):
        """Other paths, another host, another user's surroundings, other addresses."""
        wanted = self.ids(common.ORDERS, *MODES)
        elsewhere = self.path("home/somebody else/checkout")
        os.makedirs(elsewhere)
        shutil.copy(common.SOURCE, elsewhere)
        program, result = os.path.join(elsewhere, "app"), os.path.join(elsewhere, "r.json")
        subprocess.run(["gcc", "-g", "-O1", "-pthread", "orders.c", "-o", "app"], check=True, cwd=elsewhere)
        command = [common.SNARL, "run", "--quiet", "--json=" + result, "--", program, *MODES]
        env = common.clean_env(HOME=elsewhere, TMPDIR=elsewhere, LANG="de_DE.UTF-8", USER="somebody", LD_BIND_NOW="1")
        wrappers = [[], ["setarch", "-R"]]
        if subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode == 0:
            wrappers.append(["unshare", "--uts", "sh", "-c", 'hostname another-host && exec "$@"', "sh"])
        for wrapper in wrappers:
            p = subprocess.run([*wrapper, *command], capture_output=True, text=True, cwd=elsewhere, env=env, timeout=60)
            self.assertEqual(p.returncode, 66, p.stderr)
            self.assertEqual([f["id"] for f in load(result)["findings"]], wanted, wrapper)

    def test_other_threads(self):
        wanted = self.ids(common.ORDERS, *MODES)
        for modes in (("ba", "ab"), ("nothing", "nothing", "ba", "nothing", "ab"), ("alone:nothing", "ab", "ba"), ("ab", "ab", "ba", "ba")):
            self.assertEqual(self.ids(common.ORDERS, *modes), wanted, modes)

    def test_other_bug_other_id(self):
        self.assertNotEqual(self.ids(common.ORDERS, "gated_ab", "ba"), self.ids(common.ORDERS, *MODES))
        self.assertNotEqual(self.ids(common.ORDERS, "ab", "bc", "ca"), self.ids(common.ORDERS, *MODES))


if __name__ == "__main__":
    common.main()
