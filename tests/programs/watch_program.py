#!/usr/bin/env python3
"""Runs a real program with and without snarl: same output, same exit status, no finding that is not listed as true, and what it cost.

    watch_program.py --snarl build/bin/snarl NAME [--rounds N]

A program that is not installed is skipped (status 77). Findings that are true of a program and version stand in KNOWN below, with the
reason. The time ratio is printed, and only compared with --max-ratio, since a machine that is busy testing measures nothing.
"""
import argparse
import hashlib
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import batch

# program: {finding id: why it is true}
KNOWN = {}
# The same for races that rewriting shows: {a part of the finding's title: why it is true}
# More of each in docs/comparison.md.
PYTHON_ALLOCATOR = {"PyMem_": "a thread that ends frees its state without the interpreter's lock, by an allocator that others exchange"}
TRUE = {
    "java": {"left AllocateHeap": "the virtual machine's thread ends inside a safepoint, with Threads_lock held, so that none goes on"},
    "python-threads": PYTHON_ALLOCATOR,
    "sqlite-threads": PYTHON_ALLOCATOR,
    "lrzip": {"lrzip+0x47188": "output_thread is read without its lock when the stream is closed"},
    "x264": {"x264_8_frame_shift": "a thread's context is copied while that thread is at work in it"},
    "x265": {"x265::FrameEncoder::processRow": "a sum for statistics: not thread safe, but good enough, says its comment"},
    "vips": {"vips__image_copy_fields_array": "the first thread that reads pixels sets an image's fields once more, others read them"},
    "guile": {"GC_clear_stack": "a counter that stands for a random number, marked so in the source"},
}


class Skip(Exception):
    pass


class Wrong(Exception):
    pass


def need(*programs):
    for p in programs:
        if not shutil.which(p) and not os.path.exists(p):
            raise Skip(f"{p} is not installed")


def data(path, size):
    """Text-like bytes, the same each time."""
    rng = random.Random(4711)
    words = [bytes(rng.choices(b"etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(5000)]
    with open(path, "wb") as f:
        while f.tell() < size:
            f.write(b" ".join(rng.choices(words, k=20000)) + b"\n")
    return path


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Watch:
    """One run of a workload: natively, or with its programs watched."""

    def __init__(self, opts, folder, how):
        self.opts, self.folder, self.how, self.watched = opts, folder, how, how == "watched"
        self.results, self.servers, self.seconds = [], [], 0.0
        self.seen = {"processes": 0, "threads": 0, "locks": 0, "lock_operations": 0}

    def path(self, name):
        return os.path.join(self.folder, name)

    def command(self, argv):
        if self.how == "rewriter":
            return ["env", "LD_PRELOAD=" + self.opts.rewriter, "REWRITE=all", *argv]
        if not self.watched:
            return list(argv)
        result = self.path(f"snarl-{len(self.results)}.json")
        self.results.append(result)
        return [self.opts.snarl, "run", "--json=" + result, "--exit-code=0", "--log=" + result + ".txt",
                *(["--accesses=rewrite", "--modules=all"] if self.opts.rewrite else []), *self.opts.option, "--", *argv]

    def run(self, *argv, stdin=None, timeout=900, timed=True, plain=False, **kw):
        """Runs to the end; (status, output). plain: never watched (clients, set-up)."""
        begin = time.monotonic()
        p = subprocess.run(list(argv) if plain else self.command(argv), input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, cwd=self.folder, **kw)
        if timed:
            self.seconds += time.monotonic() - begin
        if p.returncode:
            sys.stderr.write(f"{' '.join(argv)} ended with {p.returncode}: {p.stderr.decode(errors='replace')[-2000:]}\n")
        return p.returncode, p.stdout

    def server(self, *argv, ready, seconds=120, **kw):
        log = open(self.path(f"server-{len(self.servers)}.log"), "wb")
        p = subprocess.Popen(self.command(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **kw)
        log.close()
        self.servers.append(p)
        end = time.monotonic() + seconds
        while not ready():
            if p.poll() is not None or time.monotonic() > end:
                with open(self.path(f"server-{len(self.servers) - 1}.log"), errors="replace") as f:
                    raise Wrong(f"{argv[0]} did not come up (status {p.poll()}):\n{f.read()[-2000:]}")
            time.sleep(0.05)
        return p

    def stop(self, p, how=signal.SIGTERM, seconds=120):
        p.send_signal(how)
        try:
            return p.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Wrong(f"did not end within {seconds} s of signal {how}") from None

    def end(self):
        for p in self.servers:
            try:
                os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            p.wait()

    def findings(self):
        found = []
        for result in self.results:
            with open(result) as f:
                doc = json.load(f)
            found += doc["findings"]
            for key in self.seen:
                self.seen[key] += doc["run"][key]
        return found


def connects(path_or_port):
    def ready():
        try:
            if isinstance(path_or_port, int):
                socket.create_connection(("127.0.0.1", path_or_port), 1).close()
            else:
                s = socket.socket(socket.AF_UNIX)
                s.connect(path_or_port)
                s.close()
            return True
        except OSError:
            return False
    return ready


# ---- the workloads: each returns what must be equal ----

def xz(w):
    need("xz")
    text = data(w.path("text"), int(24e6 * w.opts.scale))
    packed = w.run("xz", "-T2", "-1", "--block-size=1MiB", "-k", text), digest(text + ".xz")
    os.unlink(text)
    unpacked = w.run("xz", "-T2", "-d", text + ".xz"), digest(text)
    return packed, unpacked


def pigz(w):
    need("pigz")
    text = data(w.path("text"), int(60e6 * w.opts.scale))
    packed = w.run("pigz", "-p2", "-n", "-k", text), digest(text + ".gz")
    os.unlink(text)
    return packed, w.run("pigz", "-d", "-p2", text + ".gz"), digest(text)


PYTHON = r"""
import concurrent.futures, queue, threading
q, done, total = queue.Queue(16), [], 0
lock, cond, sem, bar = threading.Lock(), threading.Condition(), threading.Semaphore(2), threading.Barrier(4)
def put(n):
    for i in range(n): q.put(i)
    q.put(None)
def get():
    global total
    while (x := q.get()) is not None:
        with lock: total += x
ts = [threading.Thread(target=put, args=(%(n)d,)) for _ in range(2)] + [threading.Thread(target=get) for _ in range(2)]
for t in ts: t.start()
for t in ts: t.join()
def meet():
    bar.wait()
    with sem, lock: done.append(1)
    with cond: cond.notify_all()
ts = [threading.Thread(target=meet) for _ in range(4)]
for t in ts: t.start()
with cond: cond.wait_for(lambda: len(done) == 4, 60)
for t in ts: t.join()
r, e = threading.RLock(), threading.Event()
with r, r: pass
threading.Timer(0.05, e.set).start()
print(e.wait(60), total, len(done))
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(lambda x: x * x, range(%(n)d))))
print(sum(range(10000000)))
"""


def python_threads(w):
    need("/usr/bin/python3")
    script = w.path("threads.py")
    with open(script, "w") as f:
        f.write(PYTHON % {"n": int(3000 * w.opts.scale) + 10})
    return w.run("/usr/bin/python3", script)


def python_test_threading(w):
    need("/usr/bin/python3")
    if subprocess.run(["/usr/bin/python3", "-c", "import test.test_threading"], capture_output=True).returncode:
        raise Skip("libpython3.11-testsuite is not installed")
    status, out = w.run("/usr/bin/python3", "-m", "unittest", "-q", "test.test_threading", "test.test_queue", "test.test_thread")
    return status


def python_test_concurrent(w):
    need("/usr/bin/python3")
    if subprocess.run(["/usr/bin/python3", "-c", "import test.test_concurrent_futures"], capture_output=True).returncode:
        raise Skip("libpython3.11-testsuite is not installed")
    status, out = w.run("/usr/bin/python3", "-m", "unittest", "-q", "test.test_concurrent_futures", timeout=1800)
    return status


def sqlite(w):
    need("sqlite3")
    n = int(60000 * w.opts.scale) + 100
    sql = f"""
create table t(id integer primary key, k text, v real);
with recursive c(i) as (select 1 union all select i+1 from c where i < {n}) insert into t select i, hex(i * 7919), i * 0.5 from c;
create index ti on t(k);
select count(*), sum(v), min(k), max(k) from t;
update t set v = v + 1 where id % 3 = 0;
select k, sum(v) from t group by substr(k, 1, 2) order by 1 limit 20;
delete from t where id % 2;
vacuum; pragma integrity_check; select count(*) from t;
"""
    return w.run("sqlite3", w.path("db"), stdin=sql.encode())


SQLITE_THREADS = r"""
import sqlite3, threading
def work(k):
    db = sqlite3.connect('threads.db', timeout=60)
    for i in range(%(n)d):
        with db: db.execute('insert into t values(?, ?)', (k, i))
    db.close()
db = sqlite3.connect('threads.db'); db.execute('create table t(k, i)'); db.commit()
ts = [threading.Thread(target=work, args=(k,)) for k in range(4)]
for t in ts: t.start()
for t in ts: t.join()
print(db.execute('select count(*), sum(i) from t').fetchone())
"""


def sqlite_threads(w):
    need("/usr/bin/python3")
    if os.path.exists(w.path("threads.db")):
        os.unlink(w.path("threads.db"))
    return w.run("/usr/bin/python3", "-c", SQLITE_THREADS % {"n": int(40 * w.opts.scale) + 5})


def redis(w):
    need("redis-server", "redis-benchmark", "redis-cli")
    sock = w.path("redis.sock")
    p = w.server("redis-server", "--port", "0", "--unixsocket", sock, "--save", "", "--appendonly", "yes", "--dir", w.folder, "--io-threads", "2",
                 "--io-threads-do-reads", "yes", "--lazyfree-lazy-user-del", "yes", ready=connects(sock))
    n = str(int(30000 * w.opts.scale) + 1000)
    begin = time.monotonic()
    status, _ = w.run("redis-benchmark", "-s", sock, "-q", "-n", n, "-c", "20", "-P", "4", "-t", "set,get,lpush,lpop,sadd,hset,mset", plain=True, timed=False)
    w.seconds += time.monotonic() - begin
    w.run("redis-cli", "-s", sock, "bgrewriteaof", plain=True, timed=False)
    out = w.run("redis-cli", "-s", sock, "-n", "1", stdin=b"set a 1\nincr a\nrpush l x y z\nlrange l 0 -1\nflushall async\ndbsize\n", plain=True, timed=False)
    return status, out, w.stop(p)


def memcached_load(sock, keys, rounds, errors):
    try:
        s = socket.socket(socket.AF_UNIX)
        s.connect(sock)
        f = s.makefile("rwb")
        for r in range(rounds):
            for k in keys:
                value = f"value-{k}-{r}".encode()
                f.write(b"set %s 0 0 %d\r\n%s\r\nget %s\r\n" % (k.encode(), len(value), value, k.encode()))
                f.flush()
                lines = [f.readline() for _ in range(4)]
                if lines[0] != b"STORED\r\n" or lines[2] != value + b"\r\n" or lines[3] != b"END\r\n":
                    errors.append(lines)
                    return
        s.close()
    except OSError as e:
        errors.append(e)


def memcached(w):
    need("memcached")
    sock, errors = w.path("memcached.sock"), []
    user = ["-u", "root"] if os.geteuid() == 0 else []
    p = w.server("memcached", "-s", sock, "-t", "4", "-m", "64", *user, ready=connects(sock))
    threads = [threading.Thread(target=memcached_load, args=(sock, [f"k{t}-{i}" for i in range(50)], int(40 * w.opts.scale) + 2, errors))
               for t in range(4)]
    begin = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    w.seconds += time.monotonic() - begin
    return [str(e) for e in errors], w.stop(p)


def nginx(w):
    need("nginx", "ab")
    port = free_port()
    with open(w.path("index.html"), "w") as f:
        f.write("hello " * 1000)
    with open(w.path("nginx.conf"), "w") as f:
        f.write(f"""daemon off; worker_processes 2; pid {w.path('nginx.pid')}; error_log stderr error; thread_pool default threads=4;
events {{ worker_connections 256; }}
http {{ access_log off; aio threads; sendfile off; client_body_temp_path {w.path('t1')}; proxy_temp_path {w.path('t2')};
fastcgi_temp_path {w.path('t3')}; uwsgi_temp_path {w.path('t4')}; scgi_temp_path {w.path('t5')};
server {{ listen 127.0.0.1:{port}; root {w.folder}; }} }}
""")
    os.chmod(w.folder, 0o755)
    p = w.server("nginx", "-c", w.path("nginx.conf"), "-e", "stderr", "-p", w.folder, ready=connects(port))
    status, out = w.run("ab", "-q", "-n", str(int(20000 * w.opts.scale) + 100), "-c", "20", f"http://127.0.0.1:{port}/index.html", plain=True)
    kept = [line for line in out.decode().split("\n") if line.startswith(("Complete", "Failed", "Document Length"))]
    return status, kept, w.stop(p)


def mariadb(w):
    need("mariadbd", "mariadb-install-db", "mariadb")
    folder, sock = w.path("mariadb"), w.path("mariadb.sock")
    me = pwd.getpwuid(os.geteuid()).pw_name
    status, out = w.run("mariadb-install-db", "--no-defaults", "--datadir=" + folder, "--user=" + me, "--auth-root-authentication-method=normal",
                        "--skip-test-db", plain=True, timed=False)
    if status:
        raise Wrong("mariadb-install-db failed")
    p = w.server(shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", "--datadir=" + folder, "--socket=" + sock, "--skip-networking",
                 "--user=" + me, "--innodb-buffer-pool-size=64M", "--pid-file=" + w.path("mariadb.pid"), ready=connects(sock), seconds=300)
    n = int(3000 * w.opts.scale) + 50
    sql = ("create database d; use d; create table t(id int primary key auto_increment, k int, v varchar(64), key(k)) engine=innodb;"
           + "".join(f"insert into t(k, v) values({i % 97}, md5({i}));" for i in range(n))
           + "select count(*), sum(k) from t; select k, count(*), max(v) from t group by k order by k limit 10; update t set k = k + 1 where id % 2;"
           + "select sum(k) from t; alter table t add column x int default 5; select sum(x) from t; check table t;")
    outs, threads = [None] * 2, []
    out = w.run("mariadb", "--no-defaults", "--socket=" + sock, "-u", "root", stdin=sql.encode(), plain=True)
    query = "use d; " + "select sum(k * length(v)) from t; insert into t(k, v) values(1, 'x'); delete from t where v = 'x' limit 1;" * 30

    def client(i):
        outs[i] = w.run("mariadb", "--no-defaults", "--socket=" + sock, "-u", "root", stdin=query.encode(), plain=True, timed=False)[0]
    for i in range(2):
        threads.append(threading.Thread(target=client, args=(i,)))
        threads[-1].start()
    for t in threads:
        t.join()
    return out, outs, w.stop(p, seconds=300)


def postgres(w):
    found = sorted(os.listdir("/usr/lib/postgresql")) if os.path.isdir("/usr/lib/postgresql") else []
    if not found:
        raise Skip("postgresql is not installed")
    bin_folder = f"/usr/lib/postgresql/{found[-1]}/bin/"
    folder, become = w.path("postgres"), {}
    if os.geteuid() == 0:  # postgres refuses to run as root
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            raise Skip("no user to run postgres as") from None
        os.chown(w.folder, user.pw_uid, user.pw_gid)
        become = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "env": {**os.environ, "HOME": w.folder, "TMPDIR": w.folder}}
        if subprocess.run([w.opts.snarl, "--version"], capture_output=True, **become).returncode if w.watched else 0:
            raise Skip("snarl is not where other users can reach it")
    status, out = w.run(bin_folder + "initdb", "-D", folder, "-A", "trust", "-N", "-U", "me", "--no-instructions", "--locale=C", plain=True, timed=False, **become)
    if status:
        raise Wrong("initdb failed")
    sock = os.path.join(w.folder, ".s.PGSQL.5432")
    p = w.server(bin_folder + "postgres", "-D", folder, "-k", w.folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_parallel_workers_per_gather=2",
                 ready=lambda: subprocess.run([bin_folder + "pg_isready", "-q", "-h", w.folder]).returncode == 0, seconds=300, **become)
    n = int(20000 * w.opts.scale) + 100
    sql = (f"create table t as select i as id, md5(i::text) as k, i * 0.5 as v from generate_series(1, {n}) i; create index on t(k); analyze t;"
           "select count(*), sum(v), min(k), max(k) from t; update t set v = v + 1 where id % 3 = 0; select substr(k, 1, 1), sum(v) from t group by 1 order by 1;"
           "set min_parallel_table_scan_size = 0; set parallel_setup_cost = 0; select count(*) from t where k like '%aa%'; delete from t where id % 2 = 0; vacuum t; select count(*) from t;")
    out = w.run(bin_folder + "psql", "-h", w.folder, "-U", "me", "-d", "postgres", "-At", stdin=sql.encode(), plain=True)
    assert os.path.exists(sock)
    return out, w.stop(p, signal.SIGINT)


PROGRAMS = {f.__name__.replace("_", "-"): f for f in (xz, pigz, python_threads, python_test_threading, python_test_concurrent, sqlite,
                                                      sqlite_threads, redis, memcached, nginx, mariadb, postgres)}


def batch_row(row):
    def workload(w):
        need(*row.needs)
        return batch.run(w, row)
    return workload


PROGRAMS.update({name: batch_row(row) for name, row in batch.TABLE.items()})


def one(opts, how):
    folder = tempfile.mkdtemp(prefix="snarl-program-")
    w = Watch(opts, folder, how)
    try:
        result = PROGRAMS[opts.name](w)
        return json.loads(json.dumps(result, default=repr).replace(folder, "FOLDER")), w.seconds, w.findings(), w.seen
    finally:
        w.end()
        if opts.keep:
            print("kept: " + folder)
        else:
            shutil.rmtree(folder, True)


def told(f):
    lines = [f"{f['kind']}{':' + f['rule'] if f.get('rule') else ''} {f['verdict']} id={f['id']}: {f['title']}"]
    for e in f["events"]:
        lines.append(f"    T{e['thread']} {e['action']} {e.get('object')}: "
                     + " < ".join(f"{x.get('function')} {os.path.basename(x.get('module') or '?')}:{x.get('line')}" for x in e["stack"][:6]))
    return "\n".join(lines)


def unexpected(opts, found):
    for f in found:
        known = opts.name in KNOWN and f["id"] in KNOWN[opts.name]
        true = opts.rewrite and any(part in f["title"] for part in TRUE.get(opts.name, {}))
        if opts.list or not (known or true or (opts.rewrite and not f["counts"])):
            yield f


def compare(opts, times, seen):
    """How many differences and findings there are; prints them."""
    expected, bad = None, 0
    alone = opts.name in batch.TABLE and batch.TABLE[opts.name].alone
    hows = ["native", "watched"] + (["rewriter"] if opts.rewriter and not alone else [])
    for _ in range(opts.rounds):
        for how in hows:
            result, seconds, findings, counts = one(opts, how)
            times.setdefault(how, []).append(seconds)
            if how == "watched":
                seen.update(counts)
            if expected is None:
                expected = result
            elif result != expected:
                bad += 1
                print(f"not the same {how}:\n  first {str(expected)[:1500]}\n  now   {str(result)[:1500]}")
            for f in unexpected(opts, findings):
                bad += 1
                print("finding: " + told(f))
    return bad


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("--snarl", required=True)
    ap.add_argument("--rounds", type=int, default=1)
    ap.add_argument("--scale", type=float, default=1.0, help="size of the workload")
    ap.add_argument("--max-ratio", type=float, help="fail when the watched run takes more than this times the native one")
    ap.add_argument("--option", action="append", default=[], help="further option for snarl run")
    ap.add_argument("--rewrite", action="store_true", help="rewrite all modules")
    ap.add_argument("--rewriter", metavar="LIBRARY", help="once more with tests/rewrite's, which rewrites at the start and has no engine")
    ap.add_argument("--list", action="store_true", help="print all findings, expected ones, too")
    ap.add_argument("--keep", action="store_true")
    ap.add_argument("name", choices=sorted(PROGRAMS))
    opts = ap.parse_args()
    opts.snarl = os.path.abspath(opts.snarl)
    if opts.rewrite:
        os.environ["SNARL_UNFINISHED"] = "1"
    return opts


def main():
    opts = arguments()
    times, seen = {}, {}
    try:
        bad = compare(opts, times, seen)
    except Skip as e:
        print(f"skipped: {e}")
        return 77
    except (Wrong, subprocess.TimeoutExpired) as e:
        print(f"{opts.name}: {e}")
        return 1
    native, watched = min(times["native"]), min(times["watched"])
    ratio = watched / native if native else 0
    print(f"{opts.name}: native {native:.2f} s, watched {watched:.2f} s, ratio {ratio:.2f}; "
          + ", ".join(f"{n} {key.replace('_', ' ')}" for key, n in seen.items()))
    if opts.max_ratio and ratio > opts.max_ratio:
        print(f"more than {opts.max_ratio}")
        bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
