#!/usr/bin/env python3
"""Runs one of the programs of this folder under snarl: compare.py --snarl SNARL --source FILE PROGRAM [ARGS...]

The races must be on exactly the variables, or blocks allocated by the functions, whose names begin with `hit_`: one at least
for each that the source has, none on another one. With arguments for PROGRAM there must be no race at all.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile


def variables(source):
    """Names of the rows of a source's tables: X(name, ...)."""
    return {"hit_" + name for name in re.findall(r"^ +X\((\w+),", source.read_text(), re.MULTILINE)}


def subject(memory):
    """The row's name: a variable, or the function that has allocated the block."""
    for frame in memory.get("born") or []:
        if re.match(r"(hit|miss)_", frame.get("function") or ""):
            return re.sub(r"\W.*", "", frame["function"])
    return re.sub(r"[.\[].*", "", memory["name"].split(":")[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--snarl", required=True)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("program")
    parser.add_argument("args", nargs="*")
    a = parser.parse_args()
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        run = subprocess.run([a.snarl, "run", "--json=" + out.name, "--", a.program, *a.args], capture_output=True, text=True,
                             timeout=120)
        result = json.loads(pathlib.Path(out.name).read_text())
    found = {subject(f["memory"]) for f in result["findings"] if f["kind"] == "data-race"}
    wanted = set() if a.args else variables(a.source)
    for name in sorted(wanted - found):
        print("no race on", name)
    for name in sorted(found - wanted):
        print("a race on", name)
    others = [f["kind"] for f in result["findings"] if f["kind"] != "data-race"]
    if others:
        print("other findings:", *others)
    if run.returncode != (66 if wanted else 0):
        print(f"status {run.returncode}\n{run.stderr[-2000:]}")
        sys.exit(1)
    sys.exit(1 if wanted != found or others else 0)


if __name__ == "__main__":
    main()
