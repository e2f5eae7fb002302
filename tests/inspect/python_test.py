#!/usr/bin/env python3
"""snarl inspect of Python programs: python_test.py --snarl SNARL [unittest's options]

Every hang lasts, so each is looked at until all threads wait: what is said then is said every time.
"""
import argparse
import glob
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SNARL = None
PATIENCE = 60
PYTHON = "/usr/bin/python3.11"
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hangs.py")
END = "the end of a thread"

# What each thread waits for (what, object or call, number of the owner as T1 is main), and findings (kind, locks).
AB = [("deadlock", ["hangs.py:lock_a", "hangs.py:lock_b"])]
CASES = {
    "withs": ([(END, None, 2), ("lock", "lock_b", 3), ("lock", "lock_a", 2)], AB),
    "used_before": ([(END, None, 2), ("lock", "lock_b", 3), ("lock", "lock_a", 2)], AB),
    "recursive": ([(END, None, 2), ("lock", "rlock_b", 3), ("lock", "rlock_a", 2)],
                  [("deadlock", ["hangs.py:rlock_a", "hangs.py:rlock_b"])]),
    "objects": ([(END, None, 2), ("lock", "Account.lock", 3), ("lock", "Account.lock", 2)],
                [("deadlock", ["hangs.py:Account.lock"] * 2)]),
    "ring": ([(END, None, 2), ("lock", "forks", 3), ("lock", "forks", 4), ("lock", "forks", 2)],
             [("deadlock", ["hangs.py:forks"] * 3)]),
    "by_hand": ([(END, None, 2), ("lock", "lock_b", None), ("lock", "lock_a", None)],
                [("stuck", ["hangs.py:lock_a", "hangs.py:lock_b", "python:thread's end"])]),
    "join_held": ([(END, None, 2), ("lock", "lock_a", 1)], [("deadlock", ["hangs.py:lock_a", "python:thread's end"])]),
    "calls": ([(END, None, 2), ("Queue.get", "calls.items", None), ("Event.wait", "calls.event", None),
               ("Condition.wait", "calls.changed", None), ("Semaphore.acquire", "calls.permits", None)],
              [("stuck", None)]),
    "pool": ([("Future.result", None, None)] * 2, [("stuck", ["hangs.py:pool#1", "hangs.py:pool.<locals>.outer#1"])]),
    "interpreter": ([("something to read", None, None), ("the interpreter's lock", None, 1)], []),
    "timed": ([(END, None, 2), ("lock", "lock_a", 1)], []),
}
# What the run says of the same program has the same id; but for who took what by hand, which only the run has seen.
SAME_IDS = ("withs", "used_before", "objects", "ring", "join_held", "pool")


class Hang:
    def __init__(self, case, python=PYTHON):
        self.process = subprocess.Popen([python, PROGRAM, case], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, start_new_session=True, text=True)
        self.pids = [self.process.pid]
        if case == "processes":
            self.pids.append(int(self.process.stdout.readline()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def inspect(*subjects):
    with tempfile.TemporaryDirectory(prefix="snarl-inspect-") as folder:
        result = os.path.join(folder, "result.json")
        p = subprocess.run([SNARL, "inspect", "--json=" + result, *map(str, subjects)], capture_output=True, text=True, timeout=120)
        if not os.path.exists(result):
            return p, None
        with open(result) as f:
            return p, json.load(f)


def waits(document):
    def told(wait):
        name = wait.get("object")
        return (wait.get("call") or wait["for"], name.split(":")[-1] if name and wait["for"] != "the interpreter's lock" else None,
                wait.get("owner"))
    threads = [t for s in document["inspected"] for t in s["threads"]]
    return [told(t["wait"]) for t in sorted(threads, key=lambda t: t["thread"])]


def same_findings(document, wanted):
    found = [(f["kind"], sorted(lock["class"] for lock in f["locks"])) for f in document["findings"]]
    return len(found) == len(wanted) and all(w[0] == f[0] and w[1] in (None, f[1]) for w, f in zip(wanted, found))


def lines_marked(*marks):
    with open(PROGRAM) as f:
        return {n for n, line in enumerate(f, 1) for m in marks if line.rstrip().endswith("# mark: " + m)}


def lines_of(document):
    return {f.get("line") for finding in document["findings"] for e in finding["events"] for f in e["stack"]}


class Live(unittest.TestCase):
    def settle(self, hang, wanted, settled):
        end = time.monotonic() + PATIENCE
        while True:
            p, document = inspect(*hang.pids)
            if (document and settled(document)) or time.monotonic() > end:
                self.assertIsNotNone(document, p.stderr)
                return p, document
            time.sleep(0.1)

    def looked_at(self, case, python=PYTHON):
        wanted, found = CASES[case]
        with Hang(case, python) as hang:
            # The second of two looks: all waited already when the first thread was looked at.
            p, document = self.settle(hang, wanted, lambda d: waits(d) == wanted)
            self.assertEqual(waits(document), wanted, p.stdout)
            p, document = inspect(*hang.pids)
            self.assertTrue(same_findings(document, found), p.stdout)
            self.assertEqual(p.returncode, 66 if found else 0, p.stdout)
            self.assertIsNone(hang.process.poll())
        return document

    def test_lines(self):
        """Where the locks were taken is told, too."""
        self.assertLessEqual(lines_marked("first-a", "second-b"), lines_of(self.looked_at("withs")))

    def test_same_id_as_run(self):
        for case in SAME_IDS:
            with self.subTest(case), tempfile.TemporaryDirectory(prefix="snarl-inspect-") as folder:
                document = self.looked_at(case)
                result = os.path.join(folder, "run.json")
                subprocess.run([SNARL, "run", "--json=" + result, PYTHON, PROGRAM, case], capture_output=True, timeout=60)
                with open(result) as f:
                    run = json.load(f)
                self.assertEqual([f["id"] for f in document["findings"]], [f["id"] for f in run["findings"]])

    def test_processes(self):
        wanted = [("the end of a child process", None, None), ("lock", "processes.lock", None)]
        with Hang("processes") as hang:
            p, document = self.settle(hang, wanted, lambda d: waits(d) == wanted and d["findings"])
            self.assertEqual(waits(document), wanted, p.stdout)
            self.assertTrue(same_findings(document, [("stuck", ["hangs.py:processes.lock"])]), p.stdout)

    def test_text(self):
        with Hang("calls") as hang:
            p, _ = self.settle(hang, None, lambda d: waits(d) == CASES["calls"][0])
        self.assertIn("waiting in Queue.get of calls.items", p.stdout)


class Versions(unittest.TestCase):
    """Other interpreters that are here (of pyenv); the ones of before 3.11 do not tell who has a lock."""

    def test_frames(self):
        for python in sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python3"))):
            version = os.path.basename(os.path.dirname(os.path.dirname(python))).split(".")
            minor = int(version[1])
            if 9 <= minor <= 13:
                with self.subTest(python):
                    self.one(python, minor)

    def one(self, python, minor):
        wanted = CASES["withs"][0]
        with Hang("withs", python) as hang:
            if minor >= 11:
                p, document = Live().settle(hang, wanted, lambda d: waits(d)[1:] == wanted[1:] and d["findings"])
                self.assertTrue(same_findings(document, AB), p.stdout)
            settled = lambda d: {"first", "second"} <= {f.get("function") for s in d["inspected"] for t in s["threads"] for f in t["stack"]}
            p, document = Live().settle(hang, None, settled)
            self.assertTrue(settled(document), p.stdout)

    def test_unknown(self):
        """One that is too old is told of."""
        for python in glob.glob(os.path.expanduser("~/.pyenv/versions/3.[678].*/bin/python3"))[:1]:
            with Hang("withs", python) as hang:
                p, _ = inspect(*hang.pids)
                self.assertIn("whose frames snarl cannot read", p.stdout)


class Core(unittest.TestCase):
    def test_cases(self):
        if not shutil.which("gcore"):
            self.skipTest("gcore (of gdb) is not there")
        for case in ("withs", "objects", "calls", "join_held"):
            with self.subTest(case), tempfile.TemporaryDirectory(prefix="snarl-core-") as folder:
                with Hang(case) as hang:
                    Live().settle(hang, None, lambda d: waits(d) == CASES[case][0])
                    subprocess.run(["gcore", "-o", os.path.join(folder, "core"), str(hang.pids[0])], capture_output=True, timeout=120)
                    core = os.path.join(folder, "core.%d" % hang.pids[0])
                if not os.path.exists(core):
                    self.skipTest("gcore may not look at processes")
                p, document = inspect(core)
                self.assertEqual(waits(document), CASES[case][0], p.stdout)
                self.assertTrue(same_findings(document, CASES[case][1]), p.stdout)


for name in CASES:
    setattr(Live, "test_" + name, lambda self, name=name: self.looked_at(name) and None)


def main():
    global SNARL
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--snarl", required=True)
    opts, rest = ap.parse_known_args()
    SNARL = os.path.abspath(opts.snarl)
    if not os.path.exists(PYTHON):
        print("there is no " + PYTHON)
        sys.exit(77)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main(argv=[sys.argv[0]] + rest)


if __name__ == "__main__":
    main()
