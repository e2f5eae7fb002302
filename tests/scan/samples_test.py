#!/usr/bin/env python3
"""Holds the scan to what the samples' expect.json say of it: samples_test.py --snarl SNARL [--write]

Each C program of a sample is scanned alone. "scan" lists what is found with high or medium confidence: kind, rule, and the memory or
the locks. A program without "scan" has nothing. --write puts in what is found, for a reader to judge.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def scan(snarl, source):
    with tempfile.TemporaryDirectory() as name:
        result = pathlib.Path(name) / "result.json"
        done = subprocess.run([snarl, "scan", "--cache=none", "--quiet", f"--json={result}", str(source), "--", f"-I{ROOT}/include"],
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode not in (0, 66):
            raise ValueError(f"exit status {done.returncode}: {done.stderr}")
        return [short(f) for f in json.loads(result.read_text())["findings"] if f["confidence"] != "low"]


def short(finding):
    kept = {key: finding[key] for key in ("kind", "rule", "confidence") if key in finding}
    if "memory" in finding:
        kept["memory"] = finding["memory"]["name"]
    else:
        kept["locks"] = sorted(lock["class"] for lock in finding["locks"])
    return kept


def order(finding):
    return json.dumps(finding, sort_keys=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--snarl", required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    failed = programs = 0
    for path in sorted((ROOT / "samples").glob("*/*/expect.json")):
        text = path.read_text()
        expected = json.loads(text)
        for program in expected["programs"]:
            source = path.parent / (program["program"] + ".c")
            if not source.exists():
                continue
            programs += 1
            found = sorted(scan(options.snarl, source), key=order)
            if found == sorted(program.get("scan", []), key=order):
                continue
            failed += 1
            print(f"FAILED  {source.relative_to(ROOT)}: expected {program.get('scan', [])}, found {found}", flush=True)
            program["scan"] = found
        if options.write and json.loads(text) != expected:
            path.write_text(json.dumps(expected, indent=2) + "\n")
    print(f"{programs} programs, {failed} other than expected")
    sys.exit(1 if failed or not programs else 0)


if __name__ == "__main__":
    main()
