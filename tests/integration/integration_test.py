#!/usr/bin/env python3
"""snarl as other tools meet it, from an installation of its own: integration_test.py --build FOLDER --source FOLDER [unittest's options]"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

BUILD = SOURCE = PREFIX = None


def environment(**more):
    drop = ("SNARL_", "GITHUB_", "CI_", "CTEST_", "CMAKE_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(drop) and k not in ("LD_PRELOAD", "NO_COLOR", "DASHBOARD_TEST_FROM_CTEST")}
    env["PATH"] = os.path.join(PREFIX, "bin") + ":" + env["PATH"]
    env["CMAKE_PREFIX_PATH"] = PREFIX
    env.update(more)
    return env


def run(*command, **kw):
    kw.setdefault("env", environment())
    kw.setdefault("timeout", 240)
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="snarl-integration-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def good(self, *command, status=0, **kw):
        p = run(*command, **kw)
        self.assertEqual(p.returncode, status, p.stdout)
        return p.stdout

    def project(self, *options):
        """The project, configured and built; its build folder."""
        build = self.path("build")
        self.good("cmake", "-S", os.path.join(SOURCE, "tests/integration/project"), "-B", build, *options)
        self.good("cmake", "--build", build)
        return build

    def program(self):
        self.good("cc", "-g", os.path.join(SOURCE, "tests/integration/project/locks.c"), "-DTANGLED", "-pthread", "-I",
                  os.path.join(PREFIX, "include"), "-o", self.path("tangled"))
        return self.path("tangled")


class CMake(Case):
    def test_snarl_add_test(self):
        build = self.project("-DSNARL_RESULTS=" + self.path("all results"))
        text = self.good("ctest", "--test-dir", build, "--output-on-failure", status=8)
        self.assertRegex(text, r"tidy/all \.+ +Passed")
        self.assertRegex(text, r"tangled \.+\*+Failed")
        self.assertIn("possible deadlock: first and b are taken in both orders", text)
        with open(self.path("all results", "tangled.json")) as f:
            self.assertEqual(len(json.load(f)["findings"]), 1)
        with open(os.path.join(build, "results", "tidy_all.json")) as f:
            doc = json.load(f)
        self.assertEqual(doc["run"]["command"][1:], ["an argument", "tangled"])

    def test_mistakes(self):
        for call, said in (("snarl_add_test(NAME x)", "NAME and COMMAND are needed"),
                           ("snarl_add_test(NAME x COMAND y COMMAND z)", "what is COMAND")):
            with open(self.path("CMakeLists.txt"), "w") as f:
                f.write(f"cmake_minimum_required(VERSION 3.25)\nproject(p NONE)\nfind_package(Snarl REQUIRED)\n{call}\n")
            p = run("cmake", "-S", self.folder, "-B", self.path("b"))
            self.assertNotEqual(p.returncode, 0)
            self.assertIn(said, re.sub(r"\s+", " ", p.stdout))

    def test_memcheck(self):
        """CTest's own memory check: the tangled test fails, its log has the report."""
        build = self.project("-DPLAIN=ON")
        self.good("ctest", "--test-dir", build) # not watched
        p = run("ctest", "--test-dir", build, "-T", "memcheck")
        self.assertNotEqual(p.returncode, 0, p.stdout)
        self.assertRegex(p.stdout, r"MemCheck #1: tangled \.+\**Failed")
        self.assertRegex(p.stdout, r"MemCheck #2: tidy \.+ +Passed")
        logs = os.path.join(build, "Testing/Temporary")
        with open(os.path.join(logs, "MemoryChecker.1.log")) as f:
            self.assertRegex(f.read(), r"^==\d+== snarl: possible deadlock: first and b")
        with open(os.path.join(logs, "MemoryChecker.2.log")) as f:
            self.assertEqual(f.read(), "")


class Valgrind(Case):
    def test_command_line(self):
        program = self.program()
        valgrind = os.path.join(PREFIX, "bin/snarl-valgrind")
        log = self.path("log %p")
        self.good(valgrind, "--log-file=" + log, "-q", "--tool=memcheck", "--leak-check=yes", "--show-reachable=yes", "--num-callers=50",
                  program, "--log-file=of the program", status=66)
        name, = (n for n in os.listdir(self.folder) if n.startswith("log "))
        self.assertRegex(name, r"^log \d+$")
        self.assertIn("possible deadlock", self.good(valgrind, "--error-exitcode=9", "--trace-children=no", program, status=9))
        self.assertEqual(self.good(valgrind, "-q", "/bin/sh", "-c", "exit 3", status=3), "")
        self.assertIn("which program", self.good(valgrind, "-q", status=2))
        self.assertIn("--error-exitcode", self.good(valgrind, "--help"))
        self.good(valgrind, "--log-file=/no/such/folder/x", "/bin/true", status=125)


class Meson(Case):
    @unittest.skipUnless(shutil.which("meson"), "there is no meson")
    def test_wrapper(self):
        shutil.copy(os.path.join(SOURCE, "tests/integration/project/locks.c"), self.folder)
        with open(self.path("meson.build"), "w") as f:
            f.write("project('user', 'c')\nt = dependency('threads')\ns = dependency('snarl')\n"
                    "test('tangled', executable('tangled', 'locks.c', c_args: '-DTANGLED', dependencies: [t, s]))\n"
                    "test('tidy', executable('tidy', 'locks.c', dependencies: [t, s]))\n")
        env = environment(PKG_CONFIG_PATH=os.path.join(PREFIX, "lib/pkgconfig"))
        self.good("meson", "setup", self.path("build"), self.folder, env=env)
        text = self.good("meson", "test", "-C", self.path("build"), "--wrapper", "snarl run --", status=1, env=env)
        self.assertRegex(text, r"tangled +FAIL")
        self.assertRegex(text, r"tidy +OK")


class GoogleTest(Case):
    """All of its tests pass: what fails is the lock order of one of them."""

    def setUp(self):
        super().setUp()
        if run("pkg-config", "--exists", "gtest_main").returncode:
            self.skipTest("there is no GoogleTest (Debian: libgtest-dev)")
        self.good("cmake", "-S", os.path.join(SOURCE, "tests/integration/gtest"), "-B", self.path("build"))
        self.good("cmake", "--build", self.path("build"))

    def found(self, name="result.json"):
        with open(self.path(name)) as f:
            return json.load(f)["findings"]

    def assert_tangled(self, finding):
        self.assertEqual(sorted(lock["class"].split(":")[-1] for lock in finding["locks"]), ["accounts", "journal"])
        functions = {f.get("name", f.get("function")) for e in finding["events"] for f in e["stack"]}
        self.assertLessEqual({"transfer", "audit"}, functions)

    def test_program(self):
        unit = self.path("build/unit")
        text = self.good("snarl", "run", "--json=" + self.path("result.json"), unit, status=66)
        self.assertIn("[  PASSED  ] 6 tests.", text)
        self.assert_tangled(*self.found())
        for style in ("fast", "threadsafe"):
            text = self.good("snarl", "run", "--json=" + self.path("result.json"), unit, "--gtest_filter=*Tidy*", "--gtest_death_test_style=" + style)
            self.assertIn("[  PASSED  ] 5 tests.", text)
            self.assertEqual(self.found(), [])

    def test_by_ctest(self):
        """Each test is a process of its own; one result for all of them."""
        text = self.good("snarl", "run", "--json=" + self.path("result.json"), "--", "ctest", "--test-dir", self.path("build"), status=66)
        self.assertIn("100% tests passed", text)
        self.assert_tangled(*self.found())


class Pytest(Case):
    def setUp(self):
        super().setUp()
        if run("/usr/bin/python3.11", "-c", "import pytest").returncode:
            self.skipTest("there is no pytest (Debian: python3-pytest)")
        shutil.copy(os.path.join(SOURCE, "tests/integration/pytest/test_locks.py"), self.folder)

    def pytest(self, *options, status):
        return self.good("snarl", "run", "--json=" + self.path("result.json"), "--", "/usr/bin/python3.11", "-m", "pytest", "-p", "no:cacheprovider",
                         *options, cwd=self.folder, status=status)

    def test_tests(self):
        text = self.pytest(status=66)
        self.assertIn("4 passed", text)
        self.assertRegex(text, r"possible deadlock: .*accounts.* and .*journal")
        with open(self.path("result.json")) as f:
            finding, = json.load(f)["findings"]
        functions = {f["function"] for e in finding["events"] for f in e["stack"]}
        self.assertLessEqual({"transfer", "audit"}, functions)
        self.assertTrue(any(f.get("file", "").endswith("test_locks.py") for e in finding["events"] for f in e["stack"]))

    def test_tidy(self):
        text = self.pytest("-k", "not tangled", status=0)
        self.assertIn("3 passed", text)
        with open(self.path("result.json")) as f:
            self.assertEqual(json.load(f)["findings"], [])

    def test_failing(self):
        """pytest's own status counts where there is no finding."""
        with open(self.path("test_locks.py"), "a") as f:
            f.write("\n\ndef test_wrong():\n    assert 1 == 2\n")
        self.pytest("-k", "wrong", status=1)


class PkgConfig(Case):
    def test_flags(self):
        env = environment(PKG_CONFIG_PATH=os.path.join(PREFIX, "lib/pkgconfig"))
        flags = self.good("pkg-config", "--cflags", "--libs", "snarl", env=env).split()
        self.assertEqual([os.path.realpath(f.removeprefix("-I")) for f in flags], [os.path.realpath(os.path.join(PREFIX, "include"))])
        self.good("cc", os.path.join(SOURCE, "tests/integration/project/locks.c"), *flags, "-DTANGLED", "-pthread", "-o", self.path("x"))
        self.assertIn("first and b", self.good("snarl", "run", self.path("x"), status=66))
        self.assertIn(self.good("pkg-config", "--modversion", "snarl", env=env).strip(), self.good("snarl", "--version"))
        library = self.good("pkg-config", "--variable=library", "snarl", env=env).strip()
        self.assertIn("first and b", self.good(self.path("x"), env=environment(LD_PRELOAD=library)))


class Ci(Case):
    """The commands that docs/ci.md shows, run as they stand there, in the project."""

    def block(self, heading):
        with open(os.path.join(SOURCE, "docs/ci.md")) as f:
            section = f.read().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
        return re.search(r"```yaml\n(.*?)```", section, flags=re.S).group(1)

    def checkout(self):
        shutil.copytree(os.path.join(SOURCE, "tests/integration/project"), self.path("tree"))
        with open(self.path("tree/CMakeLists.txt"), "r+") as f:
            text = f.read()
            f.seek(0)
            f.write("set(PLAIN ON)\n" + text)
        return self.path("tree")

    def test_github(self):
        tree = self.checkout()
        steps = re.findall(r"- name: ([^\n]*)\n +run: \|\n((?: {10}[^\n]*\n)+)", self.block("GitHub Actions"))
        self.assertEqual([name for name, _ in steps], ["Build", "Tests under snarl"])
        env = environment(GITHUB_WORKSPACE=tree, GITHUB_ACTIONS="true")
        self.good("bash", "-e", "-c", steps[0][1], cwd=tree, env=env)
        text = self.good("bash", "-e", "-c", steps[1][1], cwd=tree, env=env, status=66)
        self.assertRegex(text, r"(?m)^::error file=locks\.c,line=\d+,col=\d+,title=snarl: lock-order%2C possible::possible deadlock: first and b")
        with open(os.path.join(tree, "snarl.sarif")) as f:
            result, = json.load(f)["runs"][0]["results"]
        self.assertEqual(result["locations"][0]["physicalLocation"]["artifactLocation"], {"uri": "locks.c", "uriBaseId": "SRCROOT"})
        self.assertGreater(os.path.getsize(os.path.join(tree, "snarl.html")), 10000)

    def test_gitlab(self):
        tree, block = self.checkout(), self.block("GitLab")
        before, after = block.split("after_script:")
        env = environment(CI_PROJECT_DIR=tree)
        script, after = re.findall(r"- (.*)", before), re.findall(r"- (.*)", after.split("artifacts:")[0])
        self.assertEqual((len(script), len(after)), (3, 1))
        self.good("bash", "-e", "-c", "\n".join(script), cwd=tree, env=env, status=66)
        self.good("bash", "-c", "\n".join(after), cwd=tree, env=env, status=66)
        with open(os.path.join(tree, "gl-code-quality-report.json")) as f:
            issue, = json.load(f)
        self.assertEqual(issue["location"]["path"], "locks.c")
        self.assertEqual(ElementTree.parse(os.path.join(tree, "snarl.xml")).getroot().get("failures"), "1")
        for name in re.findall(r"snarl\.html|snarl\.xml|gl-code-quality-report\.json", block.split("artifacts:")[1]):
            self.assertTrue(os.path.exists(os.path.join(tree, name)), name)


class Completion(Case):
    def complete(self, *words, cwd=None):
        """What bash offers for the last word of a line, which readline has split at "=" too."""
        split = [part for word in words for part in re.findall(r"=|[^=]+", word) or [""]]
        script = (f"source '{PREFIX}/share/bash-completion/completions/snarl'\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\n_snarl 2>/dev/null\n"
                  "((${#COMPREPLY[@]})) && printf '%s\\n' \"${COMPREPLY[@]}\" || :")
        return sorted(self.good("bash", "--norc", "-c", script, "bash", "snarl", *split, cwd=cwd).split("\n")[:-1])

    def test_bash(self):
        self.assertEqual(self.complete("re"), ["report"])
        self.assertIn("graph", self.complete(""))
        self.assertEqual(self.complete("run", "--js"), ["--json="])
        self.assertEqual(self.complete("run", "--gi"), ["--github"])
        self.assertEqual(self.complete("run", "--on-deadlock="), ["abort", "break", "report"])
        self.assertEqual(self.complete("run", "--on-deadlock=b"), ["break"])
        self.assertEqual(self.complete("run", "--detect=deadlock,r"), ["deadlock,race"])
        self.assertEqual(self.complete("report", "--format=s"), ["sarif", "svg"])
        self.assertEqual(self.complete("graph", "--format="), ["dot", "svg", "text"])
        self.assertEqual(self.complete("graph", "--js"), [])
        self.assertEqual(self.complete("explain", "lock-o"), ["lock-order"])
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh"])
        for name in ("a b.json", "c.json"):
            open(self.path(name), "w").close()
        self.assertEqual(self.complete("report", "", cwd=self.folder), ["a b.json", "c.json"])
        self.assertEqual(self.complete("run", "--html=c", cwd=self.folder), ["c.json"])
        self.assertIn("true", self.complete("run", "--quiet", "tru"))
        self.assertEqual(self.complete("run", "--", "c.", cwd=self.folder), ["c.json"])

    def test_every_option(self):
        """Whatever --help shows is offered, and nothing else."""
        for verb in ("run", "report", "check", "merge", "graph", "inspect", "explain", "samples", "completion"):
            shown = set(re.findall(r"(?m)^ +(?:-\w, )?(--[\w-]+)", self.good("snarl", verb, "--help")))
            self.assertEqual({o.rstrip("=") for o in self.complete(verb, "--")}, shown, verb)

    def test_scripts(self):
        self.good("bash", "-n", os.path.join(PREFIX, "share/bash-completion/completions/snarl"))
        for shell, place in (("bash", "bash-completion/completions/snarl"), ("zsh", "zsh/vendor-completions/_snarl")):
            with open(os.path.join(PREFIX, "share", place)) as f:
                self.assertEqual(f.read(), self.good("snarl", "completion", shell))
        self.assertIn("did you mean 'bash'", self.good("snarl", "completion", "bsh", status=2))

    @unittest.skipUnless(shutil.which("zsh"), "there is no zsh")
    def test_zsh(self):
        script = os.path.join(PREFIX, "share/zsh/vendor-completions/_snarl")
        self.good("zsh", "-n", script)
        spec = "f() { _arguments() { print -rl -- \"$@\"; }; _files() {}; _describe() { print -rl -- $commands; }; source \"$1\"; }\n"
        text = self.good("zsh", "-f", "-c", spec + "words=(snarl run ''); CURRENT=3; f " + script)
        self.assertIn("--on-deadlock=[", text)
        self.assertIn("report:show a saved result again", self.good("zsh", "-f", "-c", spec + "words=(snarl ''); CURRENT=2; f " + script))


class Debian(Case):
    @unittest.skipUnless(shutil.which("dpkg-deb") and shutil.which("cpack"), "no tools for packages")
    def test_package(self):
        """Made, installed into a fresh root, run there, removed; nothing stays."""
        self.good("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-G", "DEB", "-B", self.path("made"), cwd=self.folder)
        package, = (n for n in os.listdir(self.path("made")) if n.endswith(".deb"))
        package = self.path("made", package)
        fields = dict(line.strip().split(": ", 1) for line in self.good("dpkg-deb", "-f", package).splitlines() if ": " in line)
        self.assertEqual((fields["Package"], fields["Architecture"]), ("snarl", "amd64"))
        for needed in ("libc6", "libdw1", "libjansson4"):
            self.assertIn(needed, fields["Depends"])
        root = self.path("root")
        for name in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "var/lib/dpkg/triggers", "etc"):
            os.makedirs(os.path.join(root, name))
        for name in ("status", "available"):
            open(os.path.join(root, "var/lib/dpkg", name), "w").close()
        dpkg = ("dpkg", "--root=" + root, "--force-not-root", "--force-depends", "--force-architecture", "--log=/dev/null")

        def files():
            return {os.path.relpath(os.path.join(d, n), root) for d, folders, names in os.walk(root) for n in names + folders
                    if not os.path.relpath(os.path.join(d, n), root).startswith("var/lib/dpkg")}
        before = files()
        self.good(*dpkg, "-i", package)
        env = environment(PATH=os.path.join(root, "usr/bin") + ":/usr/bin:/bin")
        text = self.good("snarl", "samples", "deadlock/two-threads", status=66, env=env)
        self.assertIn("deadlock: 2 threads wait for each other: lock_a and lock_b", text)
        self.assertIn("bug.c:", text) # not stripped
        self.assertIn("snarl.h", "".join(files()))
        self.good(*dpkg, "-P", "snarl")
        self.assertEqual(files(), before)


def main():
    global BUILD, SOURCE, PREFIX
    parser = argparse.ArgumentParser()
    for name in ("build", "source"):
        parser.add_argument("--" + name, required=True)
    options, rest = parser.parse_known_args()
    BUILD, SOURCE = options.build, options.source
    with tempfile.TemporaryDirectory(prefix="snarl-installed-") as folder:
        PREFIX = os.path.join(folder, "prefix")
        made = subprocess.run(["cmake", "--install", BUILD, "--prefix", PREFIX], capture_output=True, text=True)
        if made.returncode:
            sys.exit(made.stderr)
        unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
