#!/usr/bin/env python3
"""`snarl cc` and `snarl c++` in the place of a compiler: what they build, with which tools, and how it runs."""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SNARL = LIBRARY = BUILD = None
HERE = os.path.dirname(os.path.abspath(__file__))
COMPILERS = {name: cxx for name, cxx in (("gcc", "g++"), ("clang", "clang++")) if shutil.which(name) and shutil.which(cxx)}


def environment(**more):
    drop = ("LD_PRELOAD", "LD_LIBRARY_PATH", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CPPFLAGS", "MAKEFLAGS", "MAKELEVEL")
    env = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k not in drop}
    env.update(more)
    return env


def run(*command, cwd=None, env=None, timeout=120):
    return subprocess.run(command, cwd=cwd, env=env or environment(), capture_output=True, text=True, timeout=timeout)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="snarl-cc-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def good(self, *command, **kw):
        p = run(*command, **kw)
        self.assertEqual(p.returncode, 0, f"{command}\n{p.stdout}\n{p.stderr}")
        return p

    def cc(self, compiler, *args, verb="cc", **kw):
        return self.good(SNARL, verb, "--with=" + compiler, *args, cwd=kw.pop("cwd", self.folder), **kw)

    def wrapped(self, compiler):
        """CC and CXX as a build is given them."""
        return f"{SNARL} cc --with={compiler}", f"{SNARL} c++ --with={COMPILERS[compiler]}"

    def both(self):
        self.assertTrue(COMPILERS)
        return COMPILERS

    def needed(self, file):
        return re.findall(r"NEEDED.*\[(.*)\]", self.good("readelf", "-dW", file).stdout)

    def check_built(self, file, calls=True):
        needed = self.needed(file)
        self.assertIn("libsnarl.so", needed)
        self.assertFalse([n for n in needed if "tsan" in n], needed)
        self.assertIn(os.path.dirname(LIBRARY), self.good("readelf", "-dW", file).stdout)
        symbols = self.good("nm", "-D", file).stdout
        self.assertNotRegex(symbols, r"(?m)^[0-9a-f]+ \w __tsan_")
        if calls:
            self.assertRegex(symbols, r"U __tsan_(read|write)")

    def check_runs(self, program, output):
        """Alone and under snarl run, watched both times."""
        p = self.good(program, cwd=self.folder)
        self.assertEqual((p.stdout, p.stderr), (output, ""))
        result = self.path("result.json")
        p = self.good(SNARL, "run", "--json=" + result, "--", program, cwd=self.folder)
        self.assertEqual(p.stdout, output)
        with open(result, encoding="utf-8") as f:
            document = json.load(f)
        self.assertEqual(document["run"]["accesses"], "compiled")
        self.assertNotIn("memory accesses not watched", p.stderr)


class Builds(Case):
    def check_project(self, folder, word, cxx=True):
        self.check_built(os.path.join(folder, "program"))
        self.check_runs(os.path.join(folder, "program"), word + " 2000\n")
        if cxx:
            self.check_built(os.path.join(folder, "program-cxx"))
            self.check_runs(os.path.join(folder, "program-cxx"), word + " thrown 40\n")

    def test_make(self):
        for compiler in self.both():
            source = self.path(compiler)
            shutil.copytree(os.path.join(HERE, "project"), source)
            cc, cxx = self.wrapped(compiler)
            folder = os.path.join(source, "make")
            self.good("make", "CC=" + cc, "CXX=" + cxx, cwd=folder)
            self.check_project(folder, "made")
            self.check_built(os.path.join(folder, "libpart.so"))

    def test_cmake(self):
        for compiler in self.both():
            cc, cxx = self.wrapped(compiler)
            folder = self.path(compiler)
            self.good("cmake", "-S", os.path.join(HERE, "project/cmake"), "-B", folder, "-DCMAKE_BUILD_TYPE=Release",
                      env=environment(CC=cc, CXX=cxx))
            self.good("cmake", "--build", folder, env=environment(CC=cc, CXX=cxx))
            self.check_project(folder, "built")
            self.check_built(os.path.join(folder, "libpart.so"))

    def test_configure(self):
        for compiler in self.both():
            folder = self.path(compiler)
            os.mkdir(folder)
            self.good(os.path.join(HERE, "project/configure/configure"), cwd=folder, env=environment(CC=self.wrapped(compiler)[0]))
            self.good("make", cwd=folder)
            self.check_project(folder, "configured", cxx=False)

    def test_atomics(self):
        for compiler in self.both():
            for level in ("-O0", "-O2"):
                self.cc(compiler, "-g", level, "-Wall", "-Werror", os.path.join(HERE, "atomics.c"), "-o", "atomics", "-pthread")
                self.check_built(self.path("atomics"))
                for command in ([], [SNARL, "run", "--quiet"], [SNARL, "run", "--quiet", "--accesses=none"]):
                    p = self.good(*command, self.path("atomics"))
                    self.assertRegex(p.stdout, r"^\d+ checked, 0 wrong\n$")

    def test_surroundings(self):
        """What libc's functions do for a module counts, however its constructor calls the library."""
        for compiler in self.both():
            for more in ([], ["-fplt"], ["-O0"]):
                self.write("part.c", PART)
                self.write("main.c", "int go(void);\nint main(void) { return go(); }\n")
                flags = ["-g", "-O2", "-fno-builtin", "-pthread", *more]
                self.cc(compiler, *flags, "-shared", "-fPIC", "part.c", "-o", "libpart.so")
                for name, files in (("whole", ["part.c", "main.c"]), ("parts", ["main.c", "./libpart.so", "-Wl,-rpath," + self.folder])):
                    self.cc(compiler, *flags, *files, "-o", name)
                    p = run(SNARL, "run", "--json=result.json", "--", self.path(name), cwd=self.folder)
                    with open(self.path("result.json"), encoding="utf-8") as f:
                        found = json.load(f)["findings"]
                    functions = {e["stack"][0]["function"] for f in found for e in f["events"]}
                    self.assertEqual((p.returncode, [f["kind"] for f in found], functions), (66, ["data-race"], {"part"}))


PART = """#include <pthread.h>
#include <string.h>
long buffer[1];
void *part(void *arg) { memset(buffer, 1, *(int *)arg); return 0; }
int go(void)
{
    int size = sizeof buffer;
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], 0, part, &size);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], 0);
    return 0;
}
"""

SMALL = """#include <stdio.h>
int value = 3;
int step(void) { return value++; }
int main(void) { step(); printf("%d\\n", value); return 0; }
"""


class Commands(Case):
    def setUp(self):
        super().setUp()
        self.write("a.c", SMALL)

    def test_one_command(self):
        for compiler in self.both():
            for args in (["a.c"], ["-O3", "-o", "a.out", "a.c"], ["-no-pie", "a.c"], ["-x", "c", "a.c"], ["-pipe", "-g3", "a.c"]):
                self.cc(compiler, *args)
                self.check_built(self.path("a.out"))
                self.check_runs(self.path("a.out"), "4\n")

    def test_steps_before_the_link(self):
        for compiler in self.both():
            clean = {"-Werror"} if compiler == "gcc" else {"-Werror", "-Wunused-command-line-argument"}
            self.cc(compiler, *clean, "-S", "-O2", "a.c")
            with open(self.path("a.s"), encoding="utf-8") as f:
                code = f.read()
            self.assertRegex(code, "__tsan_(read_)?write4")
            self.assertIn("__tsan_func_entry", code)  # accesses with one stack are told apart by these
            if compiler == "gcc":
                self.assertIn("*__tsan_write4@GOTPCREL", code)
            self.cc(compiler, *clean, "-c", "a.s")
            self.assertIn("main", self.cc(compiler, *clean, "-E", "a.c").stdout)
            self.assertIn("a.o:", self.cc(compiler, *clean, "-M", "a.c").stdout)
            self.cc(compiler, *clean, "-fsyntax-only", "a.c")
            self.cc(compiler, *clean, "a.o", "-o", "a")
            self.check_runs(self.path("a"), "4\n")

    def test_response_file(self):
        self.write("args", "-c\n-o 'b c.o' a.c")
        for compiler in self.both():
            self.cc(compiler, "-Werror", "@args")
            self.cc(compiler, "b c.o", "-o", "b")
            self.check_runs(self.path("b"), "4\n")

    def test_link_time_optimisation(self):
        self.write("b.c", "int value = 3; int step(void) { return value++; }")
        self.write("m.c", SMALL.replace("int value = 3", "extern int value").replace("{ return value++; }", ";"))
        for compiler in self.both():
            linker = [] if compiler == "gcc" else ["-fuse-ld=lld"]
            if run(compiler, "-flto", *linker, "a.c", cwd=self.folder).returncode:
                continue  # no linker for it
            self.cc(compiler, "-flto", "-O2", "-c", "m.c", "b.c")
            self.cc(compiler, "-flto", "-O2", *linker, "m.o", "b.o", "-o", "m")
            self.check_built(self.path("m"))
            self.check_runs(self.path("m"), "4\n")
            self.cc(compiler, "-flto", "-O2", *linker, "m.c", "b.c", "-o", "m")
            self.check_built(self.path("m"))

    def test_precompiled_header(self):
        self.write("h.h", "#include <stdio.h>\n")
        self.write("use.c", SMALL.replace("<stdio.h>", '"h.h"'))
        for compiler, output in (("gcc", "h.h.gch"), ("clang", "h.h.pch")):
            if compiler not in COMPILERS:
                continue
            self.cc(compiler, "-Werror", "-x", "c-header", "h.h", "-o", output)
            self.cc(compiler, "-Werror", "-Winvalid-pch", *(["-include-pch", output] if compiler == "clang" else []), "use.c", "-o", "use")
            self.check_runs(self.path("use"), "4\n")

    def test_fences_do_not_warn(self):
        self.write("f.c", "int main(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); return 0; }")
        for compiler in self.both():
            self.cc(compiler, "-Wall", "-Wextra", "-Werror", "f.c")

    def test_partial_link(self):
        for compiler in self.both():
            self.cc(compiler, "-c", "a.c")
            self.cc(compiler, "-r", "-nostdlib", "a.o", "-o", "part.o")
            self.cc(compiler, "part.o", "-o", "a")
            self.check_runs(self.path("a"), "4\n")

    def test_other_linkers(self):
        for compiler in self.both():
            for linker in ("bfd", "gold", "lld"):
                if shutil.which("ld." + linker):
                    self.cc(compiler, "-fuse-ld=" + linker, "-Wl,--as-needed", "-Wl,-z,defs", "a.c", "-o", "a")
                    self.check_built(self.path("a"))
                    self.check_runs(self.path("a"), "4\n")

    def test_not_instrumented_on_demand(self):
        for compiler in self.both():
            self.cc(compiler, "-fno-sanitize=thread", "a.c", "-o", "a")
            self.check_built(self.path("a"), calls=False)

    def test_undefined_behaviour_sanitizer_goes_along(self):
        for compiler in self.both():
            if run(compiler, "-fsanitize=undefined", "a.c", cwd=self.folder).returncode:
                continue  # no runtime for it
            for sanitizer in ("undefined", "undefined,thread", "thread"):
                self.cc(compiler, "-fsanitize=" + sanitizer, "a.c", "-o", "a")
                self.check_built(self.path("a"))
                self.assertEqual(self.good(self.path("a")).stdout, "4\n")

    def test_refused(self):
        for args, word in ((["-static", "a.c"], "static"), (["-static-pie", "a.c"], "static"),
                           (["-fsanitize=address", "-c", "a.c"], "address"), (["-fsanitize=leak", "a.c"], "leak")):
            p = run(SNARL, "cc", *args, cwd=self.folder)
            self.assertEqual((p.returncode, p.stdout), (2, ""), p.stderr)
            self.assertIn(word, p.stderr)
        self.assertFalse(os.path.exists(self.path("a.out")))

    def test_status_and_messages_are_the_compilers(self):
        self.write("bad.c", "int main(void) { return }")
        for compiler in self.both():
            for args in (["-c", "bad.c"], ["-c", "missing.c"], ["--no-such-option", "-c", "a.c"]):
                plain, ours = run(compiler, *args, cwd=self.folder), run(SNARL, "cc", "--with=" + compiler, *args, cwd=self.folder)
                self.assertEqual((ours.returncode, ours.stdout, ours.stderr), (plain.returncode, plain.stdout, plain.stderr))

    def test_questions_go_on(self):
        for compiler in self.both():
            for args in (["--version"], ["-v"], ["-dumpmachine"], ["-print-file-name=libc.so"], ["-print-search-dirs"], ["-v", "--help"]):
                plain, ours = run(compiler, *args), run(SNARL, "cc", "--with=" + compiler, *args)
                self.assertEqual((ours.returncode, ours.stdout), (plain.returncode, plain.stdout), args)


class Choice(Case):
    def version(self, *args, **env):
        return self.good(SNARL, *args, "--version", env=environment(**env)).stdout

    def plain(self, compiler):
        return self.good(compiler, "--version").stdout

    def test_choice(self):
        if len(COMPILERS) < 2:
            self.skipTest("needs gcc and clang")
        gcc, clang, gxx, clangxx = map(self.plain, ("gcc", "clang", "g++", "clang++"))
        self.assertEqual(self.version("cc"), gcc)
        self.assertEqual(self.version("c++"), gxx)
        self.assertEqual(self.version("cc", CC="clang"), clang)
        self.assertEqual(self.version("c++", CC="clang"), gxx)
        self.assertEqual(self.version("c++", CXX="clang++"), clangxx)
        self.assertEqual(self.version("cc", "--with=gcc", CC="clang"), gcc)
        self.assertEqual(self.version("cc", "--with", "clang"), clang)
        self.assertEqual(self.version("cc", "clang", CC="gcc"), clang)
        self.assertEqual(self.version("cc", shutil.which("clang")), clang)
        self.assertEqual(self.version("cc", CC=SNARL + " cc"), gcc)

    def test_a_script_around_snarl_does_not_call_itself(self):
        script = self.write("mycc", f'#!/bin/sh\nexec {SNARL} cc "$@"\n')
        os.chmod(script, 0o755)
        self.assertEqual(self.good(script, "--version", env=environment(CC=script)).stdout, self.plain("gcc"))

    def test_a_compiler_named_cc(self):
        for compiler in self.both():
            link = self.path("cc")
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink(shutil.which(compiler), link)
            self.write("a.c", SMALL)
            self.cc(link, "a.c")
            self.check_built(self.path("a.out"))

    def test_troubles(self):
        self.write("a.c", SMALL)
        for args, status in (([], 2), (["--with="], 2), (["--with"], 2), (["--with=/no/such/gcc", "a.c"], 127), (["--with=/bin/true", "a.c"], 125)):
            p = run(SNARL, "cc", *args, cwd=self.folder)
            self.assertEqual(p.returncode, status, f"{args} {p.stderr}")
            self.assertTrue(p.stderr)
        self.assertEqual(run(SNARL, "cc", "a.c", cwd=self.folder, env=environment(PATH="/nowhere")).returncode, 125)

    def test_help(self):
        for args in (["cc", "--help"], ["help", "cc"], ["c++", "--help"], ["help", "c++"]):
            p = self.good(SNARL, *args)
            self.assertIn("--with", p.stdout)
            self.assertRegex(p.stdout, r"(?s)Examples:.*snarl cc")
        self.assertIn("  cc ", self.good(SNARL, "--help").stdout)


MAPS = """#include <stdio.h>
#include <string.h>
int main(void) {
    char line[4096], last[4096] = "";
    int n = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, f)) {
        char *path = strchr(line, '/');
        if (path && strstr(path, "libsnarl") && strcmp(path, last)) { n++; strcpy(last, path); }
    }
    printf("%d %s", n, last);
    return 0;
}
"""


class Runs(Case):
    def library_and_host(self):
        """A library that is built to be watched, and a program that is not and loads it."""
        self.write("lib.c", "int shared; int touch(void) { return ++shared; }")
        self.cc("gcc", "-g", "-shared", "-fPIC", "lib.c", "-o", "lib.so")
        self.write("host.c", '#include <dlfcn.h>\n#include <stdio.h>\nint main(void) { void *l = dlopen("./lib.so", RTLD_NOW);'
                   'if (!l) { puts(dlerror()); return 1; } printf("%d\\n", ((int (*)(void))dlsym(l, "touch"))()); return 0; }')
        self.good("gcc", "host.c", "-o", "host", "-ldl", cwd=self.folder)

    def test_an_installed_copy(self):
        """A program linked to one copy of the library, run by another: one of them is loaded, that of the command."""
        prefix = self.path("installed")
        self.good("cmake", "--install", BUILD, "--prefix", prefix)
        other = os.path.join(prefix, "lib/snarl/libsnarl.so")
        self.write("maps.c", MAPS)
        self.cc("gcc", "maps.c", "-o", "maps")
        self.assertEqual(self.good(self.path("maps")).stdout, f"1 {LIBRARY}\n")
        self.assertEqual(self.good(SNARL, "run", "--quiet", self.path("maps")).stdout, f"1 {LIBRARY}\n")
        installed = os.path.join(prefix, "bin/snarl")
        self.assertEqual(self.good(installed, "run", "--quiet", self.path("maps")).stdout, f"1 {other}\n")
        for compiler in self.both():
            self.good(installed, "cc", "--with=" + compiler, "maps.c", "-o", "maps", cwd=self.folder)
            self.assertEqual(self.good(self.path("maps")).stdout, f"1 {other}\n")

    def test_a_library_in_a_program_that_is_not_built_so(self):
        self.library_and_host()
        p = self.good(self.path("host"), cwd=self.folder)
        self.assertEqual(p.stdout, "1\n")
        self.assertRegex(p.stderr, r"^snarl: not watching [^\n]*snarl run`\n$")
        p = self.good(SNARL, "run", "--json=result.json", "./host", cwd=self.folder)
        with open(self.path("result.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["run"]["accesses"], "compiled")

    def test_accesses_option(self):
        self.write("a.c", SMALL)
        self.cc("gcc", "a.c", "-o", "a")
        for how, status, accesses in (("auto", 0, "compiled"), ("compiled", 0, "compiled"), ("none", 0, "none")):
            p = run(SNARL, "run", "--accesses=" + how, "--json=r.json", "./a", cwd=self.folder)
            with open(self.path("r.json"), encoding="utf-8") as f:
                self.assertEqual((p.returncode, json.load(f)["run"]["accesses"]), (status, accesses))
            self.assertNotIn("snarl cc", p.stderr)
        p = run(SNARL, "run", "--accesses=compiled", "/bin/true")
        self.assertEqual(p.returncode, 125)
        self.assertRegex(p.stderr.splitlines()[-1], r"snarl cc")
        p = run(SNARL, "run", "/bin/true")
        self.assertEqual(p.returncode, 0)
        self.assertRegex(p.stderr.splitlines()[-1], r"snarl cc")
        self.assertNotIn("snarl cc", run(SNARL, "run", "--accesses=none", "/bin/true").stderr)

    def test_as_a_child(self):
        self.write("a.c", SMALL)
        self.cc("gcc", "a.c", "-o", "a")
        p = self.good(SNARL, "run", "--json=r.json", "--", "/bin/sh", "-c", "./a; ./a", cwd=self.folder)
        with open(self.path("r.json"), encoding="utf-8") as f:
            r = json.load(f)["run"]
        self.assertEqual((p.stdout, r["accesses"], r["processes"], r["losses"]), ("4\n4\n", "compiled", 3, []))

    def test_a_real_sanitizer_stays_one(self):
        """Refused by the command; with the library alone it runs and works as if that were not there."""
        self.write("race.c", "#include <pthread.h>\nint x; void *f(void *a) { x++; return a; }\n"
                   "int main(void) { pthread_t t; pthread_create(&t, 0, f, 0); x++; pthread_join(t, 0); return 0; }\n")
        for compiler in self.both():
            if run(compiler, "-g", "-fsanitize=thread", "race.c", "-o", "race", cwd=self.folder).returncode:
                self.skipTest("no runtime of the compiler's")
            if run(self.path("race")).returncode not in (0, 66):
                self.skipTest("the runtime does not work on this system")
            p = run(SNARL, "run", self.path("race"))
            self.assertEqual(p.returncode, 125)
            self.assertIn("ThreadSanitizer", p.stderr)
            p = run(self.path("race"), env=environment(LD_PRELOAD=LIBRARY))
            self.assertIn(p.returncode, (0, 66), p.stderr)
            self.assertIn("not watching", p.stderr)


def main():
    global SNARL, LIBRARY, BUILD
    ap = argparse.ArgumentParser()
    ap.add_argument("--snarl", required=True)
    ap.add_argument("--library", required=True)
    ap.add_argument("--build", required=True)
    args, rest = ap.parse_known_args()
    SNARL, LIBRARY, BUILD = (os.path.realpath(p) for p in (args.snarl, args.library, args.build))
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
