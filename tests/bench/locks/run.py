#!/usr/bin/env python3
"""Nanoseconds per uncontended acquire and release: native, through a pass-through shim, watched by snarl, ThreadSanitizer, Helgrind and DRD.

All tools take turns, several rounds; the smallest value of each counts, since noise only adds. Slow tools run fewer iterations. The
last column says whether snarl keeps the goal of its row.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# name shown, row of bench.c, N, iterations at full speed, goal as a ratio to native, only for tools that survive it
PAIRS = [
    ("mutex, depth 1", "nest", 1, 3000000, 2.0),
    ("mutex, depth 2", "nest", 2, 3000000, 2.0),
    ("mutex, depth 4", "nest", 4, 3000000, 2.0),
    ("10,000 mutexes in turn", "many", 10000, 3000000, 3.0),
    ("two threads contend", "contended", 1, 1000000, 2.0),
    ("rwlock, reading", "read", 1, 3000000, 2.0),
    ("rwlock, writing", "write", 1, 3000000, 2.0),
    ("semaphore", "sem", 1, 3000000, 2.0),
    ("spin lock", "spin", 1, 3000000, 2.0),
    ("recursive mutex", "recursive", 1, 3000000, 2.0),
    ("trylock", "try", 1, 3000000, 2.0),
]
SCALE = [
    ("one of 10 known orders", "orders", 10, 2000000),
    ("one of 1,000 known orders", "orders", 1000, 2000000),
    ("one of 100,000 known orders", "orders", 100000, 2000000),
    ("100 orders in turn", "inside", 100, 2000000),
    ("10,000 orders in turn", "inside", 10000, 2000000),
    ("1,000 locks held at once", "held", 1000, 200000),
    ("10,000 locks held at once", "held", 10000, 200000),
    ("1,000 threads at once", "threads", 1000, 1000),
    ("10,000 threads at once", "threads", 10000, 10000),
    ("1,000,000 live locks", "live", 1000000, 1000000),
]
SLOWER = {"helgrind": 100, "drd": 200, "tsan gcc": 4, "tsan clang": 4}


class Tools:
    def __init__(self, folder, snarl, wanted):
        self.folder, self.commands, self.env = folder, {}, {}
        bench = self.build("bench", "gcc")
        shim = os.path.join(folder, "shim.so")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", os.path.join(HERE, "shim.c"), "-o", shim], check=True)
        self.add("native", wanted, [bench])
        self.add("shim", wanted, [bench], {"LD_PRELOAD": shim})
        self.add("snarl", wanted, [snarl, "run", "--quiet", "--exit-code=0", "--", bench])
        for name, compiler in (("tsan gcc", "gcc"), ("tsan clang", "clang")):
            if name in wanted and shutil.which(compiler):
                program = self.build(name.replace(" ", "-"), compiler, "-fsanitize=thread")
                if program:
                    self.add(name, wanted, [program], {"TSAN_OPTIONS": "report_bugs=0"})
        if shutil.which("valgrind"):
            for name in ("helgrind", "drd"):
                self.add(name, wanted, ["valgrind", "-q", "--tool=" + name, bench])

    def build(self, name, compiler, *flags):
        program = os.path.join(self.folder, name)
        p = subprocess.run([compiler, "-O2", "-g", "-pthread", *flags, os.path.join(HERE, "bench.c"), "-o", program], capture_output=True)
        return None if p.returncode else program

    def add(self, name, wanted, command, env=None):
        if name in wanted:
            self.commands[name], self.env[name] = command, {**os.environ, **(env or {})}

    def measure(self, tool, row, iterations, n, limit):
        """(ns per pair, resident kB), or None."""
        argv = self.commands[tool] + [row, str(iterations), str(n)]
        try:
            p = subprocess.run(argv, env=self.env[tool], stdin=subprocess.DEVNULL, capture_output=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return None
        try:
            ns, kb = p.stdout.split()[-2:]
            return float(ns), int(kb)
        except (ValueError, IndexError):
            return None


def best(old, new):
    if not old or not new:
        return old or new
    return min(old[0], new[0]), min(old[1], new[1])


def table(tools, rows, opts):
    """[(row, {tool: result})]"""
    results = []
    for row in rows:
        name, kind, n, iterations = row[:4]
        found = {}
        for _ in range(opts.rounds):
            for tool in tools.commands:
                if kind in ("held", "threads", "live", "orders", "inside") and tool not in ("native", "shim", "snarl"):
                    continue
                count = max(int(iterations * opts.scale) // SLOWER.get(tool, 1), n, 10)
                if tool in SLOWER and kind == "many":
                    count = n
                if tool in found and found[tool] is None:
                    continue
                found[tool] = best(found.get(tool), tools.measure(tool, kind, count, n, opts.limit))
        results.append((row, found))
        line(tools, row, found)
    return results


def line(tools, row, found):
    cells, native = [], found.get("native")
    for tool in tools.commands:
        r = found.get(tool)
        if r is None:
            cells.append(f"{'-' if tool not in found else 'none':>16}")
        elif tool == "native" or not native:
            cells.append(f"{r[0]:>16.1f}")
        else:
            cells.append(f"{r[0]:>8.1f} {r[0] / native[0]:>5.1f} x")
    verdict = ""
    if len(row) > 4 and native and found.get("snarl"):
        ratio = found["snarl"][0] / native[0]
        verdict = f"  goal {row[4]:.0f} x: " + ("kept" if ratio <= row[4] else "MISSED")
    if row[1] in ("live", "threads") and native and found.get("snarl"):
        verdict = f"  memory {native[1] // 1024} MB native, {found['snarl'][1] // 1024} MB watched"
        if row[1] == "live":
            verdict += ": goal of 200 MB more " + ("kept" if found["snarl"][1] - native[1] <= 200 * 1024 else "MISSED")
    print(f"{row[0]:<28}" + "".join(cells) + verdict, flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--snarl", default=os.path.normpath(os.path.join(HERE, "../../../build/bin/snarl")))
    ap.add_argument("--quick", action="store_true", help="tiny counts: only shows that it runs (used by the tests)")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--scale", type=float, default=1.0, help="multiplies all iteration counts")
    ap.add_argument("--limit", type=float, default=120, help="seconds for one measurement")
    ap.add_argument("--tools", default="native,shim,snarl,tsan gcc,tsan clang,helgrind,drd")
    ap.add_argument("--rows", default="", help="only rows whose name holds this")
    opts = ap.parse_args()
    if opts.quick:
        opts.rounds, opts.scale, opts.tools = 1, 0.001, "native,shim,snarl"
    with tempfile.TemporaryDirectory(prefix="snarl-bench-") as folder:
        tools = Tools(folder, opts.snarl, opts.tools.split(","))
        print("ns per acquire and release, and the ratio to native")
        print(f"{'':<28}" + "".join(f"{t:>16}" for t in tools.commands))
        pairs = [r for r in PAIRS if opts.rows in r[0]]
        scale = [r for r in SCALE if opts.rows in r[0]]
        if opts.quick:
            scale = [r for r in scale if r[2] <= 1000]
        done = table(tools, pairs, opts) + table(tools, scale, opts)
    broken = [row[0] for row, found in done if found.get("native") is None or found.get("snarl") is None]
    if broken:
        print("no value for: " + ", ".join(broken), file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
