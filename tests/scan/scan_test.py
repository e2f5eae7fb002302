#!/usr/bin/env python3
"""Holds the scan to the small programs in cases/: scan_test.py --snarl SNARL CASE.c...

Each program is scanned as it is, where exactly one finding is expected, and with CLEAN defined, its nearest twin, where there must
be none (or, where it says "clean: low", some of low confidence). The comment at its top says what: "expect: KIND [rule=RULE] [memory=NAME] [locks=NAME,NAME] function=NAME...". Both go
through a compile_commands.json and the cache: a second time nothing may be compiled anew.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile


INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "include"


def scan(snarl, folder, case, *flags):
    entry = {"directory": str(folder), "file": str(case), "arguments": ["cc", "-Wall", f"-I{INCLUDE}", *flags, "-O2", "-c", str(case), "-o", "x.o"]}
    (folder / "compile_commands.json").write_text(json.dumps([entry]))
    (folder / "cache").mkdir(exist_ok=True)
    done = subprocess.run([snarl, "scan", "--json=-", "--quiet", "--fail-on=all", f"--cache={folder}/cache", "-p", str(folder)],
                          capture_output=True, text=True, timeout=60, check=False)
    if done.returncode not in (0, 66):
        raise ValueError(f"exit status {done.returncode}\n{done.stderr}")
    document = json.loads(done.stdout)
    if (done.returncode == 66) != bool(document["findings"]):
        raise ValueError(f"exit status {done.returncode} with {len(document['findings'])} findings")
    return document["findings"]


def expectation(case):
    words = re.search(r"expect: (.*?)(?:\*/|$)", case.read_text(), re.M).group(1).split()
    want = {"kind": words[0], "function": set()}
    for word in words[1:]:
        key, _, value = word.partition("=")
        if key == "function":
            want[key].add(value)
        else:
            want[key] = value
    return want


def differs(finding, want):
    if finding["kind"] != want["kind"] or finding["verdict"] != "static":
        return f"{finding['kind']}, {finding['verdict']}"
    if finding.get("rule", "") != want.get("rule", ""):
        return f"rule {finding.get('rule')}"
    memory = (finding.get("memory") or {}).get("shown")
    if "memory" in want and memory != want["memory"]:
        return f"memory {memory}"
    locks = sorted(lock["local"].rpartition(":")[2] for lock in finding["locks"])
    if "locks" in want and locks != want["locks"].split(","):
        return f"locks {locks}"
    functions = {frame["function"] for event in finding["events"] for frame in event["stack"]}
    if want["function"] - functions:
        return f"functions {functions}"
    for event in finding["events"]:
        if not event["stack"] or not event["stack"][0]["line"] or not event["stack"][0]["file"]:
            return "a side without a place"
    if not re.fullmatch("[0-9a-f]{16}", finding["id"]) or not (finding["title"] and finding["why"] and finding["fix"]):
        return "no id or no sentences"
    return None


def check(snarl, case):
    want = expectation(case)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        found = scan(snarl, folder, case)
        if len(found) != 1 or differs(found[0], want):
            raise ValueError(f"expected {want}, found {[(f['title'], differs(f, want)) for f in found]}")
        units = len(list((folder / "cache").glob("*.unit")))
        before = {unit: os.stat(unit).st_mtime_ns for unit in (folder / "cache").glob("*.unit")}
        again = scan(snarl, folder, case)
        if again != found or units != 1 or any(os.stat(unit).st_mtime_ns != at for unit, at in before.items()):
            raise ValueError("the cache gave something else")
        clean = scan(snarl, folder, case, "-DCLEAN")
        if "clean: low" in case.read_text() and {f["confidence"] for f in clean} == {"low"}:
            clean = []
        if clean:
            raise ValueError(f"the clean twin has {[f['title'] for f in clean]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--snarl", required=True)
    parser.add_argument("cases", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    failed = 0
    for case in options.cases:
        try:
            check(options.snarl, case.resolve())
            print(f"ok      {case.name}", flush=True)
        except (ValueError, AttributeError, subprocess.TimeoutExpired) as e:
            failed += 1
            print(f"FAILED  {case.name}: {e}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
