#!/usr/bin/env python3
"""200 processes with 4 threads each, killed at random: processes_test.py SNARL SOURCE [SEEDS]

The result has all processes and the one finding that is there; nothing stays behind in /dev/shm or the folder for temporary
files. Locks alone, and accesses as well; prints what watching costs.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile

COUNT = 200


def cpu(command, **kw):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False, **kw)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return p, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def check(snarl, program, seed, folder, native):
    """What is wrong with one run."""
    tmp, result = os.path.join(folder, "tmp"), os.path.join(folder, "result.json")
    os.makedirs(tmp, exist_ok=True)
    shm = set(os.listdir("/dev/shm"))
    p, seconds = cpu([snarl, "run", "--json=" + result, "--", program, str(seed)], env={**os.environ, "TMPDIR": tmp})
    problems = [f"exit status {p.returncode}: {p.stderr[-2000:]}"] if p.returncode != 66 else []
    left = os.listdir(tmp) + sorted(set(os.listdir("/dev/shm")) - shm)
    if left:
        problems.append(f"left behind: {left}")
    with open(result, encoding="utf-8") as f:
        doc = json.load(f)
    found = [(f["kind"], sorted(lock["class"].split(":")[-1] for lock in f["locks"])) for f in doc["findings"]]
    if found != [("lock-order", ["inner", "outer"])]:
        problems.append(f"found {found}")
    killed = int(p.stdout.split()[0])  # some before they could make themselves known
    if not COUNT + 2 - killed <= doc["run"]["processes"] <= COUNT + 2:
        problems.append(f"{doc['run']['processes']} processes")
    print(f"{os.path.basename(program)}, seed {seed}: {p.stdout.strip()}, {doc['run']['threads']} threads, "
          f"{seconds:.2f} s of processor time, native {native:.2f} s")
    return problems


def main():
    snarl, source = sys.argv[1:3]
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    problems = []
    with tempfile.TemporaryDirectory(prefix="snarl-processes-") as folder:
        for name, compiler in (("plain", ["gcc"]), ("compiled", [snarl, "cc", "--with=gcc"])):
            program = os.path.join(folder, name)
            subprocess.run([*compiler, "-g", "-O1", "-pthread", source, "-o", program], check=True)
            native = cpu([os.path.join(folder, "plain"), "1"])[1]
            for seed in range(1, seeds + 1):
                problems += check(snarl, program, seed, folder, native)
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
