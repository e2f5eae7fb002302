#!/usr/bin/env python3
"""What `snarl run` and `libsnarl.so` promise outwardly, apart from what they find: exit statuses, outputs, options, signals."""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SNARL = CASES = None


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k not in ("LD_PRELOAD", "NO_COLOR")}
    env.update(more)
    return env


def snarl(*args, stdin=b"", timeout=60, env=None, cwd=None):
    p = subprocess.run([SNARL, *args], input=stdin, capture_output=True, timeout=timeout, env=env or clean_env(), cwd=cwd)
    return p


def case(name):
    return os.path.join(CASES, name)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="snarl-command-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_json(self, *args, **kw):
        out = self.path("result.json")
        p = snarl("run", "--json=" + out, *args, **kw)
        with open(out, encoding="utf-8") as f:
            return p, json.load(f)


class Status(Folder):
    def test_own_status(self):
        self.assertEqual(snarl("run", "--", "/bin/sh", "-c", "exit 3").returncode, 3)
        self.assertEqual(snarl("run", "/bin/true").returncode, 0)

    def test_signal_is_128_and_its_number(self):
        for name, number in (("KILL", 9), ("SEGV", 11), ("TERM", 15), ("ABRT", 6)):
            self.assertEqual(snarl("run", "--", "/bin/sh", "-c", f"kill -{name} $$").returncode, 128 + number, name)

    def test_findings_are_66(self):
        self.assertEqual(snarl("run", "--", case("abba"), "free").returncode, 66)

    def test_exit_code_option(self):
        self.assertEqual(snarl("run", "--exit-code=5", "--", case("abba"), "free").returncode, 5)
        self.assertEqual(snarl("run", "--exit-code=0", "--", case("abba"), "free").returncode, 0)

    def test_fail_on(self):
        self.assertEqual(snarl("run", "--fail-on=deadlock", "--", case("abba"), "free").returncode, 0)
        self.assertEqual(snarl("run", "--fail-on=lock-order", "--", case("abba"), "free").returncode, 66)
        self.assertEqual(snarl("run", "--fail-on=all", "--", case("abba"), "free").returncode, 66)
        self.assertEqual(snarl("run", "--fail-on=lock-misuse", "--", case("same_id"), "exit_now").returncode, 5)

    def test_wrong_usage_is_2(self):
        for args in (["run", "--nonsense", "/bin/true"], ["frobnicate"], [], ["run"], ["run", "--stack-depth=many", "/bin/true"],
                     ["run", "--on-deadlock=maybe", "/bin/true"], ["report"], ["explain", "nothing-like-it"], ["report", "/dev/null"]):
            p = snarl(*args)
            self.assertEqual(p.returncode, 2, f"{args}: {p.stderr!r}")
            self.assertTrue(p.stderr, args)

    def test_nearest_match(self):
        self.assertIn(b"run", snarl("rnu").stderr)
        self.assertIn(b"--json", snarl("run", "--jsno=x", "/bin/true").stderr)
        self.assertIn(b"lock-order", snarl("explain", "lock-ordr").stderr)

    def test_not_found_and_not_executable(self):
        self.assertEqual(snarl("run", "--", "/no/such/program").returncode, 127)
        self.assertEqual(snarl("run", "--", "no-such-program-in-path").returncode, 127)
        plain = self.path("plain")
        with open(plain, "w") as f:
            f.write("hello")
        os.chmod(plain, 0o644)
        self.assertEqual(snarl("run", "--", plain).returncode, 126)
        self.assertEqual(snarl("run", "--", self.folder).returncode, 126)

    def test_found_in_path(self):
        self.assertEqual(snarl("run", "true").returncode, 0)

    def test_script(self):
        script = self.path("script")
        with open(script, "w") as f:
            f.write("#!/bin/sh\nexit 4\n")
        os.chmod(script, 0o755)
        self.assertEqual(snarl("run", "--", script).returncode, 4)

    def test_static_program_is_not_started(self):
        source, program = self.path("s.c"), self.path("s")
        with open(source, "w") as f:
            f.write('#include <stdio.h>\nint main(void) { puts("ran"); return 9; }\n')
        if subprocess.run(["gcc", "-static", source, "-o", program], capture_output=True).returncode:
            self.skipTest("no static libc")
        p = snarl("run", "--", program)
        self.assertEqual((p.returncode, p.stdout), (125, b""))
        self.assertIn(b"static", p.stderr)
        p = snarl("run", "--force", "--", program)
        self.assertEqual((p.returncode, p.stdout), (9, b"ran\n"))

    def test_result_cannot_be_written(self):
        p = snarl("run", "--json=/no/such/folder/x.json", "--", "/bin/true")
        self.assertEqual(p.returncode, 125, p.stderr)

    def test_help(self):
        for args in (["--help"], ["run", "--help"], ["report", "--help"], ["graph", "--help"], ["explain", "--help"], ["--version"]):
            p = snarl(*args)
            self.assertEqual(p.returncode, 0, f"{args}: {p.stderr!r}")
            self.assertTrue(p.stdout, args)

    def test_help_ends_with_examples(self):
        self.assertRegex(snarl("run", "--help").stdout.decode().lower(), r"(?s)example.*snarl run")


class Output(Folder):
    def test_standard_output_and_input_untouched(self):
        data = os.urandom(200000)
        p = snarl("run", "--", "/bin/cat", stdin=data)
        self.assertEqual(p.stdout, data)
        self.assertEqual(p.returncode, 0)

    def test_report_on_standard_error(self):
        p = snarl("run", "--", case("abba"), "free")
        self.assertEqual(p.stdout, b"")
        text = p.stderr.decode()
        for word in ("lock-order", "abba.c", "one", "two"):
            self.assertIn(word, text)
        self.assertNotIn("\x1b", text)

    def test_report_names_each_acquisition(self):
        text = snarl("run", "--", case("abba"), "free").stderr.decode()
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "abba.c")) as f:
            for n, line in enumerate(f, 1):
                if "/* mark: " in line:
                    self.assertIn(f"abba.c:{n}", text)

    def test_colour(self):
        self.assertIn(b"\x1b[", snarl("run", "--color=always", "--", case("abba"), "free").stderr)
        self.assertNotIn(b"\x1b[", snarl("run", "--color=never", "--", case("abba"), "free").stderr)

    def test_log(self):
        log = self.path("log")
        p = snarl("run", "--log=" + log, "--", case("abba"), "free")
        self.assertNotIn(b"lock-order", p.stderr)
        with open(log) as f:
            self.assertIn("lock-order", f.read())

    def test_json_to_standard_output(self):
        p = snarl("run", "--json=-", "--", case("abba"), "free")
        doc = json.loads(p.stdout)
        self.assertEqual(doc["schema"], "snarl/1")
        self.assertEqual(len(doc["findings"]), 1)

    def test_json_one_for_each_process(self):
        p = snarl("run", "--json=" + self.path("r-%p.json"), "--", "/bin/sh", "-c", "/bin/true; /bin/true; exit 0")
        self.assertEqual(p.returncode, 0, p.stderr)
        names = [n for n in os.listdir(self.folder) if n.startswith("r-")]
        self.assertGreaterEqual(len(names), 2, names)
        for n in names:
            with open(self.path(n)) as f:
                self.assertEqual(json.load(f)["schema"], "snarl/1")

    def test_run_part(self):
        p, doc = self.run_json("--", case("abba"), "same_order")
        r = doc["run"]
        self.assertEqual(r["command"], [case("abba"), "same_order"])
        self.assertEqual((r["processes"], r["threads"]), (1, 3))
        self.assertEqual(r["exit"], {"status": 0})
        self.assertEqual(r["accesses"], "none")
        self.assertGreaterEqual(r["locks"], 2)
        self.assertGreaterEqual(r["lock_operations"], 4)
        self.assertGreater(r["duration_s"], 0)
        p, doc = self.run_json("--", "/bin/sh", "-c", "kill -9 $$")
        self.assertEqual(doc["run"]["exit"], {"signal": 9})

    def test_lock_graph(self):
        p, doc = self.run_json("--", case("abba"), "same_order")
        graph = doc["lock_graph"]
        nodes = {n["class"].split(":")[-1]: n for n in graph["nodes"]}
        self.assertIn("a", nodes)
        self.assertIn("b", nodes)
        edges = [(e["from"].split(":")[-1], e["to"].split(":")[-1]) for e in graph["edges"]]
        self.assertIn(("a", "b"), edges)
        self.assertNotIn(("b", "a"), edges)
        edge = graph["edges"][edges.index(("a", "b"))]
        self.assertTrue(edge["stack"] and edge["contexts"])
        for key in ("thread", "instance_from", "instance_to", "held", "mode_from", "mode_to", "try", "timed", "after"):
            self.assertIn(key, edge["contexts"][0])

    def test_quiet(self):
        p = snarl("run", "--quiet", "--", case("abba"), "same_order")
        self.assertEqual((p.returncode, p.stderr), (0, b""))

    def test_no_folder_is_left(self):
        tmp = self.path("tmp")
        os.mkdir(tmp)
        for args in (["free"], ["same_order"]):
            snarl("run", "--", case("abba"), *args, env=clean_env(TMPDIR=tmp))
        snarl("run", "--", case("deadlock"), "abba", env=clean_env(TMPDIR=tmp))
        self.assertEqual(os.listdir(tmp), [])

    def test_program_output_comes_before_report_even_when_killed(self):
        p = snarl("run", "--", case("deadlock"), "abba")
        self.assertEqual(p.stdout, b"before\n")
        self.assertEqual(p.returncode, 66)


class Options(Folder):
    def test_detect(self):
        p, doc = self.run_json("--detect=misuse", "--", case("abba"), "free")
        self.assertEqual(doc["findings"], [])
        p, doc = self.run_json("--detect=deadlock", "--", case("misuse"), "unlock_not_locked")
        self.assertEqual(doc["findings"], [])

    def test_follow(self):
        p, doc = self.run_json("--", "/bin/sh", "-c", case("abba") + " free; exit 0")
        self.assertEqual((len(doc["findings"]), p.returncode), (1, 66))
        self.assertGreaterEqual(doc["run"]["processes"], 2)
        p, doc = self.run_json("--follow=no", "--", "/bin/sh", "-c", case("abba") + " free; exit 0")
        self.assertEqual((doc["findings"], p.returncode), ([], 0))

    def test_accesses_not_watched_is_said(self):
        note = b"memory accesses not watched (build with snarl cc)\n"
        self.assertEqual(snarl("run", "--", case("abba"), "free").stderr.count(note), 1)
        for option in ("--accesses=none", "--detect=deadlock,misuse", "--quiet"):
            self.assertNotIn(note, snarl("run", option, "--", case("abba"), "free").stderr, option)

    def test_accesses_none_only(self):
        self.assertEqual(snarl("run", "--accesses=none", "--", "/bin/true").returncode, 0)

    def test_options_from_environment(self):
        p = snarl("run", "--", case("abba"), "free", env=clean_env(SNARL_OPTIONS="exit-code=7"))
        self.assertEqual(p.returncode, 7)

    def test_command_line_wins(self):
        p = snarl("run", "--exit-code=8", "--", case("abba"), "free", env=clean_env(SNARL_OPTIONS="exit-code=7"))
        self.assertEqual(p.returncode, 8)

    def test_perturb_prints_its_seed(self):
        p = snarl("run", "--perturb", "--", case("abba"), "same_order")
        self.assertEqual(p.returncode, 0)
        self.assertRegex(p.stderr.decode(), r"(?i)seed\D*\d+|perturb\S*=\d+")
        p = snarl("run", "--perturb=4711", "--", case("abba"), "same_order")
        self.assertIn(b"4711", p.stderr)

    def test_stack_depth(self):
        p, doc = self.run_json("--stack-depth=1", "--", case("abba"), "free")
        self.assertEqual(max(len(e["stack"]) for e in doc["findings"][0]["events"]), 1)

    def test_halt(self):
        p, doc = self.run_json("--halt", "--", case("same_id"), "wait", timeout=30)
        self.assertEqual((p.returncode, len(doc["findings"])), (66, 1))


class Identity(Folder):
    def test_same_id_striking_or_not(self):
        ids = set()
        for shape in ("quiet", "strike", "kill"):
            p, doc = self.run_json("--", case("same_id"), shape)
            self.assertEqual(len(doc["findings"]), 1, shape)
            ids.add(doc["findings"][0]["id"])
        self.assertEqual(len(ids), 1, ids)

    def test_same_id_under_another_name(self):
        other = self.path("quite-another-name")
        shutil.copy(case("same_id"), other)
        p, doc = self.run_json("--", case("same_id"), "quiet")
        q, other_doc = self.run_json("--", other, "quiet")
        self.assertEqual(doc["findings"][0]["id"], other_doc["findings"][0]["id"])

    def test_stripped(self):
        other = self.path("stripped")
        shutil.copy(case("same_id"), other)
        if subprocess.run(["strip", other]).returncode:
            self.skipTest("no strip")
        p, doc = self.run_json("--", other, "quiet")
        self.assertEqual(len(doc["findings"]), 1)
        self.assertEqual(p.returncode, 66)
        for e in doc["findings"][0]["events"]:
            for f in e["stack"]:
                self.assertTrue(f["module"] and f["offset"].startswith("0x"))
        self.assertIn(b"stripped+0x", p.stderr)

    def test_split_debug_file(self):
        other = self.path("split")
        shutil.copy(case("same_id"), other)
        for command in (["objcopy", "--only-keep-debug", other, other + ".debug"], ["strip", other],
                        ["objcopy", "--add-gnu-debuglink=" + other + ".debug", other]):
            if subprocess.run(command).returncode:
                self.skipTest("no objcopy")
        p, doc = self.run_json("--", other, "quiet")
        self.assertIn(b"same_id.c:", p.stderr)


class Signals(Folder):
    def start(self, *args):
        out = self.path("result.json")
        p = subprocess.Popen([SNARL, "run", "--json=" + out, "--", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=clean_env(), start_new_session=True)
        self.addCleanup(self.end, p)
        return p, out

    @staticmethod
    def end(p):
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.communicate()

    def test_term_and_int_are_forwarded(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            p, out = self.start("/bin/sh", "-c", "trap 'exit 9' TERM INT; echo ready; while :; do sleep 0.05; done")
            self.assertEqual(p.stdout.readline(), b"ready\n")
            p.send_signal(number)
            self.assertEqual(p.wait(20), 9)
            with open(out) as f:
                self.assertEqual(json.load(f)["run"]["exit"], {"status": 9})

    def test_results_after_term(self):
        p, out = self.start(case("same_id"), "wait")
        time.sleep(1)
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(20), 66)
        with open(out) as f:
            self.assertEqual(len(json.load(f)["findings"]), 1)

    def test_interrupted_from_terminal(self):
        """A terminal sends SIGINT to the whole group: the program gets it once and the report is still written."""
        p, out = self.start("/bin/sh", "-c", "trap 'n=$((n+1))' INT; echo ready; i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done;"
                            "exit $n")
        self.assertEqual(p.stdout.readline(), b"ready\n")
        os.killpg(p.pid, signal.SIGINT)
        self.assertIn(p.wait(20), (1, 2))  # sent to the group, and forwarded at most once more
        self.assertTrue(os.path.exists(out))


class PreloadAlone(Folder):
    def library(self):
        for place in ("../lib/libsnarl.so", "../lib/snarl/libsnarl.so"):
            path = os.path.normpath(os.path.join(os.path.dirname(SNARL), place))
            if os.path.exists(path):
                return path
        self.fail("libsnarl.so is not beside snarl")

    def run_alone(self, *args, library=None, **env):
        return subprocess.run(args, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                              env=clean_env(LD_PRELOAD=library or self.library(), **env))

    def test_reports_at_exit(self):
        p = self.run_alone(case("abba"), "free")
        self.assertEqual((p.returncode, p.stdout), (0, b""))
        self.assertIn(b"lock-order", p.stderr)
        self.assertIn(b"abba.c:", p.stderr)

    def test_silent_when_clean(self):
        p = self.run_alone(case("abba"), "same_order")
        self.assertEqual((p.returncode, p.stdout), (0, b""))
        self.assertRegex(p.stderr, rb"^(snarl: no findings[^\n]*\n)?$")

    def test_deadlock(self):
        p = self.run_alone(case("deadlock"), "abba")
        self.assertIn(b"deadlock", p.stderr)
        self.assertNotEqual(p.returncode, 0)

    def test_options(self):
        p = self.run_alone(case("deadlock"), "break", SNARL_OPTIONS="on-deadlock=break")
        self.assertEqual(p.stdout, b"one went on\n")
        self.assertIn(b"deadlock", p.stderr)

    def test_flags(self):
        p = self.run_alone(case("abba"), "free", SNARL_OPTIONS="quiet=yes:verbose=no")
        self.assertEqual((p.returncode, p.stdout), (0, b""))
        self.assertIn(b"lock-order", p.stderr)

    def test_without_the_command(self):
        """Alone in a folder, with no snarl to be found: modules and offsets."""
        alone = self.path("libsnarl.so")
        shutil.copy(self.library(), alone)
        p = self.run_alone(case("abba"), "free", library=alone, PATH="/nowhere")
        self.assertEqual(p.returncode, 0)
        self.assertRegex(p.stderr.decode(), r"abba\S*\+0x[0-9a-f]+")

    def test_no_folder_is_left(self):
        tmp = self.path("tmp")
        os.mkdir(tmp)
        self.run_alone(case("abba"), "free", TMPDIR=tmp)
        self.assertEqual(os.listdir(tmp), [])

    def test_bad_options_do_not_stop_the_program(self):
        p = self.run_alone(case("abba"), "same_order", SNARL_OPTIONS="on-deadlock=perhaps:nonsense=1:::=")
        self.assertEqual((p.returncode, p.stdout), (0, b""))


class Verbs(Folder):
    def setUp(self):
        super().setUp()
        self.p, self.doc = self.run_json("--", case("abba"), "free")
        self.result = self.path("result.json")

    def test_report(self):
        p = snarl("report", self.result)
        self.assertEqual(p.returncode, 66)
        self.assertIn(b"abba.c:", p.stdout + p.stderr)

    def test_report_json_is_the_same(self):
        p = snarl("report", "--format=json", self.result)
        self.assertEqual(json.loads(p.stdout)["findings"], self.doc["findings"])

    def test_graph(self):
        p = snarl("graph", "--format=dot", self.result)
        self.assertEqual(p.returncode, 0)
        self.assertIn(b"digraph", p.stdout)
        p = snarl("graph", "--format=text", self.result)
        self.assertEqual(p.returncode, 0)
        self.assertIn(b"a", p.stdout)

    def test_explain(self):
        for kind in ("deadlock", "lock-order", "lock-misuse", "stuck", "data-race", "atomicity"):
            p = snarl("explain", kind)
            self.assertEqual(p.returncode, 0, kind)
            self.assertGreater(len(p.stdout), 500, kind)

    def test_hostile_results(self):
        for n, text in enumerate(("", "{", "[]", '{"schema": "other"}', '{"schema": "snarl/1", "findings": 7}', "\0" * 100,
                                  "[" * 100000, '{"schema":"snarl/1","findings":[{"id":{}}]}')):
            bad = self.path(f"bad{n}")
            with open(bad, "w") as f:
                f.write(text)
            p = snarl("report", bad)
            self.assertEqual(p.returncode, 2, f"{text[:40]!r}: {p.returncode} {p.stderr!r}")
            self.assertIn(f"bad{n}".encode(), p.stderr)

    def test_newer_keys_are_ignored(self):
        self.doc["future"] = {"x": 1}
        self.doc["findings"][0]["future"] = [1]
        with open(self.path("new.json"), "w") as f:
            json.dump(self.doc, f)
        self.assertEqual(snarl("report", self.path("new.json")).returncode, 66)


def main():
    global SNARL, CASES
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--snarl", required=True)
    ap.add_argument("--cases", required=True, help="folder of the built case programs")
    opts, rest = ap.parse_known_args()
    SNARL, CASES = os.path.abspath(opts.snarl), os.path.abspath(opts.cases)
    unittest.main(argv=[sys.argv[0]] + rest, verbosity=1)


if __name__ == "__main__":
    main()
