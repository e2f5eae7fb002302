#!/usr/bin/env python3
"""Runs the programs of one sample under snarl and holds them to its expect.json (samples/README.md says how that is meant).

    check_sample.py --snarl build/bin/snarl --samples build/samples deadlock/two-threads [--program bug] [--runs 100] [--perturb 50]

--runs N      each program N times; every run must say the same
--perturb N   programs without findings also with N perturbation seeds

An entry that is "pending" is what snarl cannot do yet. It is run once and must not keep its promise: when it does, the word has to
go.
Exit status: 0 as promised, 1 not.
"""
import argparse
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

PYTHON = "/usr/bin/python3.11"
SECONDS = 60
SECONDS_PENDING = 10  # a program that hangs, unseen, is not waited for long


class Broken(Exception):
    pass


def command_of(folder, entry):
    name = entry["program"]
    program = [PYTHON, str(folder / name)] if name.endswith(".py") else [str(folder / name)]
    return program + entry.get("args", [])


def run_group(command, seconds):
    """Output and status; what it started ends with it when it takes too long."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", start_new_session=True) as process:
        try:
            return process.communicate(timeout=seconds)[0], process.returncode
        except subprocess.TimeoutExpired as e:
            os.killpg(process.pid, signal.SIGKILL)
            raise Broken(f"not at its end after {seconds} seconds: {' '.join(command)}\n{process.communicate()[0]}") from e


def run(snarl, folder, entry, options=(), seconds=SECONDS):
    """The result document and what snarl printed."""
    with tempfile.TemporaryDirectory() as scratch:
        result = os.path.join(scratch, "result.json")
        command = [snarl, "run", "--json=" + result, *entry.get("run", []), *options, "--", *command_of(folder, entry)]
        output, status = run_group(command, seconds)
        said = f"$ {' '.join(command)}\n{output}[exit status {status}]"
        if status != entry["exit"]:
            raise Broken(f"exit status {status}, not {entry['exit']}\n{said}")
        try:
            with open(result, encoding="utf-8") as f:
                return json.load(f), said
        except (OSError, ValueError) as e:
            raise Broken(f"no result: {e}\n{said}") from e


def functions_of(finding):
    return {frame.get("function") for event in finding["events"] for frame in event.get("stack", [])}


def differs(finding, expected):
    """How the finding differs from what is expected, or None."""
    for key in ("kind", "verdict"):
        if key in expected and finding.get(key) != expected[key]:
            return f"{key} is {finding.get(key)}, not {expected[key]}"
    if (finding.get("rule") or "") != expected.get("rule", ""):
        return f"rule is {finding.get('rule')}"
    if "locks" in expected:
        locks = collections.Counter(lock["class"] for lock in finding["locks"])
        if locks != collections.Counter(expected["locks"]):
            return f"locks are {sorted(locks.elements())}"
    memory = finding.get("memory") or {}
    if "memory" in expected and memory.get("name") != expected["memory"]:
        return f"memory is {memory.get('name')}, not {expected['memory']}"
    missing = set(expected.get("functions", [])) - functions_of(finding)
    if missing:
        return f"no stack has {', '.join(sorted(missing))}"
    return None


def compare(document, expected, said):
    """Each expected finding once, and no other. Returns the findings in the order of the expected ones."""
    left, found = list(document["findings"]), []
    for want in expected:
        reasons = [differs(finding, want) for finding in left]
        if None not in reasons:
            raise Broken(f"no finding like {json.dumps(want)}: {reasons or 'there is none'}\n{said}")
        found.append(left.pop(reasons.index(None)))
    if left:
        raise Broken(f"{len(left)} findings too many: {[f['title'] for f in left]}\n{said}")
    return found


def load(samples, name):
    with open(samples / name / "expect.json", encoding="utf-8") as f:
        return json.load(f)


def other_id(snarl, samples, reference):
    """The id of the first finding of SAMPLE/PROGRAM."""
    name, _, program = reference.rpartition("/")
    for entry in load(samples, name)["programs"]:
        if entry["program"] == program and not entry.get("mode"):
            return run(snarl, samples / name, entry)[0]["findings"][0]["id"]
    raise Broken(f"there is no {reference}")


def check(options, samples, entry):
    folder, ids = samples / options.sample, set()
    for _ in range(options.runs):
        document, said = run(options.snarl, folder, entry)
        found = compare(document, entry["findings"], said)
        ids.add(tuple(finding["id"] for finding in found))
    if len(ids) > 1:
        raise Broken(f"ids change from run to run: {ids}")
    for want, own in zip(entry["findings"], ids.pop()):
        if "same_id_as" in want and other_id(options.snarl, samples, want["same_id_as"]) != own:
            raise Broken(f"the id {own} is not that of {want['same_id_as']}")
    if not entry["findings"]:
        for seed in range(1, options.perturb + 1):
            document, said = run(options.snarl, folder, entry, [f"--perturb={seed}"])
            compare(document, [], said)


def check_pending(options, samples, entry):
    try:
        document, said = run(options.snarl, samples / options.sample, entry, seconds=SECONDS_PENDING)
        compare(document, entry["findings"], said)
    except Broken:
        return
    raise Broken('it keeps its promise: take "pending" out of expect.json')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--snarl", required=True)
    parser.add_argument("--samples", required=True, type=pathlib.Path)
    parser.add_argument("--program", help="only the entries of this program")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--perturb", type=int, default=0)
    parser.add_argument("sample")
    options = parser.parse_args()
    failed = ran = 0
    for entry in load(options.samples, options.sample)["programs"]:
        if options.program not in (None, entry["program"]):
            continue
        name = " ".join([f"{options.sample}/{entry['program']}", *entry.get("args", [])])
        ran += 1
        try:
            if "pending" in entry:
                check_pending(options, options.samples, entry)
                print(f"pending {name}: {entry['pending']}", flush=True)
            else:
                check(options, options.samples, entry)
                print(f"ok      {name}", flush=True)
        except Broken as e:
            failed += 1
            print(f"FAILED  {name}: {e}", flush=True)
    if not ran:
        print("nothing to run")
    sys.exit(1 if failed or not ran else 0)


if __name__ == "__main__":
    main()
