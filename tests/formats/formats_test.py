#!/usr/bin/env python3
"""Every output of one result says the same, is well formed, and survives hostile names:
formats_test.py --snarl SNARL --samples FOLDER --source FOLDER [unittest's options]"""
import argparse
import copy
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree

import extract
import schema

SNARL = SAMPLES = SOURCE = None
FORMATS = ("text", "json", "sarif", "junit", "html", "dot", "svg", "github", "gitlab")
# A sample of each kind of finding, and one without any.
RESULTS = {
    "deadlock": "deadlock/two-threads/bug", "ring": "deadlock/ring/bug", "order": "deadlock/hidden/bug", "race": "race/counter/bug",
    "processes": "deadlock/two-processes/bug", "misuse": "mutex/wrong-thread/bug", "stuck": "queue/lost-wake-up/bug",
    "none": "deadlock/two-threads/fixed",
}
HOSTILE = ["</script><script>alert(1)</script>", "]]>", "<!--", "a::error file=x,line=1::b", "::stop-commands::x", "%0A::error::x",
           "\n::error::injected", "\r\n::warning::x", "\u202egnirts\u202c", "\u200b\ufeff", "\x1b[31mred\x1b[0m", "\x00\x01\x7f\x85", "'\"`$(id)`",
           "&lt;b&gt;&amp;&#0;", "{0} [x](1) {{", "\\N\\G\\\"", "\uffff\ufffe", "a,b:c%25", "x" * 300_000, "über/naïve/日本語", "javascript:alert(1)",
           "\ud7ff\U000e0001\U0010ffff"]
FRAME = {"function": "f", "file": "/src/a b/ä.c", "line": 3, "column": 5, "module": "/opt/app", "offset": "0x10", "inlined": False}


def environment(**more):
    drop = ("SNARL_", "GITHUB_", "CI_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(drop) and k not in ("LD_PRELOAD", "NO_COLOR")}
    env.update(more)
    return env


def snarl(*args, **kw):
    kw.setdefault("env", environment())
    return subprocess.run([SNARL, *args], capture_output=True, timeout=120, **kw)


def event(thread, action, name, instance, **more):
    return {"process": 1, "thread": thread, "thread_name": "", "action": action, "object": name, "object_kind": "mutex",
            "instance": instance, "mode": "exclusive", "held": [], "held_at": [], "stack": [FRAME], **more}


def cycle(identity, first="a", second="b", kind="lock-order", verdict="possible", **more):
    return {"id": f"{identity:016x}", "kind": kind, "verdict": verdict, "title": f"possible deadlock: {first} and {second}",
            "why": "because", "fix": "do", "count": 3, "suppressed_by": None, "in_baseline": False, "counts": True,
            "locks": [{"class": first, "kind": "mutex", "instance": 1}, {"class": second, "kind": "mutex", "instance": 2}],
            "events": [event(2, "hold", first, 1), event(2, "acquire", second, 2), event(3, "hold", second, 2),
                       event(3, "acquire", first, 1)],
            "threads": [{"thread": 2, "process": 1, "pid": 10, "name": "one"}, {"thread": 3, "process": 1, "pid": 10}], **more}


def document(*findings, nodes=(), edges=()):
    return {"schema": "snarl/1", "tool": {"name": "snarl", "version": "0"}, "run": {"command": ["./app"], "pid": 10, "duration_s": 1.5},
            "findings": list(findings), "lock_graph": {"nodes": list(nodes), "edges": list(edges)}}


def contention(name, **more):
    """A row with everything that a row can have."""
    longest = {"ns": 900, "thread": 2, "process": 1, "stack": [FRAME], "released": [FRAME]}
    return {"class": name, "kind": "rwlock", "mode": "shared", "acquisitions": 5, "contended": 1, "reacquired": 1, "given_up": 1,
            "wait_ns": 1000, "longest_wait_ns": 900, "hold_ns": 1000, "longest_hold_ns": 900, "wait_histogram": [0] * 6 + [1, 0, 0, 1],
            "hold_histogram": [0] * 9 + [5], "longest_wait": longest, "longest_holds": [longest], **more}


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="snarl-formats-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, data, name="result.json"):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(data if isinstance(data, str) else json.dumps(data))
        return self.path(name)

    def report(self, form, result, *more, status=(0, 66), **kw):
        p = snarl("report", "--format=" + form, "--fail-on=all", *more, result, **kw)
        self.assertIn(p.returncode, status, p.stderr)
        self.assertEqual(p.stderr, b"")
        return p.stdout.decode()


class Same(Case):
    """Of real runs: ids, kinds, counts and titles, taken out of every format."""

    def run_sample(self, name):
        options = [f"--{o}={self.path(name + '.' + o)}" for o in ("json", "sarif", "junit", "html", "dot", "svg")]
        p = snarl("run", *options, "--github", "--quiet", "--", os.path.join(SAMPLES, RESULTS[name]))
        self.assertIn(p.returncode, (0, 66), p.stderr)
        return p

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def test_runs(self):
        with open(os.path.join(SOURCE, "docs", "snarl-1.schema.json"), encoding="utf-8") as f:
            described = json.load(f)
        for name in RESULTS:
            with self.subTest(name):
                p = self.run_sample(name)
                text = self.read(name + ".json")
                doc, said = json.loads(text), extract.of_json(text)
                self.assertEqual(bool(said), name != "none")
                self.assertEqual(schema.problems(doc, described, described), [])
                self.assertEqual(extract.of_sarif(self.read(name + ".sarif")), said)
                self.assertEqual(extract.of_junit(self.read(name + ".junit")), said)
                self.assertEqual(extract.of_html(self.read(name + ".html")), said)
                remarks = "\n".join(line for line in p.stdout.decode().splitlines() if line.startswith(("::", "snarl: ")))
                self.assertEqual(extract.of_github(remarks), said)
                again = self.path(name + ".json")
                self.assertEqual(extract.of_gitlab(self.report("gitlab", again), doc), said)
                self.assertEqual(extract.of_text(self.report("text", again)), said)
                for form in ("sarif", "junit", "html"): # whether made by the run or later
                    self.assertEqual(self.report(form, again).replace("not counted (--fail-on)", ""),
                                     self.read(f"{name}.{form}").replace("not counted (--fail-on)", ""))
                check_sarif(self, json.loads(self.read(name + ".sarif")))

    def outputs(self, *command, env=None):
        """Of another verb: what each format says."""
        options = [f"--{o}={self.path('x.' + o)}" for o in ("json", "sarif", "junit", "html", "dot", "svg")]
        p = snarl(command[0], *options, "--github", *command[1:], env=env or environment())
        self.assertIn(p.returncode, (0, 66), p.stderr)
        said = extract.of_json(self.read("x.json"))
        self.assertEqual(extract.of_sarif(self.read("x.sarif")), said)
        check_sarif(self, json.loads(self.read("x.sarif")))
        self.assertEqual(extract.of_junit(self.read("x.junit")), said)
        self.assertEqual(extract.of_html(self.read("x.html")), said)
        remarks = "\n".join(line for line in p.stdout.decode().splitlines() if line.startswith("::"))
        self.assertEqual(extract.of_github(remarks), said)
        ElementTree.fromstring(self.read("x.svg"))
        return said

    def test_inspect(self):
        hung = subprocess.Popen([os.path.join(SAMPLES, RESULTS["deadlock"])], stdout=subprocess.DEVNULL)
        self.addCleanup(hung.wait)
        self.addCleanup(hung.kill)
        end = time.monotonic() + 60
        while not (said := self.outputs("inspect", str(hung.pid))):
            self.assertLess(time.monotonic(), end)
        self.assertEqual([s[1] for s in said], ["deadlock"])
        self.assertIn("waiting for mutex lock_b", "".join(extract.Page(self.read("x.html")).words))
        self.assertIn('-> "', self.read("x.dot"))

    @unittest.skipUnless(shutil.which("clang"), "there is no clang")
    def test_scan(self):
        source = os.path.join(SOURCE, "samples", RESULTS["order"] + ".c")
        said = self.outputs("scan", "--cache=none", "--fail-on=all", source, env=environment(SNARL_UNFINISHED="1"))
        self.assertEqual([s[1] for s in said], ["lock-order"])
        words = "".join(extract.Page(self.read("x.html")).words)
        self.assertIn("pthread_mutex_lock(&index->lock);", words)

    def test_graphs(self):
        """The same orders as text, for graphviz, drawn by it, drawn by ourselves, and in the page."""
        for name in ("deadlock", "ring", "order"):
            self.run_sample(name)
            result = self.path(name + ".json")
            text = snarl("graph", result).stdout.decode()
            here, orders = None, set()
            for line in text.splitlines():
                if line.startswith("    before "):
                    orders.add((here, line.split()[1]))
                elif line and not line[0].isspace() and "(" in line:
                    here = line.split("  (")[0]
            self.assertTrue(orders)
            dot = snarl("graph", "--format=dot", result).stdout.decode()
            self.assertEqual({m for m in re.findall(r'^  "(.*)" -> "(.*)" \[', dot, flags=re.M)}, orders)
            own = snarl("graph", "--format=svg", result, env=environment(PATH="/nowhere")).stdout.decode()
            titles = {t.text.split("\n")[0] for t in ElementTree.fromstring(own).iter("{http://www.w3.org/2000/svg}title")}
            self.assertEqual({tuple(t.split(" → ")) for t in titles if " → " in t}, orders)
            page = self.read(name + ".html")
            self.assertEqual(set(re.findall(r'data-from="([^"]*)" data-to="([^"]*)"', page)), orders)
            if shutil.which("dot"):
                drawn = ElementTree.fromstring(snarl("graph", "--format=svg", result).stdout)
                edges = {t.text for g in drawn.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "edge"
                         for t in g.findall("{http://www.w3.org/2000/svg}title")}
                self.assertEqual({tuple(e.split("->")) for e in edges}, orders)

    def test_levels_and_excuses(self):
        doc = document(cycle(1), cycle(2, verdict="observed", kind="deadlock"), cycle(3, kind="stuck"),
                       cycle(4, suppressed_by="deadlock:f"), cycle(5, in_baseline=True))
        result = self.write(doc)
        p = snarl("report", "--format=sarif", "--fail-on=proven", result)
        run, = json.loads(p.stdout)["runs"]
        levels = {int(r["partialFingerprints"]["snarlId/v1"], 16): (r["level"], [s["justification"] for s in r["suppressions"]])
                  for r in run["results"]}
        self.assertEqual(levels, {1: ("error", []), 2: ("error", []), 3: ("note", []), 4: ("note", ["deadlock:f"]),
                                  5: ("note", ["accepted in the baseline"])})
        suite, = ElementTree.fromstring(snarl("report", "--format=junit", result).stdout)
        self.assertEqual((suite.get("tests"), suite.get("failures"), suite.get("skipped")), ("5", "2", "3"))
        self.assertEqual(len(suite.findall("testcase/failure")), 2)
        self.assertEqual(sorted(s.get("message") for s in suite.findall("testcase/skipped")),
                         ["accepted in the baseline", "not counted (--fail-on)", "suppressed"])
        commands = [extract.github_command(line)[0] for line in snarl("report", "--format=github", result).stdout.decode().splitlines()]
        self.assertEqual(commands, ["error"] * 2 + ["notice"] * 3)


def check_sarif(case, log):
    """What the standard demands of the parts that we use, and what GitHub demands beyond it."""
    case.assertEqual(log["version"], "2.1.0")
    case.assertEqual(len(log["runs"]), 1)
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    case.assertEqual(len({r["id"] for r in rules}), len(rules))
    case.assertLessEqual(len(run["results"]), 25000)
    bases = run["originalUriBaseIds"]
    for base in bases.values():
        case.assertTrue(base["uri"].endswith("/"))
    for rule in rules:
        case.assertLessEqual(len(rule["shortDescription"]["text"]), 1024)
        case.assertLessEqual(len(rule["fullDescription"]["text"]), 1024)
        case.assertTrue(rule["help"]["text"] and rule["help"]["markdown"])

    def location(place):
        artifact = place["physicalLocation"]["artifactLocation"]
        case.assertRegex(artifact["uri"], r"^(?:[\w.~/+@-]|:(?=//)|%[0-9A-F]{2})+$")
        case.assertIn(artifact.get("uriBaseId"), (None, *bases))
        region = place["physicalLocation"].get("region", {"startLine": 1})
        case.assertTrue(region["startLine"] >= 1 and region.get("startColumn", 1) >= 1)

    for result in run["results"]:
        case.assertEqual(rules[result["ruleIndex"]]["id"], result["ruleId"])
        case.assertIn(result["level"], ("error", "warning", "note"))
        case.assertGreaterEqual(result["occurrenceCount"], 1)
        case.assertEqual(len(result["locations"]), 1)
        case.assertLessEqual(len(result["relatedLocations"]), 1000)
        case.assertRegex(result["partialFingerprints"]["primaryLocationLineHash"], "^[0-9a-f]{16}$")
        for place in result["locations"] + result["relatedLocations"]:
            location(place)
        for flow in result.get("codeFlows", []):
            case.assertTrue(flow["threadFlows"])
            for thread in flow["threadFlows"]:
                case.assertTrue(thread["locations"])
                case.assertLessEqual(len(thread["locations"]), 10000)
                for step in thread["locations"]:
                    location(step["location"])
                    case.assertTrue(step["location"]["message"]["text"])
        for key in ("stacks", "relatedLocations", "suppressions"): # sets
            case.assertEqual(len({json.dumps(item, sort_keys=True) for item in result[key]}), len(result[key]))
        for stack in result["stacks"]:
            case.assertTrue(stack["frames"])
    for note in run["invocations"][0]["toolExecutionNotifications"]:
        case.assertTrue(note["message"]["text"])


class Sarif(Case):
    def test_flows_of_a_cycle(self):
        run, = json.loads(self.report("sarif", self.write(document(cycle(1)))))["runs"]
        flow, = run["results"][0]["codeFlows"]
        told = [(t["id"], [(s["executionOrder"], s["location"]["message"]["text"]) for s in t["locations"]]) for t in flow["threadFlows"]]
        self.assertEqual(told, [("T2 (one)", [(1, "a was taken"), (3, "T2 (one) takes b while it holds a")]),
                                ("T3", [(2, "b was taken"), (4, "T3 takes a while it holds b")])])

    def test_places(self):
        """Below the root of the sources named from there; percent-encoded."""
        inside = dict(FRAME, file=os.path.join(self.folder, "src/a b#?%.c"))
        doc = document(cycle(1))
        doc["findings"][0]["events"] = [event(2, "acquire", "a", 1, stack=[inside]), event(3, "acquire", "b", 2, stack=[FRAME])]
        result = self.write(doc)
        run, = json.loads(self.report("sarif", result, env=environment(GITHUB_WORKSPACE=self.folder)))["runs"]
        uris = [place["physicalLocation"]["artifactLocation"] for place in run["results"][0]["relatedLocations"]]
        self.assertEqual(uris, [{"uri": "src/a%20b%23%3F%25.c", "uriBaseId": "SRCROOT"}, {"uri": "file:///src/a%20b/%C3%A4.c"}])
        self.assertEqual(run["originalUriBaseIds"]["SRCROOT"]["uri"], "file://" + self.folder + "/")
        os.makedirs(self.path("deep/.git"))
        os.makedirs(self.path("deep/er"))
        run, = json.loads(self.report("sarif", result, cwd=self.path("deep/er")))["runs"]
        self.assertEqual(run["originalUriBaseIds"]["SRCROOT"]["uri"], "file://" + self.path("deep") + "/")

    def test_most_results(self):
        few = cycle(0)
        few["events"] = few["events"][1:2]
        many = document(*({**few, "id": f"{i:016x}", "counts": True, "suppressed_by": "x" if i >= 24000 else None} for i in range(26000)))
        run, = json.loads(self.report("sarif", self.write(many)))["runs"]
        self.assertEqual(len(run["results"]), 25000)
        self.assertEqual(sum(r["level"] == "error" for r in run["results"]), 24000) # the graver ones are those that stay
        self.assertIn("1000 less grave findings are left out", run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"])


class Remarks(Case):
    def test_github_shows_ten_of_a_level(self):
        text = self.report("github", self.write(document(*(cycle(i) for i in range(25)))))
        lines = text.splitlines()
        self.assertEqual(sum(line.startswith("::error ") for line in lines), 10)
        self.assertEqual(len(extract.of_github(text)), 25)

    def test_github_after_the_programs_output(self):
        p = snarl("run", "--github", "--", "/bin/sh", "-c", "printf 'no newline'")
        self.assertEqual((p.returncode, p.stdout), (0, b"no newline"))
        p = snarl("run", "--github", "--", os.path.join(SAMPLES, RESULTS["order"]))
        command = extract.github_command(p.stdout.decode().splitlines()[-1])
        self.assertEqual(command[0], "error")
        self.assertTrue(command[1]["file"].endswith("hidden/bug.c") and int(command[1]["line"]) > 1)

    def test_gitlab(self):
        doc = document(cycle(7))
        for e in doc["findings"][0]["events"]:
            e["stack"] = [dict(FRAME, file=self.path("a b/ä.c"))]
        issue, = json.loads(self.report("gitlab", self.write(doc), env=environment(CI_PROJECT_DIR=self.folder)))
        self.assertEqual((issue["fingerprint"], issue["check_name"], issue["severity"]), (f"{7:016x}", "lock-order", "critical"))
        self.assertEqual(issue["location"], {"path": "a b/ä.c", "lines": {"begin": 3}})


class Hostile(Case):
    def names(self):
        found, edges = [], []
        for i, name in enumerate(HOSTILE):
            evil = dict(FRAME, function=name, file=name, module=name, offset="0x1")
            f = cycle(i, name, name + "2")
            f.update(title="t " + name, why=name, fix=name)
            for e in f["events"]:
                e.update(stack=[evil], thread_name=name)
            f["threads"][0].update(name=name, start=name, created=[evil], created_by=1)
            found += [f, {**f, "id": f"{i + 100:016x}", "kind": "data-race", "memory": {"name": name, "shown": name, "type": name,
                                                                                  "region": "global"}},
                      {**f, "id": f"{i + 200:016x}", "kind": "lock-misuse", "rule": name, "suppressed_by": name}]
            edges.append({"from": name, "to": name + "3", "count": 1, "threads": 1, "stack": [evil]})
        doc = document(*found, nodes=[{"class": e["from"], "kind": e["from"]} for e in edges], edges=edges)
        doc["contention"] = [contention(e["from"], kind=e["from"], longest_holds=[{"ns": 1, "stack": e["stack"]}]) for e in edges]
        doc["run"].update(command=HOSTILE, notes=HOSTILE, losses=[{"text": n, "count": 1} for n in HOSTILE])
        return doc

    def test_every_format(self):
        """Well formed, nothing slips out of its place, and the page has no element or attribute that a name brought."""
        doc = self.names()
        result = self.write(doc)
        texts = {form: self.report(form, result) for form in FORMATS}
        for form, text in texts.items():
            with self.subTest(form):
                for c in ("\x1b", "\x00", "\x7f", "\x85", "\u202e", "\u200b", "\ufeff"):
                    self.assertNotIn(c, text.replace("\\u0000", ""))
        n = len(doc["findings"])
        check = json.loads(texts["sarif"])
        for rule in check["runs"][0]["tool"]["driver"]["rules"]: # there is no page on what is no kind
            rule.setdefault("shortDescription", {"text": "x"})
            rule.setdefault("fullDescription", {"text": "x"})
            rule.setdefault("help", {"text": "x", "markdown": "x"})
            self.assertLessEqual(len(rule["id"]), 255)
        check_sarif(self, check)
        self.assertEqual(len(check["runs"][0]["results"]), n)
        suite, = ElementTree.fromstring(texts["junit"])
        self.assertEqual(len(suite.findall("testcase")), n)
        self.assertEqual(len(json.loads(texts["gitlab"])), n)
        self.assertLess(len(texts["github"]), 1_500_000)
        for line in texts["github"].splitlines():
            command = extract.github_command(line)
            self.assertTrue(line.startswith("snarl: ") or command[0] in ("error", "warning", "notice"), line[:200])
            self.assertFalse(command and {"file", "line", "col", "title"} < command[1].keys())
        self.check_page(texts["html"], n)
        ElementTree.fromstring(texts["svg"])
        ElementTree.fromstring(self.report("svg", result, env=environment(PATH="/nowhere")))
        for line in texts["text"].splitlines():
            self.assertIsNone(re.match(r"\s*::", line), line[:100])

    def check_page(self, text, n):
        other = {**document(cycle(1)), "contention": [contention("a")]}
        page, plain = extract.Page(text), extract.Page(self.report("html", self.write(other, "plain.json")))
        self.assertEqual(len(page.findings), n)
        self.assertEqual(page.scripts, plain.scripts)
        self.assertLessEqual(page.elements.keys() - plain.elements.keys(), {"ul", "li", "ol", "a", "h3", "details", "summary", "i"})
        self.assertFalse({a for a in page.attributes - plain.attributes if not a.startswith("data-")})
        self.assertNotRegex(text, r'(?:href|src)="(?!#)')
        self.assertEqual(page.elements["script"], 1)

    def test_raw_bytes(self):
        """A result that is no UTF-8 is refused; a program's own names become text."""
        with open(self.path("bytes.json"), "wb") as f:
            f.write(json.dumps(document(cycle(1))).encode().replace(b"because", b"be\xff\xfe\xc0\xafcause"))
        p = snarl("report", "--format=html", self.path("bytes.json"))
        self.assertEqual((p.returncode, p.stdout), (2, b""))
        program = os.path.join(self.folder.encode(), b"\xff\xfe \x1b[31m<title>")
        shutil.copy(os.path.join(SAMPLES, RESULTS["order"]), program)
        outputs = [f"--{o}={self.path('x.' + o)}" for o in ("json", "sarif", "junit", "html", "svg")]
        p = snarl("run", *outputs, "--github", "--", program)
        self.assertEqual(p.returncode, 66, p.stderr)
        for o in ("json", "sarif", "junit", "html", "svg"):
            with open(self.path("x." + o), encoding="utf-8") as f:
                text = f.read()
            self.assertNotIn("\x1b", text)
        ElementTree.parse(self.path("x.junit"))
        with open(self.path("x.html"), encoding="utf-8") as f:
            self.assertEqual(len(extract.of_html(f.read())), 1)

    def test_no_foreign_files_in_the_page(self):
        """Only sources are shown: a result from elsewhere names the files."""
        self.write("Geheimnis\n" * 9, "secret")
        self.write("Quelltext\n" * 9, "shown.c")
        doc = document(cycle(1))
        for name, seen in (("secret", False), ("shown.c", True)):
            for e in doc["findings"][0]["events"]:
                e["stack"] = [dict(FRAME, file=self.path(name))]
            self.assertEqual("Quelltext" in (page := self.report("html", self.write(doc))), seen)
            self.assertNotIn("Geheimnis", page)
        os.mkfifo(self.path("pipe.c"))
        for e in doc["findings"][0]["events"]:
            e["stack"] = [dict(FRAME, file=self.path("pipe.c"))]
        self.report("html", self.write(doc))


class Merged(Case):
    def test_runs(self):
        """What a merged result was made of, and not the command that merged it."""
        doc = document(cycle(1))
        doc["run"].update(command=["snarl", "merge"], runs=[{"name": f"shard <{i}>", "program": "app"} for i in range(700)])
        page = extract.Page(self.report("html", self.write(doc)))
        words = "".join(page.words)
        for said in ("merge of 700 runs", "shard <0>", "shard <499>", "and 200 more"):
            self.assertIn(said, words)
        self.assertNotIn("shard <500>", words)
        self.assertIn('name="snarl merge of 700 runs"', self.report("junit", self.write(doc)))


class Page(Case):
    def test_is_whole(self):
        """One file, nothing from elsewhere; every link leads to something; the policy's hashes are those of the content."""
        import base64
        import hashlib
        self.assertEqual(snarl("run", "--html=" + self.path("x.html"), "--", os.path.join(SAMPLES, RESULTS["order"])).returncode, 66)
        with open(self.path("x.html"), encoding="utf-8") as f:
            text = f.read()
        page = extract.Page(text)
        self.assertLessEqual(page.links, page.ids)
        self.assertNotRegex(text, r"https?://(?!www\.w3\.org)")
        style, script = page.scripts
        for kind, part in (("style", style), ("script", script)):
            digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
            self.assertIn(f"{kind}-src 'sha256-{digest}'", text)
        words = "".join(page.words)
        for word in ("pthread_mutex_lock(&index->lock);", "index_add", "cache_count", "One thread takes B while it holds A", "was taken"):
            self.assertIn(word, words)

    def test_what_a_team_knows(self):
        f = cycle(1, owners=["@locks", "<b>"], runs={"count": 5, "names": ["shard 1", "shard 2"]},
                  across=[{"from": "a", "to": "b", "run": "shard 1", "runs": 3}])
        words = "".join(extract.Page(self.report("html", self.write(document(f)))).words)
        for said in ("Owners: @locks, <b>\n", "Seen in: shard 1, shard 2\n", "and in 3 more runs", "a before b in shard 1 and 2 more",
                     "To suppress it, one of: id:0000000000000001, deadlock:^f$\n"):
            self.assertIn(said, words)
        run, = json.loads(self.report("sarif", self.write(document(f))))["runs"]
        self.assertEqual(run["results"][0]["properties"]["owners"], ["@locks", "<b>"])

    def test_many_findings(self):
        """5,000 findings within seconds, and no more than some kilobytes each."""
        doc = document(*(cycle(i, f"app:lock{i}", f"app:lock{i + 1}") for i in range(5000)))
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        text = self.report("html", self.write(doc))
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, 20)
        self.assertEqual(len(extract.of_html(text)), 5000)
        self.assertLess(len(text), 40_000_000)


class Files(Case):
    def test_unknown_format(self):
        result = self.write(document())
        for given, near in (("sarf", "sarif"), ("htm", "html"), ("gitlib", "gitlab")):
            p = snarl("report", "--format=" + given, result)
            self.assertEqual(p.returncode, 2)
            self.assertIn(f"unknown format '{given}'; did you mean '{near}".encode(), p.stderr)
        p = snarl("graph", "--format=sgv", result)
        self.assertEqual(p.returncode, 2)
        self.assertIn(b"did you mean 'svg'", p.stderr)
        self.assertIn(b"did you mean '--sarif'", snarl("run", "--sarf=x", "/bin/true").stderr)

    def test_to_standard_output(self):
        for option in ("json", "sarif", "junit", "html", "dot", "svg"):
            p = snarl("run", f"--{option}=-", "--", os.path.join(SAMPLES, RESULTS["order"]))
            self.assertTrue(p.stdout.split(b"\n", 1)[1].strip(), option) # behind the program's own line
            result = self.write(document(cycle(1)))
            p = snarl("report", f"--{option}=-", result)
            self.assertEqual(p.returncode, 66)
            self.assertEqual(p.stdout.decode(), self.report(option, result), option)
            self.assertIn(b"possible deadlock", p.stderr)

    def test_one_for_each_process(self):
        p = snarl("run", f"--sarif={self.path('%p.sarif')}", f"--html={self.path('100%%-%p.html')}", "--", "/bin/sh", "-c",
                  "/bin/true; /bin/true; exit 0")
        self.assertEqual(p.returncode, 0, p.stderr)
        names = os.listdir(self.folder)
        pids = {n.split(".")[0] for n in names if n.endswith(".sarif")}
        self.assertGreaterEqual(len(pids), 2)
        self.assertEqual({n for n in names if n.endswith(".html")}, {f"100%-{pid}.html" for pid in pids})

    def test_troubles(self):
        """Said, with status 125; what was there before stays."""
        order = os.path.join(SAMPLES, RESULTS["order"])
        result = self.write(document(cycle(1)))
        with open(self.path("old"), "w") as f:
            f.write("old")
        for option in ("json", "sarif", "junit", "html", "dot", "svg"):
            for target, reason in (("/dev/full", b"No space left"), ("/no/such/folder/x", b"No such file"), (self.folder, b"Is a directory")):
                for command in (("report", f"--{option}={target}", result), ("run", f"--{option}={target}", "--", order)):
                    p = snarl(*command)
                    self.assertEqual(p.returncode, 125, (command, p.stderr))
                    self.assertIn(f"--{option}: cannot write {target}".encode(), p.stderr)
                    self.assertIn(reason, p.stderr)
        for command in (("report", f"--json={self.path('same')}", f"--html={self.path('same')}", result),
                        ("report", "--json=-", "--html=-", result)):
            p = snarl(*command)
            self.assertEqual(p.returncode, 125)
            self.assertIn(b"--json and --html both want", p.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), ["old", "result.json"])

    def test_text_that_cannot_be_written(self):
        result = self.write(document(cycle(1)))
        for form in FORMATS:
            with open("/dev/full", "w") as full:
                p = subprocess.run([SNARL, "report", "--format=" + form, result], stdout=full, stderr=subprocess.PIPE, env=environment())
            self.assertEqual((p.returncode, p.stderr), (125, b"snarl: cannot write standard output: No space left on device\n"), form)
        with open("/dev/full", "w") as full:
            p = subprocess.run([SNARL, "graph", result], stdout=full, stderr=subprocess.PIPE, env=environment())
        self.assertEqual(p.returncode, 125)
        self.assertIn(b"No space left", p.stderr)
        for command in (["report", "--log=/dev/full", result], ["run", "--log=/dev/full", "--", os.path.join(SAMPLES, RESULTS["order"])]):
            p = snarl(*command)
            self.assertEqual(p.returncode, 125)
            self.assertIn(b"--log: cannot write /dev/full: No space left on device", p.stderr)

    def test_no_room(self):
        """The limit of file sizes stands for a full disk."""
        with open(self.path("out"), "w") as f:
            f.write("old")

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        for name in ("out", "new"):
            p = snarl("report", "--html=" + self.path(name), self.write(document(cycle(1))), preexec_fn=limit)
            self.assertEqual(p.returncode, 125, p.stderr)
            self.assertIn(b"File too large", p.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), ["out", "result.json"])
        with open(self.path("out")) as f:
            self.assertEqual(f.read(), "old")

    def test_replaced_as_it_was(self):
        """A link stays a link, permissions stay."""
        result = self.write(document(cycle(1)))
        with open(self.path("real"), "w") as f:
            f.write("old")
        os.chmod(self.path("real"), 0o604)
        os.symlink("real", self.path("link"))
        os.link(self.path("real"), self.path("other"))
        for linked in (True, False):
            self.assertEqual(snarl("report", "--junit=" + self.path("link"), result).returncode, 66)
            self.assertTrue(os.path.islink(self.path("link")))
            self.assertEqual(os.stat(self.path("real")).st_mode & 0o777, 0o604)
            ElementTree.parse(self.path("real"))
            if linked: # under both of its names
                ElementTree.parse(self.path("other"))
                os.unlink(self.path("other"))


def main():
    global SNARL, SAMPLES, SOURCE
    parser = argparse.ArgumentParser()
    for name in ("snarl", "samples", "source"):
        parser.add_argument("--" + name, required=True)
    options, rest = parser.parse_known_args()
    SNARL, SAMPLES, SOURCE = options.snarl, options.samples, options.source
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
