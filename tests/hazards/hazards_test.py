#!/usr/bin/env python3
"""Hazards that need more than one program: other preloads, programs built in special ways, hostile surroundings."""
import argparse
import glob
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

SNARL = CASES = RUN_CASES = None

INVERSION = r"""
#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static int step;
static void *one(void *x) { pthread_mutex_lock(&a); pthread_mutex_lock(&b); pthread_mutex_unlock(&b); pthread_mutex_unlock(&a);
    __atomic_store_n(&step, 1, __ATOMIC_SEQ_CST); return x; }
static void *two(void *x) { while (!__atomic_load_n(&step, __ATOMIC_SEQ_CST)) ; pthread_mutex_lock(&b); pthread_mutex_lock(&a);
    pthread_mutex_unlock(&a); pthread_mutex_unlock(&b); return x; }
int main(void) { pthread_t t, u; pthread_create(&t, 0, one, 0); pthread_create(&u, 0, two, 0); pthread_join(t, 0); pthread_join(u, 0);
    puts("ran"); return 0; }
"""


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k != "LD_PRELOAD"}
    env.update(more)
    return env


class Base(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="snarl-hazard-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def build(self, *flags, text=INVERSION, name="program", compiler="gcc"):
        source, program = self.path(name + ".c"), self.path(name)
        with open(source, "w") as f:
            f.write(text)
        p = subprocess.run([compiler, "-g", "-O1", "-pthread", source, "-o", program, *flags], capture_output=True)
        if p.returncode:
            self.skipTest(f"cannot build with {' '.join(flags)}: {p.stderr.decode()[-300:]}")
        return program

    def watch(self, *args, options=(), env=None, timeout=120, prefix=(), **kw):
        result = self.path("result.json")
        if os.path.exists(result):
            os.unlink(result)
        p = subprocess.run([*prefix, SNARL, "run", "--json=" + result, *options, "--", *args], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=timeout, env=env or clean_env(), **kw)
        doc = None
        if os.path.exists(result):
            with open(result) as f:
                text = f.read()
            doc = json.loads(text) if text or p.returncode != 125 else None
        return p, doc

    def one_inversion(self, p, doc):
        self.assertEqual((p.returncode, p.stdout), (66, b"ran\n"), p.stderr.decode(errors="replace")[-800:])
        self.assertEqual([f["kind"] for f in doc["findings"]], ["lock-order"])


class Builds(Base):
    def test_position_dependent_program(self):
        self.one_inversion(*self.watch(self.build("-no-pie", "-fno-pie")))

    def test_without_address_randomisation(self):
        if subprocess.run(["setarch", "-R", "true"]).returncode:
            self.skipTest("setarch -R is not allowed")
        program = self.build()
        self.one_inversion(*self.watch(program, prefix=("setarch", "-R")))

    def test_legacy_address_layout(self):
        if subprocess.run(["setarch", "-L", "true"]).returncode:
            self.skipTest("setarch -L is not allowed")
        self.one_inversion(*self.watch(self.build(), prefix=("setarch", "-L")))

    def test_bound_at_start(self):
        self.one_inversion(*self.watch(self.build("-Wl,-z,now", "-Wl,-z,relro")))

    def test_optimised_without_frame_pointers(self):
        p, doc = self.watch(self.build("-O3", "-fomit-frame-pointer", "-fno-asynchronous-unwind-tables"))
        self.one_inversion(p, doc)

    def test_without_debug_information(self):
        p, doc = self.watch(self.build("-g0"))
        self.one_inversion(p, doc)
        functions = {f["function"] for e in doc["findings"][0]["events"] for f in e["stack"]}
        self.assertTrue({"one", "two"} <= functions, functions)

    def test_lto(self):
        self.one_inversion(*self.watch(self.build("-flto", "-O2")))

    def test_compressed_debug_information(self):
        p, doc = self.watch(self.build("-gz"))
        self.one_inversion(p, doc)
        self.assertIn(b"program.c:", p.stderr)

    def test_dwarf4_and_clang(self):
        self.one_inversion(*self.watch(self.build("-gdwarf-4")))
        if shutil.which("clang"):
            p, doc = self.watch(self.build(name="by-clang", compiler="clang"))
            self.one_inversion(p, doc)
            self.assertIn(b"by-clang.c:", p.stderr)

    def refused(self, program, word):
        p, doc = self.watch(program)
        self.assertEqual((p.returncode, p.stdout), (125, b""), p.stderr)
        self.assertIn(word, p.stderr.lower())
        p = subprocess.run([SNARL, "run", "--force", "--", program], capture_output=True, timeout=60, env=clean_env())
        self.assertEqual(p.stdout, b"ran\n")

    def test_address_sanitizer_is_refused(self):
        self.refused(self.build("-fsanitize=address"), b"sanitizer")

    def test_thread_sanitizer_is_refused(self):
        program = self.build("-fsanitize=thread")
        p, doc = self.watch(program)
        self.assertEqual((p.returncode, p.stdout), (125, b""), p.stderr)
        self.assertIn(b"sanitizer", p.stderr.lower())

    def test_static_pie_is_refused(self):
        self.refused(self.build("-static-pie"), b"static")

    def test_other_architecture_is_refused(self):
        program = self.build()
        with open(program, "r+b") as f:
            f.seek(18)
            f.write(b"\xb7\x00")  # EM_AARCH64
        p, doc = self.watch(program)
        self.assertIn(p.returncode, (125, 126), p.stderr)

    def test_set_user_id_is_refused(self):
        if os.geteuid():
            self.skipTest("only root can make such a program")
        program = self.build()
        os.chown(program, 65534, 65534)
        os.chmod(program, 0o4755)
        if os.statvfs(self.folder).f_flag & os.ST_NOSUID:
            self.skipTest("the folder is mounted nosuid")
        p, doc = self.watch(program)
        self.assertEqual((p.returncode, p.stdout), (125, b""), p.stderr)
        self.assertIn(b"set-user-id", p.stderr.lower())

    def test_set_user_id_to_oneself_is_watched(self):
        program = self.build()
        os.chmod(program, 0o4755)
        self.one_inversion(*self.watch(program))

    def test_file_capabilities(self):
        if os.geteuid() or not shutil.which("setcap"):
            self.skipTest("only root can make such a program")
        program = self.build()
        if subprocess.run(["setcap", "cap_net_raw+ep", program], capture_output=True).returncode:
            self.skipTest("no file capabilities here")
        # As root exec gains nothing, so the program is watched; as another user it would be refused.
        self.one_inversion(*self.watch(program))
        p = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SNARL, "run", "--", program],
                           capture_output=True, timeout=60, env=clean_env(TMPDIR="/tmp"))
        if b"ermission denied" in p.stderr:
            self.skipTest("snarl is not reachable for other users")
        self.assertEqual(p.returncode, 125, p.stderr)

    def test_set_user_id_child_runs_unwatched(self):
        if os.geteuid():
            self.skipTest("only root can make such a program")
        program = self.build()
        os.chown(program, 65534, 65534)
        os.chmod(program, 0o4755)
        p, doc = self.watch("/bin/sh", "-c", program + "; exit 0")
        self.assertEqual((p.returncode, p.stdout), (0, b"ran\n"), p.stderr)

    def test_child_of_another_user_is_counted(self):
        """Its capabilities let the parent reach the run after it gave up its user; they end with exec."""
        if os.geteuid() or not shutil.which("setpriv"):
            self.skipTest("only root can become another user")
        program = self.build()
        os.chmod(self.folder, 0o755)
        p, doc = self.watch("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program)
        if b"ermission denied" in p.stderr:
            self.skipTest("the program is not reachable for other users")
        self.assertEqual((p.returncode, p.stdout, doc["findings"]), (0, b"ran\n", []), p.stderr)
        self.assertEqual([(x["name"], x["count"]) for x in doc["run"]["losses"]], [("process_unwatched", 1)])

    def test_child_of_another_group_is_watched(self):
        if os.geteuid() or not shutil.which("setpriv"):
            self.skipTest("only root can become another group")
        self.one_inversion(*self.watch("setpriv", "--regid=65534", "--clear-groups", self.build()))

    def test_name_with_control_characters(self):
        program = self.build()
        odd = self.path("odd\x1b[31m\nname")
        shutil.copy(program, odd)
        p, doc = self.watch(odd)
        self.one_inversion(p, doc)
        self.assertNotIn(b"\x1b", p.stderr)
        self.assertNotIn("\x1b", doc["run"]["command"][0])

    def test_deleted_program(self):
        text = INVERSION.replace("int main(void) {", '#include <unistd.h>\nint main(int c, char **v) { (void)c; unlink(v[0]);')
        p, doc = self.watch(self.build(text=text))
        self.one_inversion(p, doc)


class OtherPreloads(Base):
    def preload(self, library, name):
        native = subprocess.run([os.path.join(RUN_CASES, "abba"), "free"], env=clean_env(LD_PRELOAD=library), capture_output=True)
        self.assertEqual(native.returncode, 0, native.stderr)
        p, doc = self.watch(os.path.join(RUN_CASES, "abba"), "free", env=clean_env(LD_PRELOAD=library))
        self.assertEqual(p.returncode, 66, f"{name}: {p.stderr.decode(errors='replace')}")
        self.assertEqual([f["kind"] for f in doc["findings"]], ["lock-order"])
        p, doc = self.watch(os.path.join(CASES, "children"), "storm", env=clean_env(LD_PRELOAD=library))
        self.assertEqual((p.returncode, doc["findings"]), (0, []), f"{name}: {p.stderr.decode(errors='replace')}")

    def before(self, library):
        """The other one first in the list, as LD_PRELOAD alone allows."""
        ours = os.path.normpath(os.path.join(os.path.dirname(SNARL), "../lib/libsnarl.so"))
        for order in (f"{library}:{ours}", f"{ours}:{library}"):
            p = subprocess.run([os.path.join(RUN_CASES, "abba"), "free"], env=clean_env(LD_PRELOAD=order), capture_output=True,
                               timeout=60)
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertIn(b"lock-order", p.stderr)

    def test_jemalloc(self):
        found = glob.glob("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
        if not found:
            self.skipTest("libjemalloc2 is not installed")
        self.preload(found[0], "jemalloc")
        self.before(found[0])

    def test_tcmalloc(self):
        found = glob.glob("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4")
        if not found:
            self.skipTest("libtcmalloc-minimal4 is not installed")
        self.preload(found[0], "tcmalloc")
        self.before(found[0])

    def test_malloc_wrapper_that_locks_and_uses_dlsym(self):
        library = os.path.join(CASES, "libhazard-malloc_wrapper.so")
        self.preload(library, "wrapper")
        self.before(library)

    def test_exec_on_one_page(self):
        """A child by clone() whose stack is one page, as of GoogleTest's death tests, starts a program; the environment has to be
        put right for it, or not."""
        program = self.build(name="clone", text=r"""
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static int child(void *arg)
{
    char **argv = arg, *env[] = {"A=b", NULL};
    if (argv[1][0] == 'e')
        execve(argv[2], argv + 2, env);
    else if (argv[1][0] == 'p')
        execvp(argv[2], argv + 2);
    else
        execv(argv[2], argv + 2);
    _exit(9);
}
int main(int argc, char **argv)
{
    int status;
    size_t size = (size_t)getpagesize();
    char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    waitpid(clone(child, stack + size, SIGCHLD, argv), &status, 0);
    return argc && WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}
""")
        inversion = self.build()
        for how in ("execv", "path", "environment"):
            with self.subTest(how):
                self.one_inversion(*self.watch(program, {"execv": "v", "path": "p", "environment": "e"}[how], inversion))

    def test_exec_with_own_preload(self):
        library = os.path.join(CASES, "libhazard-malloc_wrapper.so")
        p, doc = self.watch("/usr/bin/env", "LD_PRELOAD=" + library, os.path.join(RUN_CASES, "abba"), "free")
        self.assertEqual(p.returncode, 66, p.stderr)
        self.assertEqual([f["kind"] for f in doc["findings"]], ["lock-order"])

    def test_missing_other_preload(self):
        p, doc = self.watch(os.path.join(RUN_CASES, "abba"), "free", env=clean_env(LD_PRELOAD="/no/such/library.so"))
        self.assertEqual(p.returncode, 66)


class Surroundings(Base):
    def abba(self, **kw):
        p, doc = self.watch(os.path.join(RUN_CASES, "abba"), "free", **kw)
        self.assertEqual(p.returncode, 66, p.stderr.decode(errors="replace"))
        self.assertEqual([f["kind"] for f in doc["findings"]], ["lock-order"])
        return p, doc

    def limited(self, what, value):
        return lambda: resource.setrlimit(what, (value, value))

    def test_address_space_limits(self):
        """The locks-only mode needs little: it works under a limit that the program itself can live with."""
        for mb in (4096, 1024, 512):
            self.abba(preexec_fn=self.limited(resource.RLIMIT_AS, mb << 20))
        for mb in (128, 64, 32):  # below that it may see less, but the program must run
            p, doc = self.watch(os.path.join(RUN_CASES, "abba"), "same_order", prefix=("prlimit", f"--as={mb << 20}"))
            native = subprocess.run(["prlimit", f"--as={mb << 20}", os.path.join(RUN_CASES, "abba"), "same_order"], capture_output=True)
            self.assertIn(p.returncode, (native.returncode, 125), f"{mb} MB: {p.stderr.decode(errors='replace')}")

    def test_file_size_limit(self):
        p = subprocess.run([SNARL, "run", "--", "/bin/echo", "ran"], capture_output=True, timeout=60, env=clean_env(),
                           preexec_fn=self.limited(resource.RLIMIT_FSIZE, 1 << 20))
        self.assertIn((p.returncode, p.stdout), ((0, b"ran\n"), (125, b"")), p.stderr)

    def test_locked_memory_limit(self):
        self.abba(preexec_fn=self.limited(resource.RLIMIT_MEMLOCK, 0))

    def test_no_core(self):
        self.abba(preexec_fn=self.limited(resource.RLIMIT_CORE, 0))

    def test_temporary_folder_missing(self):
        p = subprocess.run([SNARL, "run", "--", "/bin/true"], capture_output=True, timeout=60, env=clean_env(TMPDIR="/no/such/folder"))
        self.assertIn(p.returncode, (0, 125))
        if p.returncode:
            self.assertIn(b"/no/such/folder", p.stderr)

    def test_temporary_folder_full_or_read_only(self):
        p = subprocess.run([SNARL, "run", "--", "/bin/echo", "ran"], capture_output=True, timeout=60, env=clean_env(TMPDIR="/proc"))
        self.assertIn(p.returncode, (0, 125), p.stderr)

    def test_empty_environment(self):
        p, doc = self.watch(os.path.join(RUN_CASES, "abba"), "free", env={})
        self.assertEqual(p.returncode, 66, p.stderr)

    def test_large_environment_and_arguments(self):
        env = clean_env(**{f"FILLER_{i}": "x" * 1000 for i in range(500)})
        p, doc = self.watch("/bin/echo", *["word" * 20] * 2000, env=env)
        self.assertEqual(p.returncode, 0)
        self.assertEqual(p.stdout, (" ".join(["word" * 20] * 2000) + "\n").encode())

    def test_environment_of_the_program(self):
        """What the program sees of its environment: its own, and what makes snarl follow its children."""
        p, doc = self.watch("/usr/bin/env", env=clean_env(MINE="1"))
        names = {line.split("=")[0] for line in p.stdout.decode().split("\n") if "=" in line}
        self.assertIn("MINE", names)
        more = {n for n in names if n not in os.environ and n != "MINE"}
        self.assertTrue(all(n == "LD_PRELOAD" or n.startswith("SNARL_") for n in more), more)

    def test_hostile_run_folder(self):
        """libsnarl.so alone, told of a run that is none."""
        ours = os.path.normpath(os.path.join(os.path.dirname(SNARL), "../lib/libsnarl.so"))
        bad = self.path("run")
        os.mkdir(bad)
        for content in (b"", b"x" * 100, os.urandom(100000), None):
            if content is not None:
                with open(os.path.join(bad, "arena"), "wb") as f:
                    f.write(content)
            else:
                os.unlink(os.path.join(bad, "arena"))
            p = subprocess.run([os.path.join(RUN_CASES, "abba"), "same_order"], capture_output=True, timeout=60,
                               env=clean_env(LD_PRELOAD=ours, SNARL_RUN=bad))
            self.assertEqual((p.returncode, p.stdout), (0, b""), p.stderr)

    def test_run_folder_is_private(self):
        script = 'stat -c "%a %F %u" "$SNARL_RUN"; for f in "$SNARL_RUN"/*; do stat -c "%a" "$f"; done'
        p, doc = self.watch("/bin/sh", "-c", script, env=clean_env(TMPDIR=self.folder))
        lines = p.stdout.decode().split("\n")
        self.assertEqual(lines[0], f"700 directory {os.getuid()}")
        self.assertTrue(all(m == "600" for m in lines[1:] if m), lines)
        self.assertEqual([n for n in os.listdir(self.folder) if n != "result.json"], [])

    def test_result_file_is_not_followed_elsewhere(self):
        """A result is written to a new file, or over a plain one; modes keep others out of nothing they could read before."""
        target = self.path("target")
        with open(target, "w") as f:
            f.write("precious")
        p, doc = self.abba()
        self.assertTrue(stat.S_ISREG(os.lstat(self.path("result.json")).st_mode))

    def test_umask(self):
        p, doc = self.abba(preexec_fn=lambda: os.umask(0o777))

    def test_closed_standard_descriptors(self):
        for fd in (0, 1, 2):
            result = self.path(f"closed-{fd}.json")
            p = subprocess.run([SNARL, "run", "--json=" + result, "--", os.path.join(RUN_CASES, "abba"), "free"], timeout=60,
                               env=clean_env(), preexec_fn=lambda fd=fd: os.close(fd), close_fds=False)
            self.assertEqual(p.returncode, 66, fd)
            with open(result) as f:
                self.assertEqual(len(json.load(f)["findings"]), 1, fd)

    def test_standard_error_is_a_closed_pipe(self):
        r, w = os.pipe()
        os.close(r)
        p = subprocess.run([SNARL, "run", "--", os.path.join(RUN_CASES, "abba"), "free"], stderr=w, timeout=60, env=clean_env())
        os.close(w)
        self.assertEqual(p.returncode, 66)

    def test_full_disk_for_results(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        p = subprocess.run([SNARL, "run", "--json=/dev/full", "--", "/bin/true"], capture_output=True, timeout=60, env=clean_env())
        self.assertEqual(p.returncode, 125, p.stderr)

    def test_daemon_does_not_hold_us(self):
        """The report comes when the program ends, though a child in the background still runs and keeps nothing open."""
        p, doc = self.watch("/bin/sh", "-c", "(sleep 30 >/dev/null 2>&1 </dev/null &) ; exit 4", timeout=25)
        self.assertEqual(p.returncode, 4)


class Interpreters(Base):
    def test_python_with_threads(self):
        text = ("import threading, queue\nq = queue.Queue(4)\nr = []\n"
                "def put():\n    for i in range(200): q.put(i)\n    q.put(None)\n"
                "def get():\n    while (x := q.get()) is not None: r.append(x)\n"
                "t = [threading.Thread(target=f) for f in (put, get)]\n[x.start() for x in t]; [x.join() for x in t]\nprint(sum(r))\n")
        p, doc = self.watch("/usr/bin/python3", "-c", text)
        self.assertEqual((p.returncode, p.stdout), (0, b"19900\n"), p.stderr)
        self.assertEqual(doc["findings"], [])

    def test_python_order(self):
        script = self.path("order.py")
        with open(script, "w") as f:
            f.write("import threading\na = threading.Lock()\nb = threading.Lock()\n"
                    "def one():\n    with a:\n        with b:\n            pass\n"
                    "def two():\n    with b:\n        with a:\n            pass\n"
                    "t = threading.Thread(target=one); t.start(); done = threading.Event()\n"
                    "u = threading.Thread(target=lambda: (done.wait(), two())); u.start()\n"
                    "import time\nwhile t.is_alive(): time.sleep(0.01)\ndone.set(); u.join()\nt.join()\n")
        p, doc = self.watch("/usr/bin/python3", script)
        self.assertEqual([f["kind"] for f in doc["findings"]], ["lock-order"], p.stderr)
        places = {(os.path.basename(f.get("file") or ""), f.get("line")) for e in doc["findings"][0]["events"] for f in e["stack"]}
        self.assertTrue({("order.py", 6), ("order.py", 10)} <= places, places)
        self.assertEqual(p.returncode, 66)

    def test_python_subprocess_and_pool(self):
        text = ("import subprocess, concurrent.futures as c, multiprocessing as m\n"
                "print(subprocess.check_output(['echo', 'hello']).decode(), end='')\n"
                "with c.ThreadPoolExecutor(4) as e: print(sum(e.map(lambda x: x * x, range(100))))\n"
                "if __name__ == '__main__':\n    with m.Pool(2) as p: print(sum(p.map(abs, range(-50, 0))))\n")
        script = self.path("pool.py")
        with open(script, "w") as f:
            f.write(text)
        native = subprocess.run(["/usr/bin/python3", script], capture_output=True, timeout=60)
        p, doc = self.watch("/usr/bin/python3", script)
        self.assertEqual((p.returncode, p.stdout), (0, native.stdout), p.stderr)
        self.assertEqual(doc["findings"], [])

    def test_gdb_underneath(self):
        if not shutil.which("gdb"):
            self.skipTest("gdb is not installed")
        p, doc = self.watch("gdb", "-q", "-batch", "-ex", "run", "-ex", "info threads", "--args", os.path.join(RUN_CASES, "abba"), "same_order")
        self.assertIn(b"exited normally", p.stdout, p.stderr)


def main():
    global SNARL, CASES, RUN_CASES
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--snarl", required=True)
    ap.add_argument("--cases", required=True, help="folder of the built hazard programs")
    ap.add_argument("--run-cases", required=True, help="folder of the built case programs of tests/run")
    opts, rest = ap.parse_known_args()
    SNARL, CASES, RUN_CASES = (os.path.abspath(p) for p in (opts.snarl, opts.cases, opts.run_cases))
    unittest.main(argv=[sys.argv[0]] + rest)


if __name__ == "__main__":
    main()
