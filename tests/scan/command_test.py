#!/usr/bin/env python3
"""What `snarl scan` promises its user, beside finding things: command_test.py --snarl SNARL

Inputs that do not fit, exit status, outputs, the cache, the same ids as runs, and that nothing is left behind.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "samples"
RACE = """#include <pthread.h>
int counter;
static void *count(void *unused) { counter++; return unused; }
int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, count, NULL);
    pthread_create(&b, NULL, count, NULL);
    pthread_join(a, NULL);
    return pthread_join(b, NULL);
}
"""
# A lock of a library of which only the names are known.
WRAPPED = """#include <pthread.h>
struct lock;
void enter(struct lock *l);
void leave(struct lock *l);
struct lock *the_lock;
int counter;
static void *count(void *unused) { enter(the_lock); counter++; leave(the_lock); return unused; }
int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, count, NULL);
    pthread_create(&b, NULL, count, NULL);
    pthread_join(a, NULL);
    return pthread_join(b, NULL);
}
"""


class Test:
    def __init__(self, snarl, folder):
        self.snarl, self.folder = snarl, folder
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_")}
        self.environment.update(SNARL_UNFINISHED="1", XDG_CACHE_HOME=str(folder / "cache"), TMPDIR=str(folder / "tmp"))
        (folder / "tmp").mkdir()

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def scan(self, *words, status=0, **environment):
        done = subprocess.run([self.snarl, "scan", *map(str, words)], capture_output=True, text=True, timeout=120, check=False,
                              cwd=self.folder, env=self.environment | environment)
        self.that(done.returncode == status, f"{words}: status {done.returncode}, not {status}", done)
        self.that(not os.listdir(self.folder / "tmp"), f"{words}: left {os.listdir(self.folder / 'tmp')}", done)
        return done

    @staticmethod
    def that(true, text, done=None):
        if not true:
            raise AssertionError(text + (f"\n{done.stdout}{done.stderr}" if done else ""))

    def database(self, *entries):
        self.write("build/compile_commands.json", json.dumps(
            [{"directory": str(self.folder), "file": file, "arguments": ["cc", *flags, "-c", "-o", "x.o", file]}
             for file, *flags in entries]))

    # ---- the tests ----

    def test_finding_and_outputs(self):
        self.write("race.c", RACE)
        done = self.scan("race.c", "--json=out.json", "--dot=out.dot", status=66)
        self.that(done.stdout.startswith("snarl: data race: counter is written in count() by several threads"), "title", done)
        self.that("data-race, static, high confidence" in done.stdout and "1 unit, " in done.stdout, "report", done)
        self.that(done.stderr == "", "standard error", done)
        finding = json.loads((self.folder / "out.json").read_text())["findings"][0]
        self.that(finding["counts"] and finding["verdict"] == "static" and finding["id"] in done.stdout, "document", done)
        again = subprocess.run([self.snarl, "report", "out.json"], capture_output=True, text=True, cwd=self.folder, check=False,
                               env=self.environment, timeout=60)
        self.that(again.returncode == 66 and again.stdout == done.stdout, "snarl report shows it as scan did", again)
        self.that((self.folder / "out.dot").read_text().rstrip().endswith("}"), "dot")
        done = self.scan("race.c", "--json=-", status=66)
        json.loads(done.stdout)
        self.that("data race" in done.stderr, "the text makes way for the document", done)

    def test_what_counts(self):
        self.write("race.c", RACE)
        done = self.scan("race.c", "--fail-on=lock-order")
        self.that("also seen, but not counted" in done.stdout and "no finding that counts" in done.stdout, "short list", done)
        self.scan("race.c", "--fail-on=high", status=66)
        self.scan("race.c", "--fail-on=proven")
        self.scan("race.c", "--exit-code=3", status=3)
        self.that("did you mean" in self.scan("race.c", "--fail-on=data-rice", status=2).stderr, "nearest word")

    def test_clean(self):
        self.write("clean.c", "int main(void) { return 0; }\n")
        self.that(self.scan("clean.c").stdout.startswith("snarl: no findings; 1 unit"), "said")
        self.that(self.scan("-q", "clean.c").stdout == "", "quiet")

    def test_units_that_do_not_fit(self):
        self.write("race.c", RACE)
        self.write("broken.c", "int f(void) { return nonsense; }\n")
        self.write("start.s", "nop\n")
        self.database(("race.c", "-O2", "-fno-such-flag-of-gcc"), ("broken.c",), ("start.s",), ("gone.c",))
        done = self.scan("-p", "build", "--json=out.json", status=66)
        self.that("3 units could not be read and are left out" in done.stdout, "how many", done)
        for text in ("broken.c: does not compile with clang: use of undeclared identifier 'nonsense'", "start.s: neither C nor C++",
                     "gone.c: does not compile with clang: no such file"):
            self.that(text in done.stdout, text, done)
        units = json.loads((self.folder / "out.json").read_text())["run"]["units"]
        self.that(sorted(u["file"] for u in units if "problem" in u) == ["broken.c", "gone.c", "start.s"], str(units))
        done = self.scan("broken.c", status=125)
        self.that("no unit could be read" in done.stderr and "nonsense" in done.stderr, "nothing left", done)

    def test_database(self):
        self.write("race.c", RACE)
        self.that("not there; cmake writes one" in self.scan("-p", ".", status=2).stderr, "no database")
        self.write("build/compile_commands.json", "[{]")
        self.that("compile_commands.json:1:" in self.scan("-p", "build", status=2).stderr, "broken database")
        self.write("build/compile_commands.json", "[]")
        self.that("no unit" in self.scan("-p", "build", status=2).stderr, "empty database")
        # As bear writes it: the file's path is whole, the command's is not; as cmake does: one string.
        self.write("build/compile_commands.json", json.dumps(
            [{"directory": str(self.folder), "file": str(self.folder / "race.c"), "command": "ccache cc -DX='a b' -o r.o -c race.c"}]))
        self.scan("-p", "build", status=66)

    def test_usage(self):
        self.write("race.c", RACE)
        self.write("header.h", "")
        for words, text in (((), "which files?"), (("-p", ".", "race.c"), "not both"), (("gone.c",), "gone.c: No such file"),
                            (("header.h",), "neither C, C++ nor LLVM bitcode"), ((".",), "-p ."), (("--jsn=x", "race.c"), "--json"),
                            (("--model=gone", "race.c"), "gone: No such file"), (("--force", "race.c"), "unknown option")):
            done = self.scan(*words, status=2)
            self.that(text in done.stderr and not done.stdout, f"{words}: {text}", done)
        done = self.scan("race.c", "--json=gone/x.json", status=125)
        self.that("cannot write gone/x.json" in done.stderr, "told before the work", done)
        self.that(self.scan("--help").stdout.startswith("Usage: snarl scan"), "help")

    def test_flags(self):
        self.write("flag.c", "#ifdef RACE\n#include \"race.h\"\n#else\nint main(void) { return 0; }\n#endif\n")
        self.write("include/race.h", RACE)
        self.scan("flag.c")
        self.scan("flag.c", "--", "-DRACE", "-Iinclude", status=66)

    def test_model(self):
        self.write("wrapped.c", WRAPPED)
        self.write("model", "# a library's own lock\nenter lock kind=custom\nleave unlock kind=custom\n")
        self.scan("wrapped.c", status=66)
        self.scan("--model=model", "wrapped.c")
        self.write("model", "enter lock\nleave unluck\n")
        self.that("model:2: unknown action 'unluck'" in self.scan("--model=model", "wrapped.c", status=2).stderr, "line told")

    def test_no_clang(self):
        self.write("race.c", RACE)
        done = self.scan("race.c", status=125, PATH="/nowhere")
        self.that("clang is not there" in done.stderr and "install" in done.stderr, "said", done)

    def test_cache(self):
        self.write("race.c", RACE)
        kept = self.folder / "cache/snarl/scan"
        self.scan("race.c", status=66)
        units = sorted(kept.glob("*.unit"))
        self.that(len(units) == 1 and kept.stat().st_mode & 0o777 == 0o700, f"{units}")
        whole = units[0].read_bytes()
        units[0].write_bytes(whole[:len(whole) // 2])  # damaged: made again
        self.scan("race.c", status=66)
        self.that(units[0].read_bytes() == whole, "a damaged unit")
        shutil.rmtree(kept)
        self.scan("race.c", "--cache=none", status=66)
        self.that(not kept.exists(), "no cache")
        self.scan("race.c", "--cache=elsewhere/deep", status=66)
        self.that(len(list((self.folder / "elsewhere/deep").glob("*.unit"))) == 1, "another cache")
        self.write("file", "")
        done = self.scan("race.c", "--cache=file/x", status=66)
        self.that("going on without a cache" in done.stderr, "a cache that cannot be", done)

    def test_bitcode(self):
        self.write("race.c", RACE)
        subprocess.run(["clang", "-g", "-O0", "-emit-llvm", "-c", "race.c", "-o", "race.bc"], cwd=self.folder, check=True)
        self.scan("race.bc", status=66, PATH="/nowhere")

    def test_same_id_as_runs(self):
        for sample, expected in (("deadlock/hidden", "lock-order"),):
            done = self.scan("--json=-", SAMPLES / sample / "bug.c", status=66)
            finding = json.loads(done.stdout)["findings"][0]
            binary = pathlib.Path(self.snarl).parents[1] / "samples" / sample / "bug"
            run = subprocess.run([self.snarl, "run", "--json=run.json", binary], cwd=self.folder, env=self.environment, timeout=60,
                                 capture_output=True, check=False)
            seen = json.loads((self.folder / "run.json").read_text())["findings"]
            self.that([f["id"] for f in seen] == [finding["id"]] and finding["kind"] == expected, f"{run} {seen}")

    def test_with_runs(self):
        self.write("both.c", """
#include <pthread.h>
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, c = PTHREAD_MUTEX_INITIALIZER;
static int hits, rare;
static void twice(pthread_mutex_t *x, pthread_mutex_t *y)
{
    pthread_mutex_lock(x);
    pthread_mutex_lock(y);
    hits++;
    pthread_mutex_unlock(y);
    pthread_mutex_unlock(x);
}
static void note(void) { rare++; }
static void *one(void *all) { twice(&a, &b); twice(&a, &c); if (all) note(); return all; }
static void *two(void *all) { twice(&b, &a); if (all) { twice(&c, &a); note(); } return all; }
int main(int argc, char **argv)
{
    pthread_t x, y;
    pthread_create(&x, 0, one, argc > 1 ? argv : 0);
    pthread_join(x, 0);
    pthread_create(&x, 0, one, argc > 1 ? argv : 0);
    pthread_create(&y, 0, two, argc > 1 ? argv : 0);
    pthread_join(x, 0);
    pthread_join(y, 0);
    return 0;
}
""")
        subprocess.run(["cc", "-g", "-O0", "-pthread", "both.c", "-o", "both"], cwd=self.folder, check=True)
        subprocess.run([self.snarl, "run", "--json=run.json", "--on-deadlock=break", "./both"], cwd=self.folder, env=self.environment,
                       timeout=60, capture_output=True, check=False)
        done = self.scan("--with=run.json", "--json=joined.json", "both.c", status=66)
        joined = json.loads((self.folder / "joined.json").read_text())
        states = {f["runs"]["state"]: f for f in joined["findings"]}
        cycle = states.get("confirmed", {})
        self.that(joined["findings"][0] == cycle and cycle["verdict"] != "static" and "scan" in cycle, str(joined["findings"])[:2000])
        self.that(states["partly-exercised"]["kind"] == "lock-order" and states["not-exercised"]["memory"]["shown"] == "rare", str(states)[:2000])
        gaps = {gap["function"] for gap in joined["not_exercised"]}
        self.that("note" in gaps and "places of static findings that no run came to" in done.stdout and "note() at both.c" in done.stdout, str(gaps))
        self.scan("--with=missing.json", "both.c", status=125)

    def test_samples(self):
        for sample, kind in (("deadlock/two-threads", "lock-order"), ("deadlock/ring", "lock-order"), ("race/counter", "data-race"),
                             ("deadlock/not-striking", "lock-order"), ("race/result-before-join", "data-race"),
                             ("mutex/early-return", "returns-holding"), ("mutex/wrong-thread", "unlock-not-locked")):
            done = self.scan("--json=-", "--fail-on=all", SAMPLES / sample / "bug.c", status=66)
            found = [f.get("rule", f["kind"]) for f in json.loads(done.stdout)["findings"]]
            self.that(found == [kind], f"{sample}: {found}")
            self.scan("--fail-on=all", SAMPLES / sample / "fixed.c")

    def test_interrupted(self):
        for name in ("clang", "clang-14", "clang-16", "clang-19"):
            self.write("bin/" + name, "#!/bin/sh\nsleep 60\n").chmod(0o755)
        self.write("race.c", RACE)
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        with subprocess.Popen([self.snarl, "scan", "race.c"], cwd=self.folder, env=self.environment | {"PATH": path},
                              start_new_session=True, stderr=subprocess.PIPE) as process:
            while not os.listdir(self.folder / "tmp") or not any(n.endswith(".err") for n in self.scratch_files()):
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
        self.that(process.returncode == 128 + signal.SIGINT, f"status {process.returncode}")
        self.that(not os.listdir(self.folder / "tmp"), "scratch files are left")

    def scratch_files(self):
        return [name for _, _, names in os.walk(self.folder / "tmp") for name in names]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--snarl", required=True, type=lambda p: str(pathlib.Path(p).resolve()))
    options = parser.parse_args()
    failed = 0
    for name in [name for name in dir(Test) if name.startswith("test_")]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                getattr(Test(options.snarl, pathlib.Path(folder)), name)()
                print(f"ok      {name}", flush=True)
            except (AssertionError, ValueError, KeyError, IndexError, subprocess.SubprocessError) as e:
                failed += 1
                print(f"FAILED  {name}: {e!r}" if not str(e) else f"FAILED  {name}: {e}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
