#!/usr/bin/env python3
"""Runs a module of CPython's own test suite under snarl: it must pass as without, and snarl must not find anything.

    python_suite.py --snarl build/bin/snarl [--python PYTHON]... test_threading

Without --python: the interpreters of this machine that have their tests with them (Debian's libpython3.x-testsuite, pyenv's) and that snarl
reads. Tests that fail without snarl are left out. Exit status: 0 as promised, 1 not, 77 no such interpreter.
"""
import argparse
import glob
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
SECONDS = 500


def run(command):
    """Exit status and output; its whole session ends with it."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=SECONDS)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]


def interpreters(suite):
    found = {}
    home = os.path.expanduser("~/.pyenv/versions/*/bin/python3")
    for path in [f"/usr/bin/python{v}" for v in VERSIONS] + sorted(glob.glob(home)):
        if not os.path.exists(path):
            continue
        status, output = run([path, "-c", f"import sys, test.{suite}; print('%d.%d' % sys.version_info[:2])"])
        version = output.strip().split("\n")[-1]
        if status == 0 and version in VERSIONS:
            found.setdefault(version, path)
    return list(found.values())


def failures(output):
    return re.findall(r"^(?:ERROR|FAIL): (\w+)", output, re.M)


def check(snarl, python, suite):
    command = [python, "-m", "test", suite]
    status, output = run(command)
    if status != 0:
        broken = failures(output)
        for name in broken:
            command += ["-i", name]
        if not broken or run(command)[0] != 0:
            print(f"{python}: {suite} does not pass without snarl either; left out")
            return True
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "result.json")
        watched = [snarl, "run", "--json=" + result, "--log=" + os.path.join(folder, "log"), "--"] + command
        status, output = run(watched)
        if status == 2:  # some of these tests measure time: once more
            status, output = run(watched)
        try:
            with open(result, encoding="utf-8") as f:
                findings = json.load(f)["findings"]
        except (OSError, ValueError) as e:
            print(f"{python} {suite}: no result: {e}")
            findings = []
        good = status == 0 and not findings
        print(f"{python} {suite}: exit status {status}, {len(findings)} findings" + ("" if good else "\n" + output[-4000:]))
        for f in findings:
            print(" ", f["id"], f["kind"], f.get("rule", ""), f["title"])
        return good


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--snarl", required=True)
    ap.add_argument("--python", action="append")
    ap.add_argument("suite")
    opts = ap.parse_args()
    pythons = opts.python or interpreters(opts.suite)
    if not pythons:
        print("skipped: no interpreter here has its tests with it")
        return 77
    return 0 if all([check(opts.snarl, python, opts.suite) for python in pythons]) else 1


if __name__ == "__main__":
    sys.exit(main())
