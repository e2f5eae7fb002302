#!/usr/bin/env python3
"""Holds <snarl/snarl.h> to what it promises: header_test.py --include DIR --library libsnarl.so

Every C and C++ standard from C99 and C++98 on compiles it without a warning, with gcc and clang; a program built with it runs the same with
and without the library, however it was compiled and linked, and finds the library where there is one.

Exit status: 0 as promised, 1 not.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent / "header"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-pedantic-errors", "-Werror", "-Wshadow", "-Wconversion", "-Wcast-qual", "-Wundef"]
C = {"standards": ["c99", "c11", "gnu17"], "compilers": ["gcc", "clang"], "warnings": ["-Wstrict-prototypes", "-Wc++-compat"], "suffix": "c"}
CXX = {"standards": ["c++98", "c++11", "c++20"], "compilers": ["g++", "clang++"],
       "warnings": ["-Wold-style-cast", "-Wzero-as-null-pointer-constant"], "suffix": "cc"}
# How it may be compiled and linked, and whether a preloaded library can be found then.
BUILDS = [("-O0", True), ("-O2", True), ("-O2 -fno-pic -no-pie", True), ("-O0 -fno-pic -no-pie", True), ("-O2 -fno-plt", True),
          ("-O2 -flto", True), ("-masm=intel", True), ("-mcmodel=medium", True), ("-fvisibility=hidden -Wl,-z,now -Wl,-z,defs", True),
          ("-fuse-ld=gold -fno-pic -no-pie", True), ("-fuse-ld=lld -fno-pic -no-pie", True), ("-static", False), ("-static-pie", False),
          ("-DSNARL_NO_ANNOTATIONS", False)]


class Tester:
    def __init__(self, opts, folder):
        self.opts, self.folder, self.faults = opts, folder, 0

    def fault(self, text):
        self.faults += 1
        print(text)

    def build(self, command, output):
        p = subprocess.run(command + ["-I" + self.opts.include, "-o", output], capture_output=True, text=True, check=False)
        if p.returncode:
            self.fault(f"{' '.join(command)}:\n{p.stderr}")
        return p.returncode == 0

    def run(self, what, command, preload, want):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k != "LD_PRELOAD"}
        if preload:
            env["LD_PRELOAD"] = self.opts.library
        p = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
        if p.returncode or p.stdout.strip() != want:
            self.fault(f"{what}: ends with {p.returncode} and says {p.stdout.strip()!r}, expected {want!r}\n{p.stderr}")

    def standards(self, language):
        source = self.folder / ("use." + language["suffix"])
        source.write_text((HERE / "use.c").read_text())
        for compiler in filter(shutil.which, language["compilers"]):
            for standard in language["standards"]:
                for more in ["-O0"], ["-O2"], ["-O2", "-DSNARL_NO_ANNOTATIONS"]:
                    self.build([compiler, "-std=" + standard, "-c"] + WARNINGS + language["warnings"] + more + [str(source)],
                               str(self.folder / "use.o"))

    def builds(self, compiler):
        program = str(self.folder / "use")
        for flags, found in BUILDS:
            linker = next((f[9:] for f in flags.split() if f.startswith("-fuse-ld=")), None)
            if linker and not shutil.which("ld." + linker):
                continue
            what = compiler + " " + flags
            if self.build([compiler] + flags.split() + [str(HERE / "use.c")], program):
                self.run(what, [program], False, "not watched")
                self.run(what + ", preloaded", [program], True, "watched" if found else "not watched")

    def module(self, compiler):
        module, program = str(self.folder / "module.so"), str(self.folder / "load")
        if (self.build([compiler, "-shared", "-fPIC", "-DMODULE", str(HERE / "use.c")], module)
                and self.build([compiler, str(HERE / "load.c"), "-ldl"], program)):
            self.run("a module", [program, module], False, "not watched")
            self.run("a module, preloaded", [program, module], True, "watched")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("--include", required=True)
    ap.add_argument("--library", required=True)
    with tempfile.TemporaryDirectory(prefix="snarl-header-") as folder:
        tester = Tester(ap.parse_args(), pathlib.Path(folder))
        tester.standards(C)
        tester.standards(CXX)
        for compiler in filter(shutil.which, C["compilers"]):
            tester.builds(compiler)
            tester.module(compiler)
    return 1 if tester.faults else 0


if __name__ == "__main__":
    sys.exit(main())
