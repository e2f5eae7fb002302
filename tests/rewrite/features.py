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


if __name__ == "__main__":
    SNARL, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
