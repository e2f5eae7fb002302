#!/usr/bin/env python3
"""Watching accesses in hostile surroundings: wild pointers, limits, layouts, locked memory, cores, forks."""
import argparse
import glob
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

SNARL = None
HERE = os.path.dirname(os.path.abspath(__file__))
COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]

RACE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
static int counter, step;
static void *one(void *x) { counter++; __atomic_store_n(&step, 1, __ATOMIC_RELAXED); return x; }
static void *two(void *x) { while (!__atomic_load_n(&step, __ATOMIC_RELAXED)) ; counter++; return x; }
static void both(void) { pthread_t t, u; step = 0; pthread_create(&t, 0, one, 0); pthread_create(&u, 0, two, 0);
    pthread_join(t, 0); pthread_join(u, 0); }
static volatile char *touch(size_t n) { volatile char *p = mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; p != MAP_FAILED && i < n; i += 8) p[i] = 1;
    return p; }
int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "lock")) printf("%d\n", mlockall(MCL_CURRENT | MCL_FUTURE));
    if (!strcmp(what, "limit")) { struct rlimit r = {1 << 30, 1 << 30}, s; setrlimit(RLIMIT_AS, &r); getrlimit(RLIMIT_AS, &s);
        printf("%d\n", s.rlim_cur == r.rlim_cur); }
    both();
    if (!strcmp(what, "fixed")) { volatile long *p = mmap((void *)0x310000000000, 8192, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0); p[0]++; p[1]++; printf("%ld\n", p[0] + p[1]); }
    touch(32 << 20);
    if (!strcmp(what, "fork")) { pid_t p = fork(); if (!p) { both(); _exit(counter == 4 ? 0 : 1); } int s; waitpid(p, &s, 0);
        printf("%d\n", s); }
    if (!strcmp(what, "crash")) abort();
    return 0;
}
"""


def cores_elsewhere():
    with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as f:
        return f.read().strip() != "core"


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k != "LD_PRELOAD"}


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="snarl-accesses-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_here(self, *command, **kw):
        return subprocess.run(command, cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120, **kw)

    def build(self, source, *flags, compiler="gcc", name="program", watched=True):
        wrapper = [SNARL, "cc", "--with=" + compiler] if watched else [compiler]
        p = self.run_here(*wrapper, "-g", "-O1", "-pthread", *flags, source, "-o", self.path(name))
        self.assertEqual(p.returncode, 0, p.stderr)
        return self.path(name)

    def race(self, *flags):
        with open(self.path("race.c"), "w", encoding="utf-8") as f:
            f.write(RACE)
        return self.build(self.path("race.c"), *flags)

    def finds(self, *command, **kw):
        p = self.run_here(*command, **kw)
        self.assertIn("data race: counter", p.stderr, command)
        return p


class WildPointers(Case):
    ADDRESSES = ("0", "8", "1", "0x7000000000000000", "0x800000000000", "0xffff800000000000", "0x123456789000")
    HOW = ("none", "jump", "once", "info", "signal", "ignore", "raise")

    def test_the_program_faults_as_ever(self):
        plain = self.build(os.path.join(HERE, "wild.c"), name="plain", watched=False)
        for compiler in COMPILERS:
            program = self.build(os.path.join(HERE, "wild.c"), compiler=compiler)
            for args in ((a, w, h) for a in self.ADDRESSES for w in "rw" for h in self.HOW):
                with self.subTest(compiler=compiler, args=args):
                    want, got = self.run_here(plain, *args), self.run_here(program, *args)
                    self.assertEqual((got.returncode, got.stdout), (want.returncode, want.stdout))

    def test_the_core_shows_the_program(self):
        if not shutil.which("gdb") or cores_elsewhere():
            self.skipTest("no gdb, or cores go elsewhere")
        program = self.build(os.path.join(HERE, "wild.c"))
        p = self.run_here(program, "0x7000000000000000", "w", "none", preexec_fn=allow_cores)
        self.assertEqual(p.returncode, -signal.SIGSEGV)
        core = glob.glob(self.path("core*"))
        self.assertEqual(len(core), 1)
        trace = self.run_here("gdb", "-batch", "-ex", "bt", program, core[0]).stdout
        self.assertRegex(trace, r"#0 .*write_it")


def allow_cores():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def little_room():
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def endless_stack():
    resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_STACK)[1]))


class Surroundings(Case):
    def test_every_layout(self):
        for flags in (("-fPIE", "-pie"), ("-fno-PIE", "-no-pie")):
            program = self.race(*flags)
            self.finds(program)
            for how in (("-R",), ("-L",), ("-R", "-L")):
                if self.run_here("setarch", *how, "true").returncode == 0:
                    self.finds("setarch", *how, program)
            if resource.getrlimit(resource.RLIMIT_STACK)[1] == resource.RLIM_INFINITY:
                self.finds(program, preexec_fn=endless_stack)

    def test_no_room_is_said_and_the_program_runs(self):
        p = self.run_here(self.race(), preexec_fn=little_room)
        self.assertEqual(p.returncode, 0)
        self.assertIn("not watching memory accesses", p.stderr)
        self.assertNotIn("data race", p.stderr)

    def test_a_limit_of_the_programs_own_is_for_its_memory(self):
        self.assertEqual(self.finds(self.race(), "limit").stdout, "1\n")

    def test_locked_memory(self):
        p = self.run_here(self.race(), "lock")
        self.assertIn(p.stdout, ("0\n", "-1\n"))  # what the limits allow
        self.assertIn("data race: counter", p.stderr)

    def test_a_region_far_from_all_others(self):
        self.assertEqual(self.finds(self.race(), "fixed").stdout, "2\n")

    def test_a_child_begins_anew(self):
        self.assertEqual(self.finds(self.race(), "fork").stdout, "0\n")

    def test_cores_are_small(self):
        if cores_elsewhere():
            self.skipTest("cores go elsewhere")
        p = self.run_here(self.race(), "crash", preexec_fn=allow_cores)
        self.assertEqual(p.returncode, -signal.SIGABRT)
        sizes = [os.stat(core).st_size for core in glob.glob(self.path("core*"))]
        self.assertEqual(len(sizes), 1)
        self.assertLess(sizes[0], 512 << 20)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--snarl", required=True)
    args, rest = parser.parse_known_args()
    SNARL = os.path.abspath(args.snarl)
    unittest.main(argv=sys.argv[:1] + rest)
