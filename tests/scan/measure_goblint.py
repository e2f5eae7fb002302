#!/usr/bin/env python3
"""Measures the scan on the regression tests of Goblint (github.com/goblint/analyzer), which are not part of this repository.

    measure_goblint.py --scan build/tests/scan/snarl-scan --checkout FOLDER [--only TEXT] [--list]

A line that ends in // RACE! or // NORACE (DEADLOCK, NODEADLOCK) says whether a data race (a lock-order cycle or a relock) is
there; lines marked TODO or SKIP are not counted, nor is plain RACE, which only says what Goblint does not know better. A line
is a hit when a finding of that kind names it. Prints true and false positives and negatives; --list every miss.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

COMPILER = ["clang-14", "-g", "-O0", "-Xclang", "-disable-O0-optnone", "-fno-discard-value-names", "-emit-llvm", "-c", "-w"]
COMMENT_LINE = re.compile(r"^\s*//|^\s*/\*([^*]|\*+[^*/])*\*/$")


def annotations(path):
    """[(line, group, wanted)]"""
    found = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if COMMENT_LINE.match(line) or re.search("TODO|SKIP", line):
            continue
        if re.search("NODEADLOCK|DEADLOCK", line):
            found.append((number, "deadlock", "NODEADLOCK" not in line))
        elif "NORACE" in line or "RACE!" in line:
            found.append((number, "race", "NORACE" not in line))
    return found


def lines_of(document, name):
    """{group: lines of the file that findings name}"""
    lines = {"race": set(), "deadlock": set()}
    for finding in document["findings"]:
        kind = finding["kind"]
        if kind in ("data-race", "unprotected"):
            group, places = "race", list(finding.get("other_places", []))
            places += [event["stack"][0] for event in finding["events"]]
        elif kind == "lock-order" or finding.get("rule") == "relock":
            group = "deadlock"
            places = list(finding.get("other_places", []))
            places += [event["stack"][0] for event in finding["events"] if event["stack"]]
        else:
            continue
        lines[group].update(place["line"] for place in places if os.path.basename(place["file"]) == name)
    return lines


def scan(options, path, scratch):
    bitcode = os.path.join(scratch, "test.bc")
    include = options.checkout / "lib/goblint/runtime/include"
    if subprocess.run([*COMPILER, f"-I{include}", "-o", bitcode, path], capture_output=True, check=False).returncode:
        return None
    done = subprocess.run([options.scan, "--json", bitcode], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode not in (0, 66):
        raise SystemExit(f"{path}: exit status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scan", required=True)
    parser.add_argument("--checkout", required=True, type=pathlib.Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    counts, left_out = collections.Counter(), []
    root = options.checkout / "tests/regression"
    for path in sorted(root.rglob("*.c")):
        wanted = annotations(path) if options.only in str(path) else []
        if not wanted:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            document = scan(options, path, scratch)
        if document is None:
            left_out.append(path.relative_to(root))
            continue
        lines = lines_of(document, path.name)
        for number, group, want in wanted:
            hit = number in lines[group]
            result = ("TP" if hit else "FN") if want else ("FP" if hit else "TN")
            counts[group, result] += 1
            if options.list and result in ("FN", "FP"):
                print(f"{group} {result} {path.relative_to(root)}:{number}")
    for group in ("race", "deadlock"):
        n = {result: counts[group, result] for result in ("TP", "FN", "FP", "TN")}
        precision, recall = n["TP"] / max(n["TP"] + n["FP"], 1), n["TP"] / max(n["TP"] + n["FN"], 1)
        print(f"{group}: {n}, precision {precision:.1%}, recall {recall:.1%}")
    print(f"not compiled: {len(left_out)}: {', '.join(map(str, left_out))}")


if __name__ == "__main__":
    sys.exit(main())
