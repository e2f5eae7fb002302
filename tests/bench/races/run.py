#!/usr/bin/env python3
"""What watching every access costs: kernels and real programs under snarl, ThreadSanitizer, Helgrind and DRD.

Each row gives the native time for one element, each tool's ratio to it, and the peak memory. The goal of each row:
snarl (with gcc) is faster than the faster ThreadSanitizer, and needs no more memory than the smaller one. No program
has a race, and all check their results: `!` behind a ratio says that the tool reported something.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import common  # noqa: E402
import programs  # noqa: E402

TOOLS = ("native", "snarl", "snarl clang", "tsan gcc", "tsan clang", "helgrind", "drd")
SLOWER = {"helgrind": 20, "drd": 20}
SKIPPED = 77

# name shown, element, kernel, flags, SIZE, TIMES, THREADS
ROWS = [
    ("sum of longs, own array", "long", "sum", [], 16384, 10000, 2),
    ("sum of ints, own array", "int", "sum", ["-DELEMENT=int"], 16384, 10000, 2),
    ("sum of longs, shared array", "long", "sum", ["-DSHARED"], 16384, 10000, 2),
    ("list walk, own list", "node", "list", [], 8192, 3000, 2),
    ("list walk, shared list", "node", "list", ["-DSHARED"], 8192, 3000, 2),
    ("matrix product, doubles", "multiply-add", "matrix", [], 128, 60, 2),
    ("hash insert, own table", "insert", "hash_own", [], 8192, 2000, 2),
    ("hash insert, striped locks", "insert", "hash_striped", [], 16384, 100, 2),
    ("counter under a lock", "update", "counter", [], 1, 2000000, 2),
    ("record under a lock", "update", "record", [], 1, 1000000, 2),
    ("blocks handed over", "long", "handover", [], 4096, 2000, 2),
    ("queue on atomics", "message", "queue", [], 1024, 10000000, 2),
    ("bytes: checksum", "byte", "crc", [], 65536, 500, 2),
    ("bytes: compression", "byte", "lz", [], 65536, 300, 2),
    ("function calls", "call", "calls", [], 24, 400, 2),
    ("memcpy", "kB", "copy", [], 262144, 5000, 2),
    ("blocks of 32 bytes", "block", "heap", [], 1000, 3000, 2),
    ("blocks of 1 kB", "block", "heap", ["-DBLOCK=1024"], 1000, 1000, 2),
    ("references to shared objects", "reference", "refcount", [], 1024, 2000, 2),
    ("flag and counter, atomic", "look", "flags", [], 1000, 5000, 2),
    ("barriers, short phases", "cell", "stencil", [], 1024, 20000, 2),
    ("barriers, long phases", "cell", "stencil", [], 65536, 1000, 2),
    ("2 readers and writers", "element", "readers", [], 65536, 1000, 2),
    ("4 readers and writers", "element", "readers", [], 65536, 1000, 4),
    ("16 readers and writers", "element", "readers", [], 65536, 1000, 16),
    ("64 readers and writers", "element", "readers", [], 65536, 1000, 64),
    ("threads come and go by 2", "thread", "churn", [], 64, 2000, 2),
    ("threads come and go by 16", "thread", "churn", [], 64, 250, 16),
    ("200 MB written once", "long", "touch", [], 13107200, 1, 2),
]


def make_tools(folder, opts):
    tools = [common.Tool("native", ["gcc"])] if "native" in opts.tools else []
    clang = common.newest_clang(folder) if "snarl clang" in opts.tools else None
    for name, compiler in (("snarl", "gcc"), ("snarl clang", clang)):
        if name not in opts.tools:
            continue
        if subprocess.run([opts.snarl, "cc", "--help"], capture_output=True, check=False).returncode:
            print(f"{name}: {opts.snarl} has no `snarl cc`, left out")
        elif not compiler:
            print(f"{name}: no clang here, left out")
        else:
            print(f"{name}: with {compiler}")
            watched = [opts.snarl, "run", "--quiet", "--"]
            tools.append(common.Tool(name, [opts.snarl, "cc", f"--with={compiler}"], watched))
    return tools + common.peers(opts.tools, folder, SLOWER, once=("helgrind", "drd"))


def build(compiler, row, folder):
    """The row's program, and why there is none."""
    path = os.path.join(folder, re.sub(r"[^\w.=-]+", "-", "-".join(compiler + [row[2]] + row[3])))
    if os.path.exists(path):
        return path, ""
    sources = [os.path.join(HERE, "main.c"), os.path.join(HERE, "kernels", row[2] + ".c")]
    command = [*compiler, "-g", "-O2", "-pthread", *row[3], *sources, "-o", path]
    p = subprocess.run(command, capture_output=True, text=True, check=False)
    said = p.stderr.splitlines() or ["the compiler failed"]
    errors = [line for line in said if "error" in line or "undefined" in line]
    return path, (errors or said)[0] if p.returncode else ""


def kernel_row(tools, row, folder, opts):
    size, times, threads = row[4:]

    def measure(tool):
        program, why = build(tool.compiler or ["gcc"], row, folder)
        if why:
            return common.Result(why=why)
        count = max(int(times * opts.scale) // tool.slower, 1)
        length = min(size, 65536) if opts.quick else size
        return tool.run([program, str(length), str(count), str(threads)], opts.limit)

    return common.take_turns(tools, opts.rounds, measure)


def program_row(tools, program, folder, opts):
    """The same for a real program: the same work for all tools."""
    peak, built = os.path.join(folder, "peak"), {}
    subprocess.run(["gcc", "-O2", os.path.join(HERE, "peak.c"), "-o", peak], check=True)

    def measure(tool):
        key = " ".join(tool.compiler or ["gcc"])
        try:
            if key not in built:
                built[key] = program.build(tool, os.cpu_count())
        except programs.Trouble as e:
            return common.Result(why=str(e))
        return program.measure(tool, built[key], peak, opts.limit)

    return common.take_turns(tools, opts.rounds, measure)


# ---- the table ----


def cell(tool, result, native):
    if result.ns is None:
        return f"{'none':>15}"
    mark = "!" if result.reported else " "
    memory = f"{result.kb / 1024:.0f} MB"
    if tool.name == "native" or not native:
        return f"{result.ns:.2f} ns{mark}{memory:>7}".rjust(15)
    return f"{result.ns / native:.1f} x{mark}{memory:>7}".rjust(15)


def verdict(found):
    """snarl beside the best ThreadSanitizer, for time and for memory."""
    peers = [r for name, r in found.items() if name.startswith("tsan") and r.ns is not None]
    snarl, clang = found.get("snarl"), found.get("snarl clang")
    if not peers or not snarl or snarl.ns is None:
        return ""
    said = []
    for what, value in (("time", lambda r: r.ns), ("memory", lambda r: r.kb)):
        goal = min(value(r) for r in peers)
        if value(snarl) <= goal:
            said.append(what + " kept")
        elif clang and clang.ns is not None and value(clang) <= goal:
            said.append(what + " MISSED, with clang kept")
        else:
            said.append(what + " MISSED")
    return "  " + ", ".join(said)


def line(tools, name, found, opts):
    native = found["native"].ns if "native" in found else None
    cells = "".join(cell(tool, found[tool.name], native) for tool in tools)
    print(f"{name:<28}" + cells + ("" if opts.quick else verdict(found)), flush=True)


# ---- how dense accesses are ----


def hooks(rows, folder, opts):
    """Calls of hooks for one element, as gcc and clang place them, and for one microsecond of the native program."""
    clang = common.newest_clang(folder)
    compilers = ["gcc"] + ([clang] if clang else [])
    native = common.Tool("native", ["gcc"])
    counter = os.path.join(folder, "hooks.o")
    subprocess.run(["gcc", "-O2", "-c", os.path.join(HERE, "hooks.c"), "-o", counter], check=True)
    heads = [f"{c + ': access atomic range function  per us':>50}" for c in compilers]
    print(f"{'hooks for one element':<39}" + "".join(heads))
    for row in rows:
        measured = kernel_row([native], row, folder, opts)["native"]
        cells = []
        for compiler in compilers:
            program = os.path.join(folder, "counted")
            objects = [os.path.join(folder, name) for name in ("main.o", row[2] + ".o")]
            sources = [os.path.join(HERE, "main.c"), os.path.join(HERE, "kernels", row[2] + ".c")]
            instrument = [compiler, "-fsanitize=thread", "-g", "-O2", "-c"]
            subprocess.run([*instrument, *row[3], *sources], cwd=folder, check=True)
            subprocess.run(["gcc", *objects, counter, "-pthread", "-o", program], check=True)
            argv = [program, str(row[4]), str(max(row[5] // 100, 1)), str(row[6])]
            p = subprocess.run(argv, capture_output=True, text=True, check=True)
            counts = [float(x) for x in p.stderr.split()[1:]]
            cells.append("".join(f"{x:>9.3g}" for x in counts) + f"{sum(counts) / measured.ns * 1000:>10.0f}")
        print(f"{row[0]:<28}{measured.ns:>8.2f} ns" + "".join(f"{c:>50}" for c in cells), flush=True)


def real_programs(opts, folder):
    """Those that were given or can be fetched; says why others are not there."""
    found, sources = [], [("", path) for path in opts.source] + [(name, None) for name in opts.fetch.split(",") if name]
    if not sources:
        print("real programs: left out; --source=PATH takes the source of zstd or pigz, --fetch=zstd,pigz Debian's")
    for number, (name, path) in enumerate(sources):
        at = os.path.join(folder, f"program{number}")
        os.mkdir(at)
        try:
            found.append(programs.Program(path or programs.fetch(name, at), at))
        except programs.Trouble as e:
            print(f"real program {name or path}: left out: {e}")
    return found


def parse():
    ap = common.arguments(__doc__, TOOLS)
    ap.add_argument("--source", metavar="PATH", action="append", default=[],
                    help="source of zstd or pigz, a folder or an archive: one more row; repeatable")
    ap.add_argument("--fetch", metavar="NAMES", default="", help="zstd, pigz: the same, from Debian's source packages")
    ap.add_argument("--hooks", action="store_true", help="only count the hooks that compilers place in the kernels")
    opts = common.parse(ap, TOOLS)
    if opts.quick:
        opts.rounds, opts.scale, opts.tools = 1, 0.001, ["native", "snarl", "tsan gcc"]
    return opts


def main():
    opts = parse()
    rows = [row for row in ROWS if opts.rows in row[0]]
    with tempfile.TemporaryDirectory(prefix="snarl-bench-") as folder:
        if opts.hooks:
            return hooks(rows, folder, opts)
        tools = make_tools(folder, opts)
        real = [p for p in real_programs(opts, folder) if opts.rows in p.name]
        print(f"{'ratio to native; memory':<28}" + "".join(f"{tool.name:>15}" for tool in tools))
        done = []
        for row in rows + real:
            found = kernel_row(tools, row, folder, opts) if row in rows else program_row(tools, row, folder, opts)
            done.append((row[0] if row in rows else f"{row.name}, {programs.INPUT_BYTES >> 20} MB", found))
            line(tools, *done[-1], opts)
    return judge(done, tools, opts)


def judge(done, tools, opts):
    """The exit status; says what is broken."""
    broken = [(name, tool, r.why) for name, found in done for tool, r in found.items() if r.ns is None]
    for name, tool, why in broken:
        print(f"no value for {name}, {tool}: {why}", file=sys.stderr)
    for name, found in done:
        if any(r.reported for tool, r in found.items() if tool.startswith("snarl")):
            broken.append((name, "snarl", "reported"))
            print(f"{name}: snarl reports something, and there is nothing", file=sys.stderr)
    if opts.quick and "snarl" not in [tool.name for tool in tools]:
        return SKIPPED
    return 1 if any(tool == "native" or tool.startswith("snarl") for _, tool, _ in broken) else 0


if __name__ == "__main__":
    sys.exit(main())
