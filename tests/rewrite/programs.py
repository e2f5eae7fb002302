#!/usr/bin/env python3
"""Runs real programs as they are and with all their modules rewritten: programs.py LIBRARY WORK_FOLDER [NAME...]

What they print and how they end must be the same; and of the entries that need one, next to all must have got a jump.
Where the library is libsnarl.so, with the engine behind the checks, nothing must be found but in the programs of FOUND.
Programs that are not installed are left out.
"""
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys

THROW = r"""
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
static int depth(int n) { std::string s(n, 'x'); if (!n) throw std::runtime_error("deep"); return depth(n - 1) + (int)s.size(); }
int main()
{
    int caught = 0;
    for (int i = 0; i < 200; i++) { try { depth(i % 20); } catch (std::runtime_error &e) { caught += e.what()[0]; } }
    std::map<int, std::string> m[4];
    std::vector<std::thread> t;
    for (int i = 0; i < 4; i++)
        t.emplace_back([&, i] { for (int k = 0; k < 1000; k++) { m[i][k] = std::to_string(k * i); try { if (k % 100 == 0) throw k; } catch (int v) { m[i][k] += std::to_string(v); } } });
    for (auto &x : t) x.join();
    size_t n = 0;
    for (auto &x : m) for (auto &p : x) n += p.second.size();
    std::printf("%d %zu\n", caught, n);
}
"""
SIGNALS = r"""
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
static sigjmp_buf back;
static volatile int n;
static void on_fault(int sig) { n++; siglongjmp(back, sig); }
static void on_usr(int sig) { n += sig; }
int main(void)
{
    signal(SIGUSR1, on_usr);
    for (int i = 0; i < 50; i++) raise(SIGUSR1);
    struct { long a, b; } s = {1, 2}, *p = &s;
    for (volatile int i = 0; i < 1000; i++) p->a += p->b;
    (void)on_fault, (void)back;
    printf("%d %ld\n", n, s.a);
}
"""
PERL = 'my %h; for (1..5000) { $h{$_ % 97} .= $_ } print join(",", map { length $h{$_} } sort keys %h); eval { die "x" }; print $@;'
PERL_THREADS = """use threads;
my @t = map { my $n = $_; threads->create(sub { my %h; $h{$_ % 97} .= $_ for 1..1000 * $n; length join ",", %h }) } 1..3;
print join(",", map { $_->join } @t), "\\n";"""
PYTHON_MODULES = """
import ctypes, lzma, os, sqlite3, threading, zlib
def work(i):
    c = sqlite3.connect(":memory:")
    c.execute("create table t(a)"); c.executemany("insert into t values(?)", [(k,) for k in range(100)])
    return c.execute("select sum(a) from t").fetchone()[0] + len(lzma.compress(b"x" * 1000)) + zlib.crc32(b"z" * i)
r = []
ts = [threading.Thread(target=lambda i=i: r.append(work(i))) for i in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
print(sorted(r), flush=True)
if not (child := os.fork()):
    t = threading.Thread(target=lambda: print("child", work(3), flush=True)); t.start(); t.join(); os._exit(0)
os.waitpid(child, 0); print("parent")
"""
PYTHON = """
import json, re, hashlib, threading, decimal
print(hashlib.sha256(b"x" * 100000).hexdigest(), decimal.Decimal(2).sqrt())
r = []
ts = [threading.Thread(target=lambda i=i: r.append(sum(range(i * 1000)))) for i in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]
print(sorted(r), json.dumps({i: str(i) for i in range(100)})[:100], re.sub("a+", "b", "caaat"))
try: 1 / 0
except Exception as e: print(e)
"""
SQL = "with recursive c(x) as (select 1 union all select x+1 from c where x<20000) select sum(x),count(*),group_concat(x%7) from c;"
BASH = 'for i in {1..200}; do a[$i]=$((i*i)); done; echo ${a[@]}; trap "echo got" USR1; kill -USR1 $$; f() { echo $(( $1 + 1 )); }; f 3'


# A thread that ends frees its state without the interpreter's lock, by an allocator that others exchange at their end: true.
FOUND = {"python": "PyMem_", "python_modules": "PyMem_"}


def programs(work):
    data = work / "data"
    data.write_bytes(pathlib.Path(shutil.which("gcc")).read_bytes()[:600000])
    (work / "data.gz").write_bytes(gzip.compress(data.read_bytes()))
    if shutil.which("git") and not (work / "repository/.git").exists():
        (work / "repository").mkdir(exist_ok=True)
        for i in range(40):
            (work / f"repository/{i}.c").write_text(THROW * (i + 1))
        subprocess.run(["git", "init", "-q", work / "repository"], check=True)
        subprocess.run(["git", "-C", work / "repository", "add", "."], check=True)
    for name, text, compiler in (("throw", THROW, "g++"), ("signals", SIGNALS, "gcc")):
        source = work / f"{name}{'.cc' if compiler == 'g++' else '.c'}"
        source.write_text(text)
        subprocess.run([compiler, "-O2", "-pthread", source, "-o", work / name], check=True)
    return {
        "throw": [work / "throw"],
        "signals": [work / "signals"],
        "true": ["/bin/true"],
        "bash": ["/bin/bash", "-c", BASH],
        "sort": ["/usr/bin/sort", "-r", work / "throw.cc"],
        "pigz": ["/usr/bin/pigz", "-k", "-c", data],
        "xz": ["/usr/bin/xz", "-1", "-T2", "-c", data],
        "zstd": ["/usr/bin/zstd", "-q", "-5", "-T2", "-c", data],
        "unpigz": ["/usr/bin/pigz", "-d", "-c", work / "data.gz"],
        "sqlite3": ["/usr/bin/sqlite3", ":memory:", SQL],
        "perl": ["/usr/bin/perl", "-e", PERL],
        "perl_threads": ["/usr/bin/perl", "-e", PERL_THREADS],
        "python": ["/usr/bin/python3.11", "-S", "-c", PYTHON],
        "python_modules": ["/usr/bin/python3.11", "-c", PYTHON_MODULES],
        "git_grep": ["/usr/bin/git", "-C", work / "repository", "-c", "grep.threads=4", "grep", "-c", "include"],
        "openssl": ["/usr/bin/openssl", "dgst", "-sha256", "-sha512", data],
        "git": ["/usr/bin/git", "--version"],
        "redis": ["/usr/bin/redis-server", "--version"],
        "gdb": ["/usr/bin/gdb", "-q", "-batch", "-ex", "print 6 * 7"],
    }


def outcome(command, environment):
    r = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, **environment}, timeout=300)
    return r.returncode, r.stdout


def failures(report):
    """The modules' lines are a path, then names and values. Which have more than 0.2 % of entries without a jump?"""
    bad, entries = [], 0
    for line in report.read_text().splitlines() if report.exists() else []:
        words = line.split()
        values = dict(zip(words[1::2], words[2::2]))
        entries += int(values["entries"])
        if int(values["failed"]) > 3 + int(values["entries"]) // 500:
            bad.append(f"{words[0]}: {values['failed']} of {values['entries']} entries have no jump")
        if int(values["undecoded"]) * 100 > int(values["functions"]):
            bad.append(f"{words[0]}: {values['undecoded']} of {values['functions']} functions are not decoded")
    return bad, entries


def is_undecided(finding):
    """Perhaps by atomic operations: only debug information would tell."""
    return finding["verdict"] == "possible" and "moves" in finding["flags"]


def engine_problems(name, library, command, out):
    out.unlink(missing_ok=True)
    plain = outcome(command, {})
    rewritten = outcome(command, {"LD_PRELOAD": library, "SNARL_OPTIONS": f"json={out}:accesses=rewrite:modules=all"})
    if plain != rewritten:
        yield f"{name}: status {plain[0]}, rewritten {rewritten[0]}; output {'equal' if plain[1] == rewritten[1] else 'differs'}"
    found = json.loads(out.read_text())["findings"]
    titles = [f["title"] for f in found if not (FOUND.get(name, "\0") in f["title"] or is_undecided(f))]
    if titles:
        yield f"{name}: {titles}"
    print(f"{name}: status {rewritten[0]}, {len(found)} findings", flush=True)


def main():
    rewriter, work = sys.argv[1], pathlib.Path(sys.argv[2])
    work.mkdir(parents=True, exist_ok=True)
    problems = []
    for name, command in programs(work).items():
        if (len(sys.argv) > 3 and name not in sys.argv[3:]) or not os.path.exists(command[0]):
            continue
        if os.path.basename(rewriter) == "libsnarl.so":
            problems += engine_problems(name, rewriter, command, work / f"{name}.json")
            continue
        report = work / f"{name}.report"
        report.unlink(missing_ok=True)
        plain = outcome(command, {})
        rewritten = outcome(command, {"LD_PRELOAD": rewriter, "REWRITE": "all", "REWRITE_REPORT": str(report)})
        bad, entries = failures(report)
        problems += [f"{name}: {b}" for b in bad]
        if plain != rewritten:
            problems.append(f"{name}: status {plain[0]}, rewritten {rewritten[0]}; output {'equal' if plain[1] == rewritten[1] else 'differs'}")
        if not entries:
            problems.append(f"{name}: nothing was rewritten")
        print(f"{name}: status {rewritten[0]}, {entries} entries", flush=True)
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
