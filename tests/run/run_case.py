#!/usr/bin/env python3
"""Runs one case program under `snarl run` and compares what snarl says with what the case's header promises.

The header of tests/run/cases/FILE (and tests/hazards/cases/FILE) is a comment with directives, one a line. A case in Python (tests/run/python)
has them behind `# `, and --program is the interpreter that runs it:

    @case NAME [ARGS...]      one test: the program is run with ARGS; the following directives belong to it
    @finding KIND[:RULE][|KIND[:RULE]...] [verdict=V] [locks=A,B] [memory=M] [side=F+G]... [marks=X,Y] [counts=yes|no] [min=N] [max=N]
                              exactly one finding like this (min and max allow another number, min=0 an optional one)
    @clean                    no finding at all
    @snarl OPTIONS            further options for `snarl run`
    @env NAME=VALUE           further environment (may be repeated); NAME= removes it
    @exit N                   exit status of the program itself (default 0; 128+signal if it dies of one)
    @status N                 exit status of `snarl run`, when it is not (66 if a finding counts, else the program's own)
    @strikes                  the bug happens every time: the program cannot be run natively to its end
    @hangs                    with --on-deadlock=report: the report must come at once while the program goes on hanging;
                              then it is ended with SIGTERM
    @output TEXT              what standard output must be (for programs that strike; others are compared with a native run)
    @stderr TEXT              something that standard error must hold
    @skip-status N            this status of the native run means "not possible here": the test is skipped (77)
    @seconds N                limit for one run (default 60)
    @no-ids                   ids need not be the same in every run (findings differ from run to run)

Names of locks and of memory: the main program's module and the case's own file are left out (`abba:abba.c:a` is `a`); a leading `=` demands the whole
class; `*` stands for anything. `side` names functions that must be in the stacks of one thread; several sides are different threads.
`marks` names source lines that carry the comment `/* mark: X */` (`# mark: X`): each must be a line of some frame.

Exit status: 0 as promised, 1 not, 77 skipped.
"""
import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

KINDS = {"deadlock", "lock-order", "lock-misuse", "stuck", "data-race", "atomicity", "unprotected"}
RULES = {"unlock-not-owner", "unlock-not-locked", "relock", "destroy-locked", "use-destroyed", "lock-left-at-thread-exit",
         "wait-without-lock", "wait-two-mutexes", "fork-while-locked", "rwlock-upgrade", "not-initialised"}
VERDICTS = {"observed", "predicted", "possible", "static"}


class Case:
    def __init__(self, name, args):
        self.name, self.args = name, args
        self.findings, self.options, self.env = [], [], []
        self.clean = self.strikes = self.hangs = self.no_ids = False
        self.exit, self.status, self.output, self.stderr = 0, None, None, []
        self.skip_status, self.seconds = None, 60


def parse_finding(text):
    words = text.split()
    want = {"kinds": words[0].split("|"), "verdict": None, "locks": None, "memory": None, "sides": [], "marks": [], "counts": None,
            "min": 1, "max": 1, "text": text}
    for w in words[1:]:
        key, _, value = w.partition("=")
        if key == "verdict":
            want["verdict"] = value.split("|")
        elif key == "locks":
            want["locks"] = [v for v in value.split(",") if v]
        elif key == "memory":
            want["memory"] = value
        elif key == "side":
            want["sides"].append(value.split("+"))
        elif key == "marks":
            want["marks"] = value.split(",")
        elif key == "counts":
            want["counts"] = value == "yes"
        elif key in ("min", "max"):
            want[key] = int(value)
            if key == "min" and want["min"] > want["max"]:
                want["max"] = want["min"]
        else:
            sys.exit(f"unknown word {w!r} in @finding {text}")
    return want


def parse_cases(source):
    cases, case = {}, None
    start = "# " if source.endswith(".py") else r"\s*(?:\*|//)?\s*"
    directive = start + r"@([a-z-]+)\s*(.*?)\s*(?:\*/)?\s*$"
    with open(source, encoding="utf-8") as f:
        for line in f:
            m = re.match(directive, line)
            if not m:
                continue
            word, rest = m.groups()
            if word == "case":
                parts = shlex.split(rest)
                case = cases[parts[0]] = Case(parts[0], parts[1:])
            elif word in ("link", "flags", "needs", "shared", "labels", "seeds", "repeats"):
                pass  # for CMake
            elif case is None:
                sys.exit(f"{source}: @{word} before any @case")
            elif word == "finding":
                case.findings.append(parse_finding(rest))
            elif word in ("clean", "strikes", "hangs", "no-ids"):
                setattr(case, word.replace("-", "_"), True)
            elif word == "snarl":
                case.options += shlex.split(rest)
            elif word == "env":
                case.env.append(rest.partition("=")[::2])
            elif word in ("exit", "status", "seconds"):
                setattr(case, word, int(rest))
            elif word == "skip-status":
                case.skip_status = int(rest)
            elif word == "output":
                case.output = rest.encode().decode("unicode_escape")
            elif word == "stderr":
                case.stderr.append(rest)
            else:
                sys.exit(f"{source}: unknown directive @{word}")
    for c in cases.values():
        if c.clean == bool(c.findings):
            sys.exit(f"{source}: case {c.name} needs either @finding or @clean")
    return cases


def marks_of(source):
    marks = {}
    with open(source, encoding="utf-8") as f:
        for n, line in enumerate(f, 1):
            for m in re.findall(r"/\* mark: ([\w-]+) \*/|# mark: ([\w-]+)$", line.rstrip()):
                marks.setdefault(m[0] or m[1], set()).add(n)
    return marks


# ---- running ----

class Ended(Exception):
    pass


def run(argv, env, seconds, until=None):
    """Runs argv in its own session. Returns (status, stdout, stderr, seconds); a time-out gives status None. With `until`, waits until
    standard error holds that text, makes sure that the program still runs, and ends it with SIGTERM."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, start_new_session=True)
        seen = None
        try:
            if until:
                while time.monotonic() - begin < seconds and seen is None and p.poll() is None:
                    time.sleep(0.02)
                    err.seek(0)
                    if re.search(until, err.read()):
                        seen = time.monotonic() - begin
                if seen is not None:
                    time.sleep(0.2)
                    if p.poll() is not None:
                        raise Ended(f"the program should have gone on hanging, but ended with {p.returncode}")
                    p.send_signal(signal.SIGTERM)
            status = p.wait(max(1, seconds - (time.monotonic() - begin)))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            try:
                os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            p.wait()
        out.seek(0), err.seek(0)
        if status is not None and status < 0:
            status = 128 - status
        return status, out.read(), err.read(), time.monotonic() - begin


# ---- comparing ----

def glob(pattern, text):
    return re.fullmatch(".*".join(re.escape(p) for p in pattern.split("*")), text) is not None


class Namer:
    def __init__(self, program, source):
        self.module, self.file = os.path.basename(program) + ":", os.path.basename(source) + ":"

    def same(self, want, have):
        if want.startswith("="):
            return glob(want[1:], have)
        if have.startswith(self.module):
            have = have[len(self.module):]
        if glob(want, have):
            return True
        return have.startswith(self.file) and glob(want, have[len(self.file):])


def same_sets(want, have, same):
    """Each of want has a partner in have and each of have one in want."""
    return all(any(same(w, h) for h in have) for w in want) and all(any(same(w, h) for w in want) for h in have)


def function_names(frame):
    name = frame.get("function") or ""
    bare = re.sub(r"\(.*$", "", re.sub(r"\(anonymous namespace\)::|\[clone .*?\]|\[abi:.*?\]", "", name)).strip()
    return {name, bare, bare.split("::")[-1]}


def sides_of(finding):
    sides = {}
    for e in finding.get("events", []):
        names = sides.setdefault((e.get("process"), e.get("thread")), set())
        for frame in e.get("stack", []):
            names |= function_names(frame)
    return list(sides.values())


def match_sides(want, have):
    if not want:
        return True
    first = set(want[0])
    return any(first <= h and match_sides(want[1:], have[:i] + have[i + 1:]) for i, h in enumerate(have))


def mismatch(want, finding, namer, marks, source):
    """None when the finding is what is wanted, else why not."""
    name = finding["kind"] + (":" + finding["rule"] if finding.get("rule") else "")
    if name not in want["kinds"] and finding["kind"] not in want["kinds"]:
        return "kind"
    locks = [lock["class"] for lock in finding.get("locks", [])]
    if want["locks"] is not None and not same_sets(want["locks"], locks, namer.same):
        return f"locks are {locks}"
    memory = finding.get("memory", {}).get("name") or ""
    if want["memory"] is not None and not namer.same(want["memory"], memory):
        return f"memory is {memory!r}"
    if want["verdict"] and finding["verdict"] not in want["verdict"]:
        return f"verdict is {finding['verdict']}"
    if want["counts"] is not None and finding.get("counts") != want["counts"]:
        return f"counts is {finding.get('counts')}"
    sides = sides_of(finding)
    if not match_sides(want["sides"], sides):
        return f"functions by thread are {[sorted(s) for s in sides]}"
    lines = {(os.path.basename(f.get("file") or ""), f.get("line")) for e in finding["events"] for f in e.get("stack", [])}
    for m in want["marks"]:
        if not any((os.path.basename(source), n) in lines for n in marks.get(m, ())):
            return f"no frame at the line marked {m} ({sorted(marks.get(m, ()))}); lines are {sorted(lines, key=str)}"
    return None


def schema_faults(doc):
    faults = []

    def need(cond, text):
        if not cond:
            faults.append("result file: " + text)

    need(doc.get("schema") == "snarl/1", "schema is not snarl/1")
    need(isinstance(doc.get("tool", {}).get("version"), str), "no tool.version")
    r = doc.get("run", {})
    for key in ("command", "pid", "processes", "threads", "locks", "lock_operations", "accesses", "duration_s", "exit"):
        need(key in r, f"no run.{key}")
    need(isinstance(doc.get("lock_graph", {}).get("nodes"), list), "no lock_graph.nodes")
    need(isinstance(doc.get("lock_graph", {}).get("edges"), list), "no lock_graph.edges")
    for f in doc.get("findings", []):
        need(re.fullmatch(r"[0-9a-f]{16}", f.get("id", "")), f"id {f.get('id')!r}")
        need(f.get("kind") in KINDS, f"kind {f.get('kind')!r}")
        need(f.get("verdict") in VERDICTS, f"verdict {f.get('verdict')!r}")
        need((f.get("rule") in RULES) == (f.get("kind") == "lock-misuse"), f"rule {f.get('rule')!r} of {f.get('kind')}")
        for key in ("title", "why", "fix"):
            need(isinstance(f.get(key), str) and f.get(key), f"finding without {key}")
        need(isinstance(f.get("count"), int) and f["count"] >= 1, f"count {f.get('count')!r}")
        need(isinstance(f.get("counts"), bool), f"counts {f.get('counts')!r}")
        need(f.get("events"), "finding without events")
        for e in f.get("events", []):
            need(isinstance(e.get("action"), str) and isinstance(e.get("thread"), int), "event without action or thread")
            need(e.get("stack") or e.get("stack_lost"), f"event {e.get('action')} without a stack")
        if f.get("kind") in ("data-race", "atomicity", "unprotected"):
            memory = f.get("memory", {})
            need(memory.get("name") and isinstance(memory.get("size"), int), "no name or size of the memory")
            need(memory.get("region") in ("global", "heap", "stack", "shared", "descriptor"), f"region {memory.get('region')!r}")
            need(re.fullmatch(r"0x[0-9a-f]+", memory.get("address", "")), f"address {memory.get('address')!r}")
            need(isinstance(memory.get("born"), list), "memory without born")
            need(len(f["events"]) == (3 if f["kind"] == "atomicity" else 2), "accesses are missing")
    return faults


def told(finding):
    name = finding["kind"] + (":" + finding["rule"] if finding.get("rule") else "")
    lines = [f"{name} {finding['verdict']} id={finding['id']} counts={finding.get('counts')} locks="
             + ",".join(lock["class"] for lock in finding.get("locks", []))]
    for e in finding.get("events", []):
        at = " < ".join(f"{f.get('function')} {os.path.basename(f.get('file') or f.get('module') or '?')}:{f.get('line')}"
                        for f in e.get("stack", [])[:5])
        lines.append(f"    P{e.get('process')} T{e.get('thread')} {e.get('action')} {e.get('object')} held={e.get('held')}: {at}")
    return "\n".join("      " + line for line in lines)


def compare(case, doc, namer, marks, source):
    """Faults, as lines of text."""
    faults = schema_faults(doc)
    rest = list(doc.get("findings", []))
    for want in case.findings:
        near, found = [], 0
        for f in list(rest):
            why = mismatch(want, f, namer, marks, source)
            if why is None:
                found += 1
                if found <= want["max"]:
                    rest.remove(f)
            elif why != "kind":
                near.append(why)
        if not want["min"] <= found <= want["max"]:
            faults.append(f"expected {want['min']}..{want['max']}, found {found} of: @finding {want['text']}"
                          + "".join("\n      nearly: " + n for n in near))
    for f in rest:
        faults.append("not expected:\n" + told(f))
    return faults


def expected_status(case, doc):
    if case.status is not None:
        return case.status
    return 66 if any(f.get("counts") for f in doc.get("findings", [])) else case.exit


class Bench:
    def __init__(self, opts, case, source):
        self.opts, self.case = opts, case
        self.command = [opts.program] + ([source] if source.endswith(".py") else []) + case.args
        self.namer, self.marks, self.source = Namer(opts.program, source), marks_of(source), source
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k != "LD_PRELOAD"}
        for name, value in case.env:
            if value:
                self.env[name] = value
            else:
                self.env.pop(name, None)

    def native(self):
        status, out, err, took = run(self.command, self.env, self.case.seconds)
        if status is not None and status == self.case.skip_status:
            print("skipped: " + (err.decode(errors="replace").strip() or "not possible here"))
            sys.exit(77)
        if status != self.case.exit:
            return None, [f"native run: exit status {status}, expected {self.case.exit}\n" + err.decode(errors="replace")]
        return out, []

    def watched(self, native_out, extra):
        case = self.case
        with tempfile.TemporaryDirectory(prefix="snarl-case-") as folder:
            result = os.path.join(folder, "result.json")
            argv = [self.opts.snarl, "run", "--json=" + result] + case.options + extra + ["--"] + self.command
            try:
                status, out, err, took = run(argv, self.env, case.seconds, rb"deadlock|stuck|relock" if case.hangs else None)
            except Ended as e:
                return [str(e)], None, b""
            faults = []
            if status is None:
                faults.append(f"still running after {case.seconds} s")
            want_out = case.output.encode() if case.output is not None else native_out
            if want_out is not None and out != want_out:
                faults.append(f"standard output is {out[-400:]!r}, expected {want_out[-400:]!r}")
            for text in case.stderr:
                if text not in err.decode(errors="replace"):
                    faults.append(f"standard error does not hold {text!r}")
            try:
                with open(result, encoding="utf-8") as f:
                    doc = json.load(f)
            except (OSError, ValueError) as e:
                return faults + [f"no result ({e}); exit status {status}"], None, err
            faults += compare(case, doc, self.namer, self.marks, self.source)
            if status is not None and status != expected_status(case, doc):
                faults.append(f"exit status {status}, expected {expected_status(case, doc)}")
            return faults, doc, err


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--snarl", default="snarl")
    ap.add_argument("--source", required=True)
    ap.add_argument("--program")
    ap.add_argument("--case")
    ap.add_argument("--repeat", type=int, default=3)
    ap.add_argument("--perturb", type=int, default=0, metavar="SEEDS", help="run with --perturb=1..SEEDS instead of --repeat times")
    ap.add_argument("--native", action="store_true", help="only check that the program itself behaves as the header says")
    ap.add_argument("--show", action="store_true", help="print every finding of the first run")
    opts = ap.parse_args()
    cases = parse_cases(opts.source)
    if opts.case is None:
        print("\n".join(cases))
        return 0
    case = cases.get(opts.case) or sys.exit(f"{opts.source} has no case {opts.case}")
    bench = Bench(opts, case, opts.source)

    native_out = None
    if opts.native and case.strikes:
        status, out, err, took = run(bench.command, bench.env, 2)
        if status is None:
            print("strikes natively, as it should")
            return 0
        print(f"should hang natively, but ended with {status}: {out!r} {err!r}")
        return 1
    if not case.strikes:
        native_out, faults = bench.native()
        if faults or opts.native:
            print("\n".join(faults) or "behaves natively as it should")
            return 1 if faults else 0

    rounds = [[f"--perturb={s}"] for s in range(1, opts.perturb + 1)] or [[] for _ in range(opts.repeat)]
    bad, ids = 0, None
    for n, extra in enumerate(rounds, 1):
        faults, doc, err = bench.watched(native_out, extra)
        if doc is not None:
            now = sorted(f.get("id", "") for f in doc["findings"])
            if ids is not None and now != ids and not case.no_ids and not faults:
                faults.append(f"ids {now} differ from those of the first run {ids}")
            ids = ids or now
        if opts.show and n == 1 and doc is not None:
            print("\n".join(told(f) for f in doc["findings"]) or "      (no finding)")
        if faults:
            bad += 1
            if bad <= 3:
                print(f"run {n} of {len(rounds)} {' '.join(extra)}: not as promised")
                for f in faults:
                    print("  - " + f)
                text = err.decode(errors="replace").strip()
                print("  standard error ends:\n" + "\n".join("    | " + line for line in text.split("\n")[-15:]))
    print(f"{case.name}: {len(rounds) - bad} of {len(rounds)} runs as promised")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
