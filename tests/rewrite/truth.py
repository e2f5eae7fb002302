#!/usr/bin/env python3
"""Plainly compiled programs, rewritten, with the engine behind the checks: truth.py LIBSNARL WORK_FOLDER SAMPLES [NAME...]

Each finding is expected exactly: kind, verdict, variable and the functions that made the accesses. Each bug stands beside
the nearest program without it. Built by `snarl cc`, with either compiler, they have the same findings, but for those of
DIFFERENT. Stripped there are no names, but the same findings.
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
    "once": ("once always 1 default", [], None),
    "release_flag": ("161683200", [], [(*RACE, "ready", {"make", "await"})]),
    "atomics": ("1999000 7 0 1 400000", [], [(*RACE, "guarded", {"add(long)"})]),
    "plugin": ("5", [], [(*RACE, "calls", {"work"})]),
    "openmp": ("31520", [], [(*RACE, "lost", {"main._omp_fn.0"})]),
    "forked": ("7 4000", [], [(*RACE, "count", {"add"})]),
}
# Without symbols and debug information nothing tells a plain flag from an atomic one; an update by two steps is none.
STRIPPED = {"last_reference": (set(), {"possible"}), "openmp": (set(), {"possible"}), "release_flag": ({"possible"}, {"possible"}), "atomics": ({"possible"}, {"possible", "observed"})}
# By `snarl cc`: what it finds instead, and why.
DIFFERENT = {
    "strings-bug": [],  # a string instruction in inline assembly: compilers do not instrument that
    # A plain flag is one race among others; rewritten it becomes an atomic one with the first, which excuses what it guards.
    "release_flag-bug": [(*RACE, "ready", {"make", "await"}), (*RACE, "ready", {"make"}), (*RACE, "data", {"make"})],
}
SAMPLES = {
    "bug": [(*RACE, "counter", {"count"})],
    "fixed": [],
    "atomic": [],
    "sums": [],
}


def findings(library, program, accesses="rewrite"):
    """What it prints, and its findings as in CASES."""
    out = program.with_suffix(".json")
    out.unlink(missing_ok=True)
    r = subprocess.run(
        [program],
        env={**os.environ, "LD_PRELOAD": library, "SNARL_OPTIONS": f"json={out}:accesses={accesses}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    found = set()
    for f in json.loads(out.read_text())["findings"]:
        functions = frozenset(e["stack"][0]["function"] for e in f["events"] if e.get("stack") and "function" in e["stack"][0])
        name = f["memory"].get("local", f["memory"]["name"])
        found.add((f["kind"], f["verdict"], name.split(":")[-1].split("[")[0], functions))
    return r.returncode, r.stdout.decode().strip(), found


def programs(samples):
    """name, source, extra options, what is printed (None: anything), findings"""
    for name, found in SAMPLES.items():
        yield f"counter-{name}", samples / "race/counter" / f"{name}.c", [], None, found
    for name, (printed, clean, bug) in CASES.items():
        source = next(HERE.glob(f"{name}.c*"))
        yield name, source, [], printed, clean
        if bug is not None:
            yield f"{name}-bug", source, ["-DBUG"], printed, bug


def compiled(compiler, level, source, options, program, snarl=None):
    """The program, and what it opens; by `snarl cc`, or plainly."""
    if source.suffix == ".cc":
        compiler = {"gcc": "g++", "clang": "clang++"}[compiler]
    if not shutil.which(compiler):
        return None
    if "OPENMP" in source.read_text():
        if compiler != "gcc":
            return None  # libomp is not installed everywhere
        options = [*options, "-fopenmp"]
    if snarl:
        compiler = [snarl, "c++" if source.suffix == ".cc" else "cc", f"--with={compiler}"]
    else:
        compiler = [compiler]
    command = [*compiler, "-g", level, *options, "-pthread", source]
    subprocess.run([*command, "-o", program], check=True)
    if "PLUGIN" in source.read_text():
        subprocess.run([*command, "-DPLUGIN", "-shared", "-fPIC", "-o", f"{program}.so"], check=True)
    return program


def problems_of(library, where, program, printed, expected):
    status, output, found = findings(library, program)
    if status:
        yield f"{where}: status {status}"
    if printed is not None and output != printed:
        yield f"{where}: printed {output!r}"
    if found != {(*e[:3], frozenset(e[3])) for e in expected}:
        yield f"{where}: found {found}, not {expected}"


def stripped_problems(library, where, program, verdicts, expected):
    """verdicts: what findings may have, and one of them must have; None: as they are with symbols."""
    subprocess.run(["strip", program], check=True)
    status, _, found = findings(library, program)
    if verdicts is None:
        right = sorted(f[:2] for f in found) == sorted(e[:2] for e in expected)
    else:
        right = {f[1] for f in found} <= verdicts and ("observed" in verdicts) == any(f[1] == "observed" for f in found)
    if status or not right:
        yield f"{where}, stripped: status {status}, found {found}, not {verdicts or expected}"


def instrumented_problems(library, where, name, program, expected):
    status, _, found = findings(library, program, "compiled")
    expected = DIFFERENT.get(name, expected)
    if status or found != {(*e[:3], frozenset(e[3])) for e in expected}:
        yield f"{where}, by snarl cc: status {status}, found {found}, not {expected}"


def main():
    library, work, samples = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    snarl = pathlib.Path(library).resolve().parent.parent / "bin/snarl"
    work.mkdir(parents=True, exist_ok=True)
    problems = []
    for name, source, options, printed, expected in programs(samples):
        if len(sys.argv) > 4 and name not in sys.argv[4:]:
            continue
        for compiler in ("gcc", "clang"):
            for level in ("-O0", "-O1", "-O2", "-O3"):
                program = compiled(compiler, level, source, options, work / f"{name}-{compiler}{level}")
                if not program:
                    continue
                where = f"{name} {compiler} {level}"
                problems += problems_of(library, where, program, printed, expected)
                if level != "-O2":
                    continue
                verdicts = STRIPPED.get(source.stem)
                problems += stripped_problems(library, where, program, verdicts and verdicts[bool(options)], expected)
                program = compiled(compiler, level, source, options, work / f"{name}-{compiler}-cc", snarl)
                problems += instrumented_problems(library, where, name, program, expected)
        print(name, flush=True)
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
