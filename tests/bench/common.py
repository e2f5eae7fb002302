"""What the benchmarks share: their options, the tools that they compare, and rounds in which the tools take turns.

A program that is measured prints "ns kB" at its end: nanoseconds for one element of its work, and its peak resident
memory. The smallest value of all rounds counts, since noise only adds.
"""
import argparse
import collections
import functools
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
REPORTED = 66  # the exit status of a tool that has something to report
CLANGS = ("clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14", "clang")
PROBE = b"#include <pthread.h>\nstatic void *f(void *p) { return p; }\n" \
        b"int main(void) { pthread_t t; return pthread_create(&t, 0, f, 0) || pthread_join(t, 0); }\n"

# ns: None when there is no value, then `why` says why not. reported: the tool ended with status 66.
Result = collections.namedtuple("Result", "ns kb reported why", defaults=(None, None, False, ""))


class Tool:
    """compiler: what builds its programs; None: it runs those of native. command: what stands in front of a program.
    slower: it does so many times fewer iterations. once: it is measured in the first round only."""

    def __init__(self, name, compiler=None, command=(), env=None, slower=1, once=False):
        self.name, self.compiler, self.command, self.slower, self.once = name, compiler, list(command), slower, once
        self.env = {**os.environ, **(env or {})}

    def run(self, argv, limit, launcher=()):
        """launcher: what measures the program from outside, when that is not done by the program itself."""
        try:
            p = subprocess.run([*launcher, *self.command, *argv], env=self.env, stdin=subprocess.DEVNULL,
                               capture_output=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            return Result(why=f"longer than {limit:.0f} s")
        try:
            ns, kb = p.stdout.split()[-2:]
            return Result(float(ns), int(kb), p.returncode == REPORTED)
        except (ValueError, IndexError):
            said = p.stderr.decode(errors="replace").strip().split("\n")
            wrong = [line for line in said if line.startswith("wrong: ")]
            return Result(why=(wrong or said)[-1] or f"ended with status {p.returncode}")


def arguments(doc, tools):
    ap = argparse.ArgumentParser(description=doc.split("\n", maxsplit=1)[0])
    ap.add_argument("--snarl", default=os.path.normpath(os.path.join(HERE, "../../build/bin/snarl")))
    ap.add_argument("--quick", action="store_true", help="tiny counts: only shows that it runs (used by the tests)")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--scale", type=float, default=1.0, help="multiplies all iteration counts")
    ap.add_argument("--limit", type=float, default=120, help="seconds for one measurement")
    ap.add_argument("--tools", default=",".join(tools), help="separated by commas; all: " + ", ".join(tools))
    ap.add_argument("--rows", default="", help="only rows whose name holds this")
    return ap


def parse(ap, tools):
    opts = ap.parse_args()
    opts.tools = [name.strip() for name in opts.tools.split(",")]
    for name in opts.tools:
        if name not in tools:
            ap.error(f"no tool '{name}'; there are: {', '.join(tools)}")
    return opts


def compiles(command, folder):
    """Whether it makes programs with threads, and these run."""
    program = os.path.join(folder, "probe")
    try:
        argv = [*command, "-pthread", "-x", "c", "-", "-o", program]
        subprocess.run(argv, input=PROBE, check=True, capture_output=True, timeout=60)
        subprocess.run([program], check=True, capture_output=True, timeout=60)
    except (subprocess.SubprocessError, OSError):
        return False
    return True


@functools.lru_cache
def newest_clang(folder):
    """The newest clang here whose ThreadSanitizer works; None without one."""
    for name in CLANGS:
        if shutil.which(name) and compiles([name, "-fsanitize=thread"], folder):
            return name
    return None


def peers(names, folder, slower, once=()):
    """Those of the named tools that snarl is measured against and that are here; says which are not."""
    tools = []
    for name in ("tsan gcc", "tsan clang"):
        if name not in names:
            continue
        compiler = "gcc" if name == "tsan gcc" else newest_clang(folder)
        if compiler and compiles([compiler, "-fsanitize=thread"], folder):
            version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
            print(f"{name}: {compiler}, {version.splitlines()[0]}")
            env = {"TSAN_OPTIONS": "atexit_sleep_ms=0"}
            tools.append(Tool(name, [compiler, "-fsanitize=thread"], env=env, slower=slower.get(name, 1)))
        else:
            print(f"{name}: no such compiler with its library here, left out")
    for name in ("helgrind", "drd"):
        if name in names and shutil.which("valgrind"):
            command = ["valgrind", "-q", f"--error-exitcode={REPORTED}", "--tool=" + name]
            tools.append(Tool(name, command=command, slower=slower.get(name, 1), once=name in once))
        elif name in names:
            print(f"{name}: no valgrind here, left out")
    return tools


def better(old, new):
    if not old or old.ns is None or new.ns is None:
        return new
    return Result(min(old.ns, new.ns), min(old.kb, new.kb), old.reported or new.reported)


def take_turns(tools, rounds, measure):
    """{tool's name: best Result} of measure(tool). A tool that had no value gets no second try."""
    found = {}
    for n in range(rounds):
        for tool in tools:
            if n == 0 or (not tool.once and found[tool.name].ns is not None):
                found[tool.name] = better(found.get(tool.name), measure(tool))
    return found
