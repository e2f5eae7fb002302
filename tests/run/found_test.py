#!/usr/bin/env python3
"""What happens at a finding: --halt, --gdb. found_test.py --snarl SNARL --library LIBSNARL --source FOLDER [unittest's options]

Each is tried beside its twin: a finding that does not count, or a program without any.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SNARL = LIBRARY = SOURCE = scratch = None


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k not in ("LD_PRELOAD", "NO_COLOR")}
    env.update(HOME=scratch, **more) # without a .gdbinit
    return env


def run(*command, stdin="", env=None, **kw):
    return subprocess.run(command, input=stdin, capture_output=True, text=True, errors="replace", timeout=120, env=env or clean_env(), **kw)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program = os.path.join(scratch, "found")
        if os.path.exists(cls.program):
            return
        p = run(SNARL, "cc", "gcc", "-g", "-O1", "-pthread", "-I", os.path.join(SOURCE, "cases"), os.path.join(SOURCE, "found/found.c"),
                "-o", cls.program)
        if p.returncode:
            raise AssertionError(p.stderr)

    def path(self, name):
        return os.path.join(scratch, self.id().split(".")[-1] + "-" + name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def result(self, *options, deeds, status, **kw):
        """What it printed, and the result."""
        out = self.path("out.json")
        p = run(SNARL, "run", "--json=" + out, *options, "--", self.program, *deeds, **kw)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        with open(out, encoding="utf-8") as f:
            return p, json.load(f)


NOTE = "the program was ended at its first finding (--halt)"


class Halt(Case):
    def test_each_kind(self):
        for deed, kind in (("race", "data-race"), ("heap", "data-race"), ("lost", "atomicity"), ("order", "lock-order"), ("misuse", "lock-misuse"),
                           ("deadlock", "deadlock")):
            with self.subTest(deed):
                p, doc = self.result("--halt", deeds=("one_order", "no_race", deed, "end"), status=66)
                self.assertEqual(p.stdout, "did one_order\ndid no_race\n")
                self.assertIn(kind, [f["kind"] for f in doc["findings"] if f["counts"]])
                self.assertEqual(doc["run"]["notes"].count(NOTE), 1)
                self.assertTrue(doc["run"]["options"]["halt"])
                self.assertIn(NOTE, p.stderr)
                stack = doc["findings"][0]["events"][0]["stack"]
                self.assertTrue(any(f.get("line") for f in stack), stack)

    def test_without_it(self):
        p, doc = self.result(deeds=("order", "misuse", "end"), status=66)
        self.assertEqual(p.stdout, "did order\ndid misuse\n")
        self.assertEqual(doc["run"]["notes"], [])
        self.assertNotIn("halt", doc["run"]["options"])

    def test_nothing_found(self):
        p, doc = self.result("--halt", deeds=("one_order", "no_race", "end"), status=3)
        self.assertEqual((p.stdout, doc["findings"], doc["run"]["notes"]), ("did one_order\ndid no_race\n", [], []))

    def test_what_does_not_count(self):
        """Suppressed, accepted, or not asked for by --fail-on: the program goes on, to the first finding that does count."""
        p, doc = self.result(deeds=("order",), status=66)
        baseline = self.write("baseline", f"# snarl lock order baseline 1\naccept {doc['findings'][0]['id']}\n")
        suppressions = self.write("suppressions", "deadlock:^ab$\n")
        for option in ("--baseline=" + baseline, "--suppressions=" + suppressions, "--fail-on=lock-misuse"):
            with self.subTest(option):
                p, doc = self.result("--halt", option, deeds=("order", "end"), status=3)
                self.assertEqual((p.stdout, len(doc["findings"]), doc["run"]["notes"]), ("did order\n", 1, []))
                p, doc = self.result("--halt", option, deeds=("order", "misuse", "end"), status=66)
                self.assertEqual((p.stdout, len(doc["findings"]), doc["run"]["notes"]), ("did order\n", 2, [NOTE]))

    def test_other_processes_end_too(self):
        p, doc = self.result("--halt", deeds=("child", "end"), status=66)
        self.assertEqual(p.stdout, "")
        self.assertEqual(doc["run"]["processes"], 2)
        self.assertEqual(len(doc["findings"]), 1)

    def test_found_from_outside(self):
        """A hang that only `snarl run` sees ends the program although --on-deadlock would leave it hanging."""
        p, doc = self.result("--halt", "--on-deadlock=report", deeds=("no_race", "pipe", "end"), status=66)
        self.assertEqual(p.stdout, "did no_race\n")
        self.assertEqual([f["kind"] for f in doc["findings"]], ["stuck"])

    def test_exit_code(self):
        self.result("--halt", "--exit-code=7", deeds=("order", "end"), status=7)
        p, doc = self.result("--halt", "--exit-code=0", deeds=("order", "end"), status=0)
        self.assertEqual((p.stdout, doc["run"]["notes"]), ("", [NOTE]))

    def test_snarl_options(self):
        p, doc = self.result(deeds=("order", "end"), status=66, env=clean_env(SNARL_OPTIONS="halt"))
        self.assertEqual((p.stdout, doc["run"]["notes"]), ("", [NOTE]))
        p, doc = self.result(deeds=("order", "end"), status=66, env=clean_env(SNARL_OPTIONS="halt=no"))
        self.assertEqual((p.stdout, doc["run"]["notes"]), ("did order\n", []))

    def test_library_alone(self):
        out = self.path("alone.json")
        for deeds, status, printed in ((("order", "end"), 66, ""), (("misuse", "end"), 66, ""), (("one_order", "end"), 3, "did one_order\n")):
            p = run(self.program, *deeds, env=clean_env(LD_PRELOAD=LIBRARY, SNARL_OPTIONS=f"halt:json='{out}'"))
            self.assertEqual((p.returncode, p.stdout), (status, printed), p.stderr)
            with open(out, encoding="utf-8") as f:
                doc = json.load(f)
            self.assertEqual((len(doc["findings"]), doc["run"]["notes"]), (1, [NOTE]) if status == 66 else (0, []))

    def test_nobody_answers(self):
        """`snarl run` was killed: the program waits for nobody, and is not ended."""
        script = self.write("kill.sh", 'kill -KILL "$PPID"; exec "$@"\n')
        p = subprocess.Popen([SNARL, "run", "--halt", "--", "sh", script, self.program, "order", "end"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, env=clean_env(TMPDIR=scratch))
        self.assertEqual(p.communicate(timeout=100)[0], "did order\n")


@unittest.skipUnless(shutil.which("gdb"), "there is no gdb")
class Gdb(Case):
    def gdb(self, *options, deeds, say="", status=None, **kw):
        """Output of gdb and the program up to the report at the end, and that report."""
        log = self.path("log")
        p = run(SNARL, "run", "--gdb", "--log=" + log, *options, "--", self.program, *deeds, stdin=say, **kw)
        if status is not None:
            self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        with open(log, encoding="utf-8") as f:
            return p.stdout + p.stderr, f.read()

    def test_stops(self):
        for deed, title, functions in (("order", "possible deadlock: a and b", ["take", "run"]),
                                       ("misuse", "loose is unlocked", ["unlock_loose", "main"]),
                                       ("race", "data race: hits", ["count_hits", "run"]),
                                       ("deadlock", "deadlock", ["meeting", "run"])):
            with self.subTest(deed):
                text, log = self.gdb(deeds=("one_order", "no_race", deed, "end"), say="printf \"STACK\\n\"\nbt\nkill\n", status=66)
                self.assertIn("did no_race", text)
                self.assertNotIn(f"did {deed}\n", text)
                shown, stack = text.split("STACK\n", 1)
                self.assertRegex(shown, r"(?m)^snarl: .*" + title)
                self.assertRegex(shown, r"(?m)^#\d+ .*\b" + functions[0]) # the frame that is selected, and its line
                self.assertRegex(shown, r"(?m)^\d+\t")
                frames = re.findall(r"(?m)^(?:\(gdb\) )?#\d+ +(?:0x[0-9a-f]+ in )?(\w+)", stack)
                self.assertEqual([f for f in frames if f in functions], functions)
                self.assertEqual(frames[0], functions[0])
                self.assertIn(title, log)

    def test_nothing_found(self):
        text, log = self.gdb(deeds=("one_order", "no_race", "end"), status=3)
        self.assertIn("did no_race", text)
        self.assertIn("no findings", log)
        self.assertNotIn("#0", text)

    def test_what_does_not_count(self):
        suppressions = self.write("suppressions", "deadlock:^ab$\n")
        text, log = self.gdb("--suppressions=" + suppressions, deeds=("order", "end"), status=3)
        self.assertIn("did order", text)
        self.assertNotIn("possible deadlock", text)
        text, log = self.gdb("--suppressions=" + suppressions, deeds=("order", "misuse", "end"), say="kill\n", status=66)
        self.assertIn("did order", text)
        self.assertIn("loose is unlocked", text)

    def test_goes_on(self):
        text, log = self.gdb(deeds=("order", "misuse", "end"), say="continue\ncontinue\n", status=66)
        steps = [text.index(word) for word in ("possible deadlock", "did order", "loose is unlocked", "did misuse")]
        self.assertEqual(steps, sorted(steps))
        self.assertIn("exited with code 03", text)

    def test_signal(self):
        text, log = self.gdb(deeds=("end",), status=3)
        p = run(SNARL, "run", "--gdb", "--quiet", "--", "/bin/sh", "-c", "kill -KILL $$")
        self.assertEqual(p.returncode, 137, p.stdout + p.stderr)

    def test_arguments_and_environment(self):
        """The program gets what it would get without gdb."""
        words = ["a b", "c'd", '"$HOME"', "*", "", "back\\slash", "-x"]
        code = "import os,sys,json; print(json.dumps([sys.argv[1:], sorted(os.environ.items())]))"
        interpreter = os.path.realpath("/usr/bin/python3")
        env = clean_env(SHELL="/bin/some shell", SNARL_OPTIONS="stack-depth=20", QUOTED="it's \"so\" $HOME")
        env.pop("LINES", None), env.pop("COLUMNS", None)
        seen = []
        for options in ((), ("--gdb",)):
            p = run(SNARL, "run", *options, "--quiet", "--", interpreter, "-c", code, *words, env=env)
            self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
            line = next(l for l in p.stdout.splitlines() if l.startswith("[["))
            args, variables = json.loads(line)
            self.assertEqual(args, words)
            seen.append({k: v for k, v in variables if k not in ("SNARL_RUN", "_", "PWD", "OLDPWD", "SHLVL")})
        self.assertEqual(seen[0], seen[1])

    def test_cannot(self):
        p = run(SNARL, "run", "--gdb", "--", self.program, "end", env=clean_env(PATH="/nowhere"))
        self.assertEqual((p.returncode, p.stdout), (125, ""))
        self.assertIn("there is no gdb on PATH", p.stderr)
        script = self.write("script", "#!/bin/sh\nexit 4\n")
        os.chmod(script, 0o755)
        p = run(SNARL, "run", "--gdb", "--", script)
        self.assertEqual(p.returncode, 125)
        self.assertIn("is a script, which gdb cannot start", p.stderr)

    def test_nothing_stays(self):
        tmp = tempfile.mkdtemp(prefix="it's a \"folder\" ", dir=scratch)
        self.gdb(deeds=("order", "end"), say="kill\n", status=66, env=clean_env(TMPDIR=tmp))
        self.assertEqual(os.listdir(tmp), [])


def main():
    global SNARL, LIBRARY, SOURCE, scratch
    parser = argparse.ArgumentParser()
    for name in ("snarl", "library", "source"):
        parser.add_argument("--" + name, required=True)
    options, rest = parser.parse_known_args()
    SNARL, LIBRARY, SOURCE = options.snarl, options.library, options.source
    scratch = tempfile.mkdtemp(prefix="snarl-found-")
    try:
        unittest.main(argv=[sys.argv[0], *rest])
    finally:
        shutil.rmtree(scratch, True)


if __name__ == "__main__":
    main()
