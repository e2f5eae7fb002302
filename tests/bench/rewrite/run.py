#!/usr/bin/env python3
"""What rewriting costs: kernels and installed programs as they are, beside ThreadSanitizer, Helgrind and DRD.

Kernels are those of bench races: time for one element, without the start, and peak memory. Programs: processor time of
one byte or request, without the start, and peak memory. The bar: at most 3 times the native processor
time typically and 5 times at worst, at least ten times faster than Helgrind and DRD, not slower than ThreadSanitizer.
"""
import contextlib
import importlib.util
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("..", "../races", "../../programs"):
    sys.path.insert(0, os.path.normpath(os.path.join(HERE, folder)))
import batch  # noqa: E402
import common  # noqa: E402
import watch_program  # noqa: E402

SPEC = importlib.util.spec_from_file_location("races", os.path.join(HERE, "../races/run.py"))
races = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(races)

TOOLS = ("native", "rewrite", "tsan gcc", "helgrind", "drd")
SLOWER = {"helgrind": 20, "drd": 20}
TYPICAL, WORST = 3.0, 5.0

SQL = ("pragma threads=2; create table t(id integer primary key, k text, v real);"
       "with recursive c(i) as (select 1 union all select i+1 from c where i < {n}) insert into t select i, hex(i * 7919), i * 0.5 from c;"
       "select k from t order by substr(k, 3), v limit 1; create index ti on t(k); update t set v = v + 1 where id % 3 = 0;"
       "select sum(v) from t group by substr(k, 1, 2) order by 1 limit 5; delete from t where id % 2; vacuum;")
# name: command on the file `text`, and its size in MB where the work takes some seconds
BATCH = {
    "pigz": ("pigz -p2 -c text", 40),
    "pbzip2": ("pbzip2 -p2 -c text", 25),
    "lbzip2": ("lbzip2 -n2 -c text", 25),
    "plzip": ("plzip -n2 -1 -B 2MiB -c text", 25),
    "xz": ("xz -T2 -1 --block-size=2MiB -c text", 25),
    "zstd": ("zstd -q -T2 -9 -B2M -c text", 60),
    "7z": ("/usr/lib/p7zip/7z a -bd -bso0 -mmt=2 -mx=5 out.7z text", 8),
    "sqlite3": ("sqlite3 :memory: {sql}", 0.4),  # in rows
}


def start(tool, argv, folder, opts):
    return subprocess.Popen([opts.cost, *tool.command, *argv], cwd=folder, env=tool.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            start_new_session=True)


def ends(process, limit):
    """The result, by what cost prints: nanoseconds of processor time."""
    try:
        out, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return common.Result(why=f"longer than {limit:.0f} s")
    if process.returncode not in (0, common.REPORTED, 128 + signal.SIGTERM):
        return common.Result(why=f"ended with status {process.returncode}")
    seconds, kb = out.split()
    return common.Result(float(seconds) * 1e9, int(kb), process.returncode == common.REPORTED)


def batch_cost(name, tool, folder, opts, units):
    at = tempfile.mkdtemp(dir=folder)
    batch.text(os.path.join(at, "text"), units / batch.TEXT_BYTES)
    argv = [a.replace("{sql}", SQL.replace("{n}", str(units))) for a in shlex.split(BATCH[name][0])]
    result = ends(start(tool, argv, at, opts), opts.limit)
    shutil.rmtree(at)
    return result


def batch_units(name):
    return int(BATCH[name][1] * 1e6)


def redis_load(sock, requests):
    subprocess.run(["redis-benchmark", "-s", sock, "-q", "-n", str(max(requests // 6, 1)), "-c", "20", "-P", "8", "-t", "set,get,lpush,lpop,sadd,hset"],
                   check=True, capture_output=True)


def memcached_load(sock, requests):
    errors = []
    watch_program.memcached_load(sock, [f"k{i}" for i in range(100)], max(requests // 200, 1), errors)
    if errors:
        raise RuntimeError(str(errors[0]))


SERVERS = {
    "redis": (["redis-server", "--port", "0", "--unixsocket", "{sock}", "--save", ""], redis_load, 900000),
    "memcached": (["memcached", "-s", "{sock}", "-t", "2", "-m", "64", *(["-u", "root"] if os.geteuid() == 0 else [])], memcached_load, 100000),
}


def server_cost(name, tool, folder, opts, units):
    command, load, _ = SERVERS[name]
    sock = os.path.join(folder, "sock")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(sock)
    process = start(tool, [a.replace("{sock}", sock) for a in command], folder, opts)
    ready, end = watch_program.connects(sock), time.monotonic() + opts.limit
    while not ready():
        if time.monotonic() > end or process.poll() is not None:
            os.killpg(process.pid, signal.SIGKILL)
            return common.Result(why="did not come up")
        time.sleep(0.05)
    load(sock, units)
    process.terminate()
    return ends(process, opts.limit)


def server_units(name):
    return SERVERS[name][2]


def measure(cost, name, units, tool, folder, opts):
    """For one unit, without the start: from a whole run and one of a tenth of its work."""
    many = max(int(units * opts.scale) // tool.slower, 1000)
    few = many // 10
    long, short = cost(name, tool, folder, opts, many), cost(name, tool, folder, opts, few)
    if long.ns is None or short.ns is None:
        return long if long.ns is None else short
    return common.Result(max(long.ns - short.ns, 1.0) / (many - few), long.kb, long.reported)


def make_tools(folder, opts):
    tools = [common.Tool("native", ["gcc"])] if "native" in opts.tools else []
    if "rewrite" in opts.tools:
        command = [opts.snarl, "run", "--quiet", "--accesses=rewrite", "--modules=all", "--log=/dev/null", "--"]
        tools.append(common.Tool("rewrite", None, command, env={"SNARL_UNFINISHED": "1"}))
    return tools + common.peers(opts.tools, folder, SLOWER, once=("helgrind", "drd"))


def kernel(row):
    return lambda tools, folder, opts: races.kernel_row(tools, row, folder, opts)


def program(name, cost, units, needs):
    def run(tools, folder, opts):
        if not shutil.which(needs):
            return None
        return common.take_turns([t for t in tools if not t.name.startswith("tsan")], opts.rounds, 
                                 lambda tool: measure(cost, name, units, tool, folder, opts))
    return run


def rows(opts):
    found = {row[0]: kernel(row) for row in races.ROWS}
    found.update({name: program(name, batch_cost, batch_units(name), command.split()[0]) for name, (command, _) in BATCH.items()})
    found.update({name: program(name, server_cost, server_units(name), command[0]) for name, (command, _, _) in SERVERS.items()})
    if opts.quick:
        return {name: found[name] for name in ("sum of longs, own array", "counter under a lock", "pigz", "sqlite3")}
    return {name: run for name, run in found.items() if opts.rows in name}


def judge(done):
    """Says how the rows stand against the bar."""
    ratios = {name: f["rewrite"].ns / f["native"].ns for name, f in done.items() if f["rewrite"].ns and f["native"].ns}
    if not ratios:
        return
    over = [name for name, r in ratios.items() if r > WORST]
    print(f"rewrite to native: median {statistics.median(ratios.values()):.1f} (bar {TYPICAL:.0f}), worst {max(ratios.values()):.1f} (bar {WORST:.0f}); "
          f"{len(over)} of {len(ratios)} rows above {WORST:.0f}" + (": " + "; ".join(over) if over else ""))
    for tool, factor in (("helgrind", 10), ("drd", 10), ("tsan gcc", 1)):
        both = {n: f[tool].ns / f["rewrite"].ns for n, f in done.items() if tool in f and f[tool].ns and f["rewrite"].ns}
        if both:
            less = [n for n, r in both.items() if r < factor]
            print(f"{tool} to rewrite: median {statistics.median(both.values()):.1f}; less than {factor} in {len(less)} of {len(both)} rows"
                  + (": " + "; ".join(less) if less else ""))


def main():
    ap = common.arguments(__doc__, TOOLS)
    opts = common.parse(ap, TOOLS)
    if opts.quick:
        opts.rounds, opts.scale, opts.tools = 1, 0.001, ["native", "rewrite"]
    broken, done = 0, {}
    with tempfile.TemporaryDirectory(prefix="snarl-bench-") as folder:
        opts.cost = os.path.join(folder, "cost")
        subprocess.run(["gcc", "-O2", os.path.join(HERE, "cost.c"), "-o", opts.cost], check=True)
        tools = make_tools(folder, opts)
        print(f"{'ratio to native; memory':<28}" + "".join(f"{tool.name:>15}" for tool in tools))
        for name, run in rows(opts).items():
            found = run(tools, folder, opts)
            if found is None:
                print(f"{name:<28}  not installed")
                continue
            done[name] = found
            native = found["native"].ns if "native" in found else None
            print(f"{name:<28}" + "".join(races.cell(t, found.get(t.name, common.Result(why="no source")), native) for t in tools), flush=True)
            for tool in ("native", "rewrite"):
                if tool in found and found[tool].ns is None:
                    print(f"no value for {name}, {tool}: {found[tool].why}", file=sys.stderr)
                    broken = 1
    if not opts.quick and {"native", "rewrite"} <= set(opts.tools):
        judge(done)
    return broken


if __name__ == "__main__":
    sys.exit(main())
