#!/usr/bin/env python3
"""snarl inspect, as a user has it: inspect_test.py --snarl SNARL --hangs PROGRAM [unittest's options]

Every hang lasts, so each is looked at until all threads wait: what is said then is said every time.
"""
import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SNARL = HANGS = None
PATIENCE = 30

# What a case's threads wait for, in the order of their numbers, and the findings: (kind, rule, locks).
ABBA = ("deadlock", None, ["a", "b"])
CASES = {
    "abba": (["the end of a thread", "mutex", "mutex"], [ABBA]),
    "ring": (["the end of a thread", "mutex", "mutex", "mutex"], [("deadlock", None, ["a", "b", "c"])]),
    "recursive": (["the end of a thread", "mutex", "mutex"], [ABBA]),
    "adaptive": (["the end of a thread", "mutex", "mutex"], [ABBA]),
    "relock": (["the end of a thread", "mutex"], [("lock-misuse", "relock", ["a"])]),
    "owner_ended": (["the end of a thread", "mutex"],
                    [("deadlock", None, ["a"]), ("lock-misuse", "lock-left-at-thread-exit", ["a"])]),
    "rwlocks": (["the end of a thread", "read-write lock, to read,", "read-write lock, to write,"],
                [("deadlock", None, ["index_lock", "table"])]),
    "join_circle": (["the end of a thread"] * 3, [("deadlock", None, [])]),
    "join_with_lock": (["the end of a thread", "mutex"], [("deadlock", None, ["a"])]),
    "lost_signal": (["the end of a thread", "condition"], [("stuck", None, ["changed"])]),
    "no_post": (["the end of a thread", "semaphore", "semaphore"], [("stuck", None, ["jobs"])]),
    "one_too_few": (["the end of a thread", "barrier", "barrier"], [("stuck", None, ["meeting"])]),
    "file_lock": (["the end of a thread", "mutex", "a stream,"], [("deadlock", None, ["FILE:stderr", "a"])]),
    "on_stack": (["the end of a thread", "mutex", "mutex"], [("deadlock", None, ["a", "on_stack:local"])]),
    "on_heap": (["the end of a thread", "mutex", "mutex"], [("deadlock", None, ["a", "cache.lock"])]),
    "blocks": (["the end of a thread", "mutex", "read-write lock, to write,"],
               [("deadlock", None, ["big_table.guard", "session.lock"])]),
    "once_and_lock": (["the end of a thread", "mutex", "the end of an initialisation,"], [("deadlock", None, ["a", "once"])]),
    "child_hangs": (["the end of a child process", "mutex"], [("lock-misuse", "relock", ["a"])]),
    "own_pipe": (["the end of a thread", "something to read"], [("stuck", None, [])]),
    # Nobody waits for ever, or snarl cannot know.
    "timed": (["the end of a thread", "mutex", "mutex"], []),
    "slow_owner": (["the end of a thread", "time to pass", "mutex"], []),
    "busy": (["the end of a thread", "running", "condition"], []),
    "handler_posts": (["the end of a thread", "semaphore", "semaphore"], []),
}


class Hang:
    """A running case; the processes it consists of in `pids`."""

    def __init__(self, case):
        self.process = subprocess.Popen([HANGS, case], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        start_new_session=True, text=True)
        self.pids = [self.process.pid]
        for line in self.process.stdout:
            if line == "ready\n":
                break
            self.pids.append(int(line))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None or len(self.pids) > 1:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def inspect(*subjects):
    with tempfile.TemporaryDirectory(prefix="snarl-inspect-") as folder:
        result = os.path.join(folder, "result.json")
        p = subprocess.run([SNARL, "inspect", "--json=" + result, *map(str, subjects)], capture_output=True, text=True, timeout=120)
        document = None
        if os.path.exists(result):
            with open(result) as f:
                document = json.load(f)
        return p, document


def waits(document):
    threads = [t for s in document["inspected"] for t in s["threads"]]
    return [t["wait"]["for"] for t in sorted(threads, key=lambda t: t["thread"])]


def findings(document):
    return sorted((f["kind"], f.get("rule"), sorted(lock.get("local", lock["class"]).replace("hangs.c:", "") for lock in f["locks"]))
                  for f in document["findings"])


class Live(unittest.TestCase):
    def settle(self, hang, wanted):
        end = time.monotonic() + PATIENCE
        while True:
            p, document = inspect(*hang.pids)
            self.assertIn(p.returncode, (0, 66), p.stderr)
            if sorted(waits(document)) == sorted(wanted) or time.monotonic() > end:
                return p, document
            time.sleep(0.05)

    def in_calls(self, pid, calls):
        """Waits until all threads are in one of these."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            now = set()
            for tid in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/syscall" % (pid, tid)) as f:
                    now.add(f.read().split()[0])
            if now <= calls:
                return
            time.sleep(0.01)
        self.fail("not all threads wait")

    def case(self, name):
        wanted, found = CASES[name]
        with Hang(name) as hang:
            p, document = self.settle(hang, wanted)
            self.assertEqual(sorted(waits(document)), sorted(wanted), p.stdout)
            self.assertEqual(findings(document), found, p.stdout)
            self.assertEqual(p.returncode, 66 if found else 0, p.stdout)
            self.assertIsNone(hang.process.poll())

    def test_kernel_refused(self):
        """Of two mutexes with priority inheritance the second is refused by the kernel, and glibc waits for nothing."""
        names = sorted(["the end of a thread", "mutex"])
        with Hang("inherit") as hang:
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                p, document = inspect(*hang.pids)
                seen = waits(document)
                if any("refused" in w for w in seen) or findings(document):
                    break
                time.sleep(0.05)
            if any("refused" in w for w in seen):
                self.assertEqual(sorted(w for w in seen if "refused" not in w), names, p.stdout)
                self.assertEqual([f["kind"] for f in document["findings"]], ["stuck"], p.stdout)
            else:  # the mutex was still to be seen in a register
                self.assertEqual(findings(document), [ABBA], p.stdout)

    def test_two_processes(self):
        with Hang("two_processes") as hang:
            self.settle(hang, ["mutex", "mutex"])
            p, document = inspect(*hang.pids)  # both waited already when the first of them was looked at
            self.assertEqual([f[:2] for f in findings(document)], [("deadlock", None)], p.stdout)
            self.assertIn("2 processes wait for each other", document["findings"][0]["title"])

    def test_full_pipe(self):
        """Only when both processes are looked at, nobody else can be the reader."""
        with Hang("full_pipe") as hang:
            p, document = self.settle(hang, ["the end of a child process", "room to write"])
            self.assertEqual(findings(document), [("stuck", None, [])], p.stdout)
            self.assertIn("2 processes wait for one another", document["findings"][0]["title"])
            p, document = inspect(hang.pids[0])
            self.assertEqual(findings(document), [], p.stdout)
            self.assertIsNone(hang.process.poll())

    def ends_of(self, name, wanted):
        """Of each process's first thread: who has the other end of what it waits for."""
        with Hang(name) as hang:
            p, document = self.settle(hang, wanted)
            self.assertEqual(sorted(waits(document)), sorted(wanted), p.stdout)
            first = [s["threads"][0]["wait"] for s in document["inspected"]]
            return hang.pids, [(w["watched"][0] if "watched" in w else w) for w in first], p.stdout

    def others(self, wait):
        return [(o["pid"], o["name"]) for o in wait["others"]]

    def test_other_ends(self):
        """Of pipes, sockets of this machine, and what is polled for."""
        reads = "something to read"
        for name, wanted in (("sockets", [reads] * 2), ("tcp", [reads] * 2)):
            with self.subTest(name):
                pids, found, text = self.ends_of(name, wanted)
                self.assertEqual(self.others(found[0]), [(pids[1], "inspect-hangs")], text)
                self.assertEqual(self.others(found[1]), [(pids[0], "inspect-hangs")], text)
                self.assertIn("whose other end has process %d (inspect-hangs)" % pids[0], text)
        for name in ("polls", "selects", "epolls"):
            with self.subTest(name):
                pids, found, text = self.ends_of(name, ["events on descriptors", reads])
                self.assertEqual(self.others(found[0]), [(pids[1], "inspect-hangs")], text)
                self.assertEqual(self.others(found[1]), [(pids[0], "inspect-hangs")], text)

    def test_file_locks(self):
        for name, waits_for in (("flocks", "file lock (flock)"), ("records", "file lock (fcntl)")):
            with self.subTest(name):
                pids, found, text = self.ends_of(name, ["the end of a child process", waits_for])
                self.assertEqual(self.others(found[1]), [(pids[0], "inspect-hangs")], text)
                self.assertIn(", locked by process %d (inspect-hangs)" % pids[0], text)

    def test_nobody_else(self):
        with Hang("own_pipe") as hang:
            p, document = self.settle(hang, CASES["own_pipe"][0])
            self.assertIn("which no other process can write to", p.stdout)

    def test_same_id_as_run(self):
        for case, wanted in (("abba", CASES["abba"][0]), ("on_heap", CASES["on_heap"][0]), ("blocks", CASES["blocks"][0]), ("full_pipe", ["the end of a child process", "room to write"])):
            with self.subTest(case):
                self.same_id(case, wanted)

    def same_id(self, case, wanted):
        with Hang(case) as hang:
            _, document = self.settle(hang, wanted)
        with tempfile.TemporaryDirectory(prefix="snarl-inspect-") as folder:
            result = os.path.join(folder, "run.json")
            subprocess.run([SNARL, "run", "--json=" + result, HANGS, case], capture_output=True, timeout=60)
            with open(result) as f:
                run = json.load(f)
        self.assertEqual([f["id"] for f in document["findings"]], [f["id"] for f in run["findings"]])

    def test_text(self):
        with Hang("abba") as hang:
            p, _ = self.settle(hang, CASES["abba"][0])
        self.assertIn("T1 (main): waiting for the end of a thread, T2", p.stdout)
        self.assertIn("T2: waiting for mutex b, which T3 has", p.stdout)
        self.assertIn("#0  a_then_b ", p.stdout)
        self.assertIn("deadlock: 2 threads wait for each other: a and b", p.stdout)

    def test_undisturbed(self):
        """System calls that a stop by a debugger ends with EINTR go on."""
        wanted = ["something to read", "events on descriptors", "something to read", "a signal"]
        with Hang("undisturbed") as hang:
            self.in_calls(hang.pids[0], {"0", "45", "128", "232", "281"})  # read, recvfrom, rt_sigtimedwait, epoll_(p)wait
            p, document = self.settle(hang, wanted)
            self.assertEqual(sorted(waits(document)), sorted(wanted), p.stdout)
            out, _ = hang.process.communicate("go\n", timeout=60)
            hang.process.wait()
            self.assertEqual(sorted(out.splitlines()),
                             ["epoll_wait: undisturbed", "read: undisturbed", "recv: undisturbed", "sigtimedwait: undisturbed"])


for name in CASES:
    setattr(Live, "test_" + name, lambda self, name=name: self.case(name))


class Wrong(unittest.TestCase):
    def refused(self, words, *subjects):
        p, document = inspect(*subjects)
        self.assertEqual((p.returncode, document), (2, None), p.stdout)
        self.assertIn(words, p.stderr)

    def test_no_process(self):
        self.refused("there is no process 999999999", 999999999)

    def test_kernel_thread(self):
        if os.path.exists("/proc/2/task"):
            self.refused("process 2 ", 2)

    def test_no_file(self):
        self.refused("/nowhere/core: No such file", "/nowhere/core")

    def test_no_core(self):
        self.refused("neither a process number nor a core", __file__)
        self.refused("neither a process number nor a core", HANGS)

    def test_nothing(self):
        self.assertEqual(subprocess.run([SNARL, "inspect"], capture_output=True).returncode, 2)

    def test_not_allowed(self):
        if os.geteuid() or not shutil.which("setpriv"):
            self.skipTest("takes root and setpriv")
        with Hang("abba") as hang:
            p = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", SNARL, "inspect", str(hang.pids[0])],
                               capture_output=True, text=True)
            self.assertEqual(p.returncode, 2, p.stdout)
            self.assertIn("not allowed to look at process", p.stderr)


class Core(unittest.TestCase):
    """By the kernel where it writes cores as files, else by gdb's gcore."""

    def dump(self, case, folder):
        with Hang(case) as hang:
            Live().settle(hang, CASES[case][0])
            if shutil.which("gcore"):
                for pid in hang.pids:
                    subprocess.run(["gcore", "-o", os.path.join(folder, "core"), str(pid)], capture_output=True, timeout=120)
        cores = [os.path.join(folder, "core.%d" % pid) for pid in hang.pids]
        if not all(os.path.exists(core) for core in cores):
            self.skipTest("gcore (of gdb) is not there, or may not look at processes")
        return cores

    def test_cases(self):
        # What a core does not have: descriptors; which signals are handled (said below the report); what runs meanwhile.
        unknown = {"own_pipe": [], "handler_posts": [("stuck", None, ["jobs"])]}
        for case in CASES:
            with self.subTest(case), tempfile.TemporaryDirectory(prefix="snarl-core-") as folder:
                p, document = inspect(*self.dump(case, folder))
                found = unknown.get(case, CASES[case][1])
                self.assertEqual(findings(document), found, p.stdout + p.stderr)
                self.assertEqual(sorted(waits(document)), sorted(CASES[case][0]))
                self.assertEqual("which signals the program handles" in p.stdout, ("stuck", None) in [f[:2] for f in found], p.stdout)

    def test_broken(self):
        """Cut and changed cores are told of, or read as far as they go."""
        rng = random.Random(7)
        with tempfile.TemporaryDirectory(prefix="snarl-core-") as folder:
            core = self.dump("abba", folder)[0]
            with open(core, "rb") as f:
                whole = f.read()
            for i in range(60):
                data = bytearray(whole[:rng.randrange(len(whole))] if i % 2 else whole)
                for _ in range(0 if i % 4 == 1 else 40):
                    if data:
                        data[rng.randrange(min(len(data), 1 << (6 + i % 12)))] = rng.randrange(256)
                with open(core, "wb") as f:
                    f.write(data)
                p = subprocess.run([SNARL, "inspect", core], capture_output=True, timeout=60)
                self.assertIn(p.returncode, (0, 2, 66), (i, p.stderr))


def main():
    global SNARL, HANGS
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--snarl", required=True)
    ap.add_argument("--hangs", required=True)
    opts, rest = ap.parse_known_args()
    SNARL, HANGS = os.path.abspath(opts.snarl), os.path.abspath(opts.hangs)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main(argv=[sys.argv[0]] + rest)


if __name__ == "__main__":
    main()
