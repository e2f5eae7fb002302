#!/usr/bin/env python3
"""What surrounds rewriting, seen from outside: features.py SNARL WORK_FOLDER [unittest's arguments]"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

SNARL = WORK = None

COUNTER = r"""
#include <pthread.h>
#include <stdio.h>
int hits;
static void *work(void *arg) { for (int i = 0; i < 1000; i++) hits++; return arg; }
int main(void)
{
    pthread_t t[2];
    for (int i = 0; i < 2; i++) pthread_create(&t[i], 0, work, 0);
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
    printf("done\n");
}
"""
# A function with a byte that is no instruction, jumped over: it is left alone, with its two accesses.
ODD = r"""
#include <pthread.h>
int cell[2];
__attribute__((noinline)) static void odd(int *p)
{
    __asm__ volatile("movl $1, (%0); jmp 1f; .byte 0x06; 1: movl $2, 4(%0)" : : "r"(p) : "memory");
}
static void *work(void *arg) { odd(cell); return arg; }
int main(void)
{
    pthread_t t;
    pthread_create(&t, 0, work, 0);
    pthread_join(t, 0);
}
"""

# A library of its own whose race is seen, or not.
LIBRARY = "int shared; void add(void) { for (int i = 0; i < 1000; i++) shared++; }"
CALLER = r"""
#include <pthread.h>
void add(void);
int own;
static void *theirs(void *arg) { add(); return arg; }
static void *ours(void *arg) { own++; return arg; }
static void twice(void *(*work)(void *))
{
    pthread_t t[2];
    for (int i = 0; i < 2; i++) pthread_create(&t[i], 0, work, 0);
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
}
int main(void) { twice(theirs); twice(ours); }
"""

# Each thread has elements of its own, by masks and by vectors of addresses; ONE more is the other one's, too.
MASKED = r"""
#include <immintrin.h>
#include <pthread.h>
static int moved[16] __attribute__((aligned(64))), gathered[16], scattered[16];
static volatile int read_out;
#ifndef ONE
#define ONE 0
#endif
__attribute__((target("avx2"), noinline)) static void move(void)
{
    __m256i mask = _mm256_setr_epi32(-1, 0, -1, 0, -1, 0, -1, ONE == 1 ? -1 : 0);
    _mm256_maskstore_epi32(moved, mask, _mm256_set1_epi32(7));
}
__attribute__((target("avx2"), noinline)) static void gather(void)
{
    __m256i at = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, ONE == 2 ? 7 : 14);
    read_out = _mm256_extract_epi32(_mm256_i32gather_epi32(gathered, at, 4), 3);
}
__attribute__((target("avx512f"), noinline)) static void scatter(void)
{
    __m512i at = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, ONE == 3 ? 7 : 14);
    _mm512_mask_i64scatter_epi32(scattered, 0xff, at, _mm256_set1_epi32(9), 4);
}
static void *odd(void *arg)
{
    for (int i = 1; i < 16; i += 2) ((volatile int *)arg)[i] = i;
    return arg;
}
static void *by(void *f) { ((void (*)(void))f)(); return f; }
static void both(void (*f)(void), int *memory)
{
    pthread_t t[2];
    pthread_create(&t[0], 0, odd, memory);
    pthread_create(&t[1], 0, by, (void *)f);
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
}
int main(void)
{
    if (__builtin_cpu_supports("avx2")) both(move, moved), both(gather, gathered);
    if (__builtin_cpu_supports("avx512f")) both(scatter, scattered);
}
"""


def build(name, source, *options):
    path = WORK / name
    suffix = ".cc" if "#include <string>" in source else ".c"
    (WORK / f"{name}{suffix}").write_text(source)
    compiler = "g++" if suffix == ".cc" else "gcc"
    subprocess.run([compiler, "-g", "-O1", "-pthread", WORK / f"{name}{suffix}", "-o", path, *options], check=True)
    return path


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k != "LD_PRELOAD"}
    return {**env, "SNARL_UNFINISHED": "1", "NO_COLOR": "1", **more}


def run(*args, how="rewrite", program=None, env=None, timeout=100):
    """status, standard error, result"""
    out = WORK / "result.json"
    out.unlink(missing_ok=True)
    r = subprocess.run(
        [SNARL, "run", f"--accesses={how}", f"--json={out}", *args, "--", *map(str, program)],
        capture_output=True,
        env=env or clean_env(),
        timeout=timeout,
    )
    result = json.loads(out.read_text()) if out.exists() else None
    return r.returncode, r.stderr.decode(), result


def races(result):
    return sorted((f["kind"], f["memory"]["name"].split(":")[-1]) for f in result["findings"])


class Coverage(unittest.TestCase):
    def test_all_of_a_program(self):
        status, said, result = run("--verbose", program=[build("counter", COUNTER)])
        coverage = result["run"]["coverage"]
        self.assertEqual((status, result["run"]["accesses"]), (66, "rewrite"))
        self.assertEqual(coverage["eligible"], coverage["watched"])
        self.assertGreater(coverage["eligible"], 0)
        self.assertEqual([os.path.basename(m["module"]) for m in coverage["modules"]], ["counter"])
        self.assertIn(f"100 % of the {coverage['eligible']} instructions that access shared memory were watched", said)

    def test_function_left_alone(self):
        status, said, result = run(program=[build("odd", ODD)])
        coverage = result["run"]["coverage"]
        self.assertEqual(status, 0)
        self.assertEqual(coverage["left"], [
            {"reason": "undecoded", "text": coverage["left"][0]["text"], "functions": 1, "accesses": 2}])
        self.assertEqual(coverage["eligible"] - coverage["watched"], 2)
        self.assertIn("not watched: 2 instructions in 1 function left alone: instructions that are not known", said)

    def test_not_when_nothing_is_rewritten(self):
        _, said, result = run("--verbose", how="none", program=["/bin/true"])
        self.assertNotIn("coverage", result["run"])
        self.assertNotIn("shared memory", said)


class Progress(unittest.TestCase):
    def test_told_when_it_takes_long(self):
        program, slow = [build("counter", COUNTER)], clean_env(SNARL_TEST_REWRITE="pause=2500")
        said = run(program=program, env=slow)[1]
        self.assertRegex(said, r"(?m)^snarl: rewriting the program's code before it goes on: 0\.0 of \d+\.\d MB done$")
        self.assertEqual(said.count("rewriting the program"), 1)
        self.assertNotIn("rewriting the program", run("--quiet", program=program, env=slow)[1])
        self.assertNotIn("rewriting the program", run(program=program)[1])


class Cache(unittest.TestCase):
    FOUND = [("data-race", "hits")]

    def setUp(self):
        self.program, self.home = build("counter", COUNTER), WORK / "cache"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(mode=0o700)
        self.env = clean_env(XDG_CACHE_HOME=str(self.home))
        self.folder = self.home / "snarl/rewrite"

    def cached(self, env=None, **kw):
        """How much of the code came from the cache; what is found is always the same."""
        status, _, result = run(program=[self.program], env=env or self.env, **kw)
        cost = result["run"]["cost"]
        self.assertEqual((status, races(result)), (66, self.FOUND))
        self.assertEqual(result["run"]["coverage"]["eligible"], result["run"]["coverage"]["watched"])
        return cost["rewritten_cached_bytes"] / cost["rewritten_bytes"]

    def test_second_time(self):
        self.assertEqual((self.cached(), self.cached()), (0, 1))
        self.assertEqual([f.stat().st_mode & 0o777 for f in [self.folder, *self.folder.iterdir()]], [0o700, 0o600])

    def test_another_program_has_its_own(self):
        self.cached()
        self.program = build("counter2", COUNTER.replace("1000", "1001"))
        self.assertEqual((self.cached(), self.cached()), (0, 1))

    def test_damaged_file_is_made_again(self):
        self.cached()
        (file,) = self.folder.iterdir()
        good = file.read_bytes()
        for bad in (b"", good[:100], good[: len(good) // 2], good[:-40] + b"x" * 40, b"x" * len(good)):
            file.write_bytes(bad)
            self.assertEqual((self.cached(), self.cached()), (0, 1))

    def test_what_others_could_write_is_not_used(self):
        self.cached()
        (file,) = self.folder.iterdir()
        for what, mode, right in ((file, 0o620, 0o600), (self.folder, 0o770, 0o700)):
            what.chmod(mode)
            self.assertEqual(self.cached(), 0)
            if what.exists():
                what.chmod(right)

    def test_nowhere(self):
        for env in ({"XDG_CACHE_HOME": "", "HOME": ""}, {"XDG_CACHE_HOME": "relative", "HOME": "/nonexistent"},
                    {"XDG_CACHE_HOME": "/proc"}, {"XDG_CACHE_HOME": "/" + "x" * 600}):
            self.assertEqual(self.cached(clean_env(**env)), 0)

    def test_in_the_home_folder(self):
        env = {**self.env, "HOME": str(self.home)}
        del env["XDG_CACHE_HOME"]
        self.assertEqual((self.cached(env), self.cached(env)), (0, 1))
        self.assertTrue((self.home / ".cache/snarl/rewrite").is_dir())

    def test_limit_of_file_size(self):
        """The program's limit is not met by us: no signal."""
        limited = ["/bin/bash", "-c", f"ulimit -f 1; exec {self.program}"]
        status, _, result = run(program=limited, env=self.env)
        self.assertEqual((status, races(result)), (66, self.FOUND))
        self.assertFalse(self.folder.exists())

    def test_many_writers(self):
        out = [WORK / f"many{i}.json" for i in range(8)]
        runs = [subprocess.Popen([SNARL, "run", "--accesses=rewrite", f"--json={o}", self.program], env=self.env,
                                 stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for o in out]
        self.assertEqual([r.wait(100) for r in runs], [66] * 8)
        self.assertEqual([races(json.loads(o.read_text())) for o in out], [self.FOUND] * 8)
        self.assertEqual(len(list(self.folder.iterdir())), 1)
        self.assertEqual(self.cached(), 1)


class Masked(unittest.TestCase):
    def test_elements(self):
        flags = open("/proc/cpuinfo").read()
        if " avx2" not in flags:
            self.skipTest("no AVX2")
        for one, name in enumerate((None, "moved", "gathered", "scattered")):
            if name == "scattered" and " avx512f" not in flags:
                continue
            for level in ("-O0", "-O2"):
                with self.subTest(name=name, level=level):
                    program = build(f"masked{one}{level}", MASKED, f"-DONE={one}", level)
                    status, _, result = run(program=[program])
                    self.assertEqual(races(result), [("data-race", f"{name}[]")] if name else [])
                    coverage = result["run"]["coverage"]
                    self.assertEqual(coverage["eligible"], coverage["watched"])


class Modules(unittest.TestCase):
    BOTH = [("data-race", "own"), ("data-race", "shared")]

    @classmethod
    def setUpClass(cls):
        (WORK / "part.c").write_text(LIBRARY)
        subprocess.run(["gcc", "-g", "-shared", "-fPIC", WORK / "part.c", "-o", WORK / "libpart.so.1"], check=True)
        cls.program = build("caller", CALLER, WORK / "libpart.so.1", f"-Wl,-rpath,{WORK}")

    def found(self, *args, **kw):
        status, said, result = run(*args, program=[self.program], **kw)
        return races(result), said, result

    def test_default_and_all(self):
        self.assertEqual(self.found()[0], self.BOTH)
        found, _, result = self.found("--modules=all")
        self.assertEqual((found, result["run"]["options"]["modules"]), (self.BOTH, "all"))

    def test_names_and_globs(self):
        for words, found in (("caller", self.BOTH[:1]), ("libpart", self.BOTH[1:]), ("libpart.so.1,caller", self.BOTH),
                             ("lib*", self.BOTH[1:]), (f"{WORK}/*", self.BOTH), ("/usr/*", [])):
            with self.subTest(words):
                self.assertEqual(self.found(f"--modules={words}")[0], found)

    def test_by_environment(self):
        found = self.found(env=clean_env(SNARL_OPTIONS="modules='libpart':accesses=rewrite"))[0]
        self.assertEqual(found, self.BOTH[1:])

    def test_of_the_system(self):
        """Left alone unless asked for."""
        names = lambda r: {os.path.basename(m["module"]).split(".")[0] for m in r["run"]["coverage"]["modules"]}
        self.assertNotIn("libz", names(run(program=["/usr/bin/pigz", "-c", WORK / "part.c"])[2]))
        self.assertEqual(names(run("--modules=libz", program=["/usr/bin/pigz", "-c", WORK / "part.c"])[2]), {"libz"})

    def test_nothing_meant(self):
        found, said, _ = self.found("--modules=caller,libpurt")
        self.assertEqual(found, self.BOTH[:1])
        self.assertIn("no module that was loaded is meant by --modules=libpurt", said)
        self.assertNotIn("--modules=caller", said)

    def test_bad_lists(self):
        for words, what in (("", "needs a value"), ("a,,b", "wanted between commas"), ("lib[xy]", "no glob that snarl knows")):
            status, said, _ = run(f"--modules={words}", program=["/bin/true"])
            self.assertEqual(status, 2)
            self.assertIn(what, said)

    def test_not_offered_yet(self):
        env = {k: v for k, v in clean_env().items() if k != "SNARL_UNFINISHED"}
        r = subprocess.run([SNARL, "run", "--modules=all", "/bin/true"], capture_output=True, env=env)
        self.assertEqual(r.returncode, 2)
        self.assertIn(b"not part of this version", r.stderr)
        for e in (env, clean_env()):
            self.assertNotIn(b"--modules", subprocess.run([SNARL, "run", "--help"], capture_output=True, env=e).stdout)


if __name__ == "__main__":
    SNARL, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
