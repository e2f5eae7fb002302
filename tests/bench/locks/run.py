#!/usr/bin/env python3
"""Nanoseconds per uncontended acquire and release: native, through a pass-through shim, watched by snarl without and with contention, ThreadSanitizer, Helgrind and DRD.

All tools take turns, several rounds; the smallest value of each counts, since noise only adds. Slow tools run fewer iterations. The
last column says whether snarl keeps the goal of its row.
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import common  # noqa: E402

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
TOOLS = ("native", "shim", "snarl", "contention", "tsan gcc", "tsan clang", "helgrind", "drd")
OURS = ("native", "shim", "snarl", "contention")
MEASURES = "--detect=deadlock,misuse,race,atomicity,contention"
ONLY_SNARL = ("held", "threads", "live", "orders", "inside")


def make_tools(folder, opts):
    shim = os.path.join(folder, "shim.so")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", os.path.join(HERE, "shim.c"), "-o", shim], check=True)
    tools = [common.Tool("native", ["gcc"]), common.Tool("shim", env={"LD_PRELOAD": shim}),
             common.Tool("snarl", command=[opts.snarl, "run", "--quiet", "--exit-code=0", "--"]),
             common.Tool("contention", command=[opts.snarl, "run", "--quiet", "--exit-code=0", MEASURES, "--"])]
    tools = [tool for tool in tools if tool.name in opts.tools] + common.peers(opts.tools, folder, SLOWER)
    return tools


def build(tools, folder):
    """{tool's name: its program}"""
    programs = {}
    for tool in tools:
        compiler = tool.compiler or ["gcc"]
        program = os.path.join(folder, "-".join(compiler).replace("/", "-"))
        if not os.path.exists(program):
            command = [*compiler, "-O2", "-g", "-pthread", os.path.join(HERE, "bench.c"), "-o", program]
            subprocess.run(command, check=True)
        programs[tool.name] = program
    return programs


def table(tools, programs, rows, opts):
    """[(row, {tool's name: result})]"""
    results = []
    for row in rows:
        kind, n, iterations = row[1:4]

        def measure(tool):
            count = max(int(iterations * opts.scale) // tool.slower, n, 10)
            if tool.slower > 1 and kind == "many":
                count = n
            return tool.run([programs[tool.name], kind, str(count), str(n)], opts.limit)

        able = [tool for tool in tools if kind not in ONLY_SNARL or tool.name in OURS]
        results.append((row, common.take_turns(able, opts.rounds, measure)))
        line(tools, *results[-1])
    return results


def line(tools, row, found):
    cells, native = [], found.get("native")
    native = native and native.ns
    for tool in tools:
        r = found.get(tool.name)
        if not r or r.ns is None:
            cells.append(f"{'none' if r else '-':>16}")
        elif tool.name == "native" or not native:
            cells.append(f"{r.ns:>16.1f}")
        else:
            cells.append(f"{r.ns:>8.1f} {r.ns / native:>5.1f} x")
    print(f"{row[0]:<28}" + "".join(cells) + verdict(row, found.get("native"), found.get("snarl")), flush=True)


def verdict(row, native, snarl):
    if not native or not snarl or native.ns is None or snarl.ns is None:
        return ""
    if len(row) > 4:
        return f"  goal {row[4]:.0f} x: " + ("kept" if snarl.ns / native.ns <= row[4] else "MISSED")
    if row[1] not in ("live", "threads"):
        return ""
    said = f"  memory {native.kb // 1024} MB native, {snarl.kb // 1024} MB watched"
    if row[1] == "live":
        said += ": goal of 200 MB more " + ("kept" if snarl.kb - native.kb <= 200 * 1024 else "MISSED")
    return said


def main():
    opts = common.parse(common.arguments(__doc__, TOOLS), TOOLS)
    if opts.quick:
        opts.rounds, opts.scale, opts.tools = 1, 0.001, list(OURS)
    with tempfile.TemporaryDirectory(prefix="snarl-bench-") as folder:
        tools = make_tools(folder, opts)
        programs = build(tools, folder)
        print("ns per acquire and release, and the ratio to native")
        print(f"{'':<28}" + "".join(f"{tool.name:>16}" for tool in tools))
        pairs = [r for r in PAIRS if opts.rows in r[0]]
        scale = [r for r in SCALE if opts.rows in r[0]]
        if opts.quick:
            scale = [r for r in scale if r[2] <= 1000]
        done = table(tools, programs, pairs, opts) + table(tools, programs, scale, opts)
    values = [(row[0], found.get(name)) for row, found in done for name in ("native", "snarl", "contention")]
    broken = [(name, r.why) for name, r in values if r and r.ns is None]
    for name, why in broken:
        print(f"no value for {name}: {why}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
