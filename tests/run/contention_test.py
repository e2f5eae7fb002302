#!/usr/bin/env python3
"""What `--detect=contention` counts and measures, exactly where the program forces it (tests/run/contention/contention.c), and that it comes out
the same through `report` and `merge`."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SNARL = PROGRAM = PYTHON = None
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MS = 1000000
HOLD = 20 * MS


def run(*args, timeout=120):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k not in ("LD_PRELOAD", "NO_COLOR")}
    return subprocess.run([SNARL, *args], capture_output=True, timeout=timeout, env=env, text=True)


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def rows_of(document):
    """{(last part of the class, mode): row}"""
    return {(r["class"].split(":")[-1], r["mode"]): r for r in document["contention"]}


sys.path.insert(0, os.path.join(SOURCE, "tests", "formats"))
import schema  # noqa: E402


class Contention(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="snarl-contention-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.file = os.path.join(cls.folder, "result.json")
        cls.told = run("run", "--detect=contention", "--json=" + cls.file, "--", PROGRAM)
        if cls.told.returncode == 77:
            raise unittest.SkipTest("/proc does not say what threads wait for")
        cls.document = load(cls.file)
        cls.rows = rows_of(cls.document)

    def counts(self, name, acquisitions, contended=0, mode="exclusive", reacquired=0, given_up=0):
        row = self.rows[name, mode]
        seen = [row[k] for k in ("acquisitions", "contended", "reacquired", "given_up")]
        self.assertEqual(seen, [acquisitions, contended, reacquired, given_up], name)
        self.assertEqual(sum(row["wait_histogram"]), contended + given_up, name)
        self.assertEqual(sum(row["hold_histogram"]), acquisitions, name)
        if not contended + given_up:
            self.assertEqual((row["wait_ns"], row["longest_wait_ns"]), (0, 0), name)
            self.assertNotIn("longest_wait", row)
        self.assertGreaterEqual(row["hold_ns"], row["longest_hold_ns"])
        self.assertLess(row["hold_ns"], 10 ** 9 * self.document["run"]["duration_s"] * 12)
        return row

    def test_status(self):
        self.assertEqual(self.told.returncode, 0, self.told.stderr)
        self.assertEqual(self.document["findings"], [])
        described = load(os.path.join(SOURCE, "docs", "snarl-1.schema.json"))
        self.assertEqual(schema.problems(self.document, described, described), [])

    def test_every_lock(self):
        names = {"hot", "outer", "inner", "recursive", "tried", "timed", "waited", "forked", "shared", "spin", "sem"}
        heap = {name for name, _ in self.rows if "heap" in name}
        self.assertEqual({name for name, _ in self.rows} - heap, names)
        self.assertEqual(len(heap), 1)

    def test_two_waiters(self):
        row = self.counts("hot", 3, 2)
        self.assertEqual(row["kind"], "mutex")
        self.assertGreaterEqual(row["longest_hold_ns"], HOLD)
        self.assertGreaterEqual(row["longest_wait_ns"], HOLD)
        self.assertGreaterEqual(row["wait_ns"], 2 * HOLD)
        self.assertEqual(sum(row["wait_histogram"][24:]), 2)  # 2^24 ns are 17 ms
        hold = row["longest_holds"][0]
        self.assertEqual(hold["ns"], row["longest_hold_ns"])
        for key in ("stack", "released"):
            self.assertEqual([f["function"] for f in hold[key] if f["function"] in ("hold_hot", "main")],
                             ["hold_hot", "main"], key)
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "contention", "contention.c"), encoding="utf-8") as f:
            marked = [n for n, line in enumerate(f, 1) if "mark: holds" in line]
        self.assertEqual([hold["stack"][0]["line"]], marked)
        self.assertEqual(row["longest_wait"]["stack"][0]["function"], "take_hot")
        self.assertEqual(row["longest_wait"]["ns"], row["longest_wait_ns"])
        self.assertEqual(len(row["longest_holds"]), 2)  # two places

    def test_nested(self):
        outer, inner = self.counts("outer", 5), self.counts("inner", 5)
        self.assertGreaterEqual(inner["hold_ns"], 5 * MS)
        self.assertGreaterEqual(outer["hold_ns"], inner["hold_ns"])

    def test_recursive(self):
        self.assertGreaterEqual(self.counts("recursive", 4)["hold_ns"], 8 * MS)

    def test_trylock(self):
        self.counts("tried", 7)

    def test_time_out(self):
        self.assertGreaterEqual(self.counts("timed", 2, given_up=1)["wait_ns"], 19 * MS)

    def test_condition(self):
        returns = int(self.told.stdout)
        row = self.counts("waited", 2 + returns, reacquired=returns)
        self.assertLess(row["hold_ns"], 10 * HOLD)

    def test_readers_and_writers(self):
        read, write = self.counts("shared", 3, 1, "shared"), self.counts("shared", 2, 1)
        self.assertGreaterEqual(read["longest_hold_ns"], HOLD)
        self.assertGreaterEqual(write["longest_wait_ns"], HOLD)

    def test_spin(self):
        row = self.counts("spin", 2, 1)
        self.assertEqual(row["kind"], "spin")
        self.assertGreaterEqual(row["longest_wait_ns"], 15 * MS)

    def test_semaphore(self):
        self.assertEqual(self.counts("sem", 2, 1)["kind"], "sem")

    def test_processes_and_classes(self):
        self.counts("forked", 5)
        self.counts(next(name for name, _ in self.rows if "heap" in name), 1000)

    def test_order_and_table(self):
        waits = [row["wait_ns"] for row in self.document["contention"]]
        self.assertEqual(waits, sorted(waits, reverse=True))
        lines = self.told.stderr.splitlines()
        self.assertEqual(lines[0], "snarl: contention")
        self.assertEqual([line.split()[:3] for line in lines if line.split()[:1] == ["hot"]], [["hot", "3", "66.7%"]])
        self.assertTrue(any("held hot in hold_hot()" in line for line in lines))

    def test_report_says_the_same(self):
        again = run("report", self.file)
        self.assertEqual(again.stderr + again.stdout, self.told.stderr)
        page = run("report", "--format=html", self.file).stdout
        self.assertIn('id="contention"', page)
        self.assertIn(">shared (reading)</a>", page)
        self.assertEqual(page.count("<details class=\"lock\""), len(self.rows))

    def test_merge(self):
        p = run("merge", "-o", "-", self.file, self.file)
        described = load(os.path.join(SOURCE, "docs", "snarl-1.schema.json"))
        self.assertEqual(schema.problems(json.loads(p.stdout), described, described), [])
        merged = rows_of(json.loads(p.stdout))
        self.assertEqual(set(merged), set(self.rows))
        for key, row in self.rows.items():
            both = merged[key]
            for k in ("acquisitions", "contended", "reacquired", "given_up", "wait_ns", "hold_ns"):
                self.assertEqual(both[k], 2 * row[k], (key, k))
            for k in ("wait_histogram", "hold_histogram"):
                self.assertEqual(both[k], [2 * n for n in row[k]], (key, k))
            for k in ("longest_wait_ns", "longest_hold_ns"):
                self.assertEqual(both[k], row[k], (key, k))
            self.assertEqual([h["ns"] for h in both["longest_holds"]], [h["ns"] for h in row["longest_holds"]], key)


class Otherwise(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="snarl-contention-")
        self.addCleanup(shutil.rmtree, folder, True)
        self.file = os.path.join(folder, "result.json")

    def test_off(self):
        p = run("run", "--json=" + self.file, "--", PROGRAM)
        self.assertIn(p.returncode, (0, 77))
        self.assertEqual(load(self.file)["contention"], [])
        self.assertNotIn("contention", p.stderr)

    def test_with_everything_else(self):
        p = run("run", "--detect=deadlock,misuse,race,atomicity,contention", "--json=" + self.file, "--", PROGRAM)
        self.assertIn(p.returncode, (0, 77))
        if p.returncode == 0:
            self.assertEqual(rows_of(load(self.file))["hot", "exclusive"]["contended"], 2)

    def test_wrong_results(self):
        rows = [({"class": 1}, "contention[0].class"), ({"class": "a", "wait_ns": "x"}, "contention[0].wait_ns"),
                ({"class": "a", "longest_wait": {"ns": 1, "stack": [2]}}, "contention[0].longest_wait.stack[0]")]
        for row, place in rows:
            with open(self.file, "w", encoding="utf-8") as f:
                json.dump({"schema": "snarl/1", "run": {}, "findings": [], "contention": [row]}, f)
            p = run("report", self.file)
            self.assertEqual(p.returncode, 2)
            self.assertIn(place, p.stderr)

    def test_nothing_taken(self):
        self.assertEqual(run("run", "--detect=contention", "--json=" + self.file, "--", "/bin/true").returncode, 0)
        self.assertEqual(load(self.file)["contention"], [])

    def test_python(self):
        if not PYTHON:
            self.skipTest("no CPython that is known")
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "contention", "waits.py")
        self.assertEqual(run("run", "--detect=contention", "--json=" + self.file, "--", PYTHON, script).returncode, 0)
        row = rows_of(load(self.file))["lock", "exclusive"]
        self.assertEqual([row[k] for k in ("class", "kind", "acquisitions", "contended")], ["waits.py:lock", "sem", 12, 1])
        self.assertEqual(row["longest_wait"]["stack"][0]["function"], "work")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--snarl", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--python")
    opts, rest = parser.parse_known_args()
    SNARL, PROGRAM, PYTHON = opts.snarl, opts.program, opts.python
    unittest.main(argv=[sys.argv[0], *rest])
