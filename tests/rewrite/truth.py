#!/usr/bin/env python3
"""Plainly compiled programs, rewritten, with the engine behind the checks: truth.py LIBSNARL WORK_FOLDER SAMPLES [NAME...]

Each finding is expected exactly: kind, verdict, variable and the functions that made the accesses. Each bug stands beside
the nearest program without it.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent / "cases"
RACE = ("data-race", "observed")
# What is printed, what is found as it is, and with -DBUG (None: there is no such twin).
CASES = {
    "exchange_lock": ("done", [], [(*RACE, "guarded", {"count"})]),
    "last_reference": ("1", [], [(*RACE, "part", {"work"})]),
    "strings": ("text", [], [(*RACE, "to", {"copy"})]),
    "handlers": ("same", [], None),
    "wild": ("12", [], None),
}
SAMPLES = {
    "bug": [(*RACE, "counter", {"count"})],
    "fixed": [],
    "atomic": [],
    "sums": [],
}


def findings(library, program):
    """What it prints, and its findings as in CASES."""
    out = program.with_suffix(".json")
    out.unlink(missing_ok=True)
    r = subprocess.run(
        [program],
        env={**os.environ, "LD_PRELOAD": library, "SNARL_OPTIONS": f"json={out}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    found = []
    for f in json.loads(out.read_text())["findings"]:
        functions = {e["stack"][0]["function"] for e in f["events"] if e.get("stack")}
        found.append((f["kind"], f["verdict"], f["memory"]["local"].split(":")[-1].split("[")[0], functions))
    return r.returncode, r.stdout.decode().strip(), found


def programs(samples):
    """name, source, extra options, what is printed (None: anything), findings"""
    for name, found in SAMPLES.items():
        yield f"counter-{name}", samples / "race/counter" / f"{name}.c", [], None, found
    for name, (printed, clean, bug) in CASES.items():
        yield name, HERE / f"{name}.c", [], printed, clean
        if bug is not None:
            yield f"{name}-bug", HERE / f"{name}.c", ["-DBUG"], printed, bug


def main():
    library, work, samples = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    work.mkdir(parents=True, exist_ok=True)
    problems = []
    for name, source, options, printed, expected in programs(samples):
        if len(sys.argv) > 4 and name not in sys.argv[4:]:
            continue
        for compiler in ("gcc", "clang"):
            for level in ("-O0", "-O2", "-O3"):
                if not shutil.which(compiler):
                    continue
                program = work / f"{name}-{compiler}{level}"
                subprocess.run([compiler, "-g", level, *options, "-pthread", "-o", program, source], check=True)
                status, output, found = findings(library, program)
                where = f"{name} {compiler} {level}"
                if status:
                    problems.append(f"{where}: status {status}")
                if printed is not None and output != printed:
                    problems.append(f"{where}: printed {output!r}")
                if found != expected:
                    problems.append(f"{where}: found {found}, not {expected}")
        print(name, flush=True)
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
