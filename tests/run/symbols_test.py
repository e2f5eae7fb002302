#!/usr/bin/env python3
"""Debug information that is elsewhere: by build id, from a debuginfod server, on another machine than the one that ran the program.
symbols_test.py --snarl SNARL --source FOLDER [unittest's options]
"""
import argparse
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SNARL = SOURCE = None


def clean_env(**more):
    drop = ("SNARL_", "DEBUGINFOD_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(drop) and k not in ("LD_PRELOAD", "NO_COLOR")}
    env.update(more)
    return env


def marks():
    """Line numbers of the program's marks."""
    with open(os.path.join(SOURCE, "symbols/program.c"), encoding="utf-8") as f:
        return {m.group(1): n for n, line in enumerate(f, 1) if (m := re.search(r"/\* mark: (\w+)", line))}


class Server:
    """debuginfod's protocol, as far as libdebuginfod uses it. With `hangs` it takes requests and never answers."""

    def __init__(self, files, hangs=False):
        requests, over = [], threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                if hangs:
                    over.wait()
                    return
                found = re.fullmatch(r"/buildid/([0-9a-f]+)/debuginfo", self.path)
                path = files.get(found.group(1)) if found else None
                if not path:
                    self.send_error(404)
                    return
                with open(path, "rb") as f:
                    data = f.read()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass
        self.requests, self.over = requests, over
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def close(self):
        self.over.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lines = marks()

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="snarl-symbols-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.program, self.debug = self.path("here/program"), self.path("program.debug")
        os.makedirs(self.path("here"))
        self.build()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def build(self, *flags):
        """The program, stripped, and its debug information apart."""
        tools = ((["gcc", "-g", "-O1", "-pthread", "-Wl,--build-id=sha1", "-I", os.path.join(SOURCE, "cases"), *flags,
                   os.path.join(SOURCE, "symbols/program.c"), "-o", self.program]),
                 ["cp", self.program, self.path("whole")], ["objcopy", "--only-keep-debug", self.program, self.debug],
                 ["strip", self.program])
        for tool in tools:
            subprocess.run(tool, check=True, capture_output=True)
        notes = subprocess.run(["readelf", "-n", self.program], check=True, capture_output=True, text=True).stdout
        self.build_id = re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)

    def store(self, build_id=None):
        """A folder as /usr/lib/debug is."""
        build_id = build_id or self.build_id
        folder = self.path("store/.build-id", build_id[:2])
        os.makedirs(folder, exist_ok=True)
        shutil.copy(self.debug, os.path.join(folder, build_id[2:] + ".debug"))
        return self.path("store")

    def snarl(self, *args, status, **env):
        env = clean_env(DEBUGINFOD_CACHE_PATH=self.path("cache"), **env)
        p = subprocess.run([SNARL, *args], capture_output=True, text=True, timeout=200, env=env)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return p.stdout + p.stderr

    def run_program(self, **env):
        self.snarl("run", "--quiet", "--json=" + self.path("result.json"), "--", self.program, status=66, **env)
        return self.load("result.json")

    def load(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return json.load(f)

    def report(self, result="result.json", **env):
        self.snarl("report", "--json=" + self.path("later.json"), self.path(result), status=66, **env)
        return self.load("later.json")

    def away(self):
        """Now on another machine: the program is not there."""
        os.rename(self.path("here"), self.path("gone"))

    def stacks(self, document):
        finding, = document["findings"]
        return [[(f.get("function"), f.get("line")) for f in e["stack"]] for e in finding["events"]]

    def assert_named(self, document):
        n = self.lines
        for stack in self.stacks(document):
            names = [name for name, line in stack]
            self.assertEqual(names[0], "nest")
            self.assertIn(names[1:3], (["forwards", "early"], ["backwards", "late"]))
            self.assertEqual(stack[1][1], n[names[1]])
        lines = [stack[0][1] for stack in self.stacks(document)]
        self.assertEqual(lines.count(n["nest"]), 2)
        self.assertTrue(all(f["inlined"] for e in document["findings"][0]["events"] for f in e["stack"][:1]))

    def assert_nameless(self, document):
        for stack in self.stacks(document):
            self.assertEqual([name for name, line in stack[:2]], [None, None])


class ByBuildId(Case):
    def test_when_it_ran(self):
        self.assert_nameless(self.run_program())
        self.assert_named(self.run_program(SNARL_DEBUG_PATH=self.store()))

    def test_on_another_machine(self):
        document = self.run_program()
        self.assert_nameless(document)
        frame = document["findings"][0]["events"][0]["stack"][0]
        self.assertEqual((frame["module"], frame["build_id"]), (self.program, self.build_id))
        self.assertRegex(frame["offset"], "^0x[0-9a-f]+$")
        self.away()
        self.assert_nameless(self.report())
        later = self.report(SNARL_DEBUG_PATH=self.store())
        self.assert_named(later)
        for key in ("id", "kind", "verdict", "count", "title"):
            self.assertEqual(later["findings"][0][key], document["findings"][0][key], key)
        self.assertEqual([lock["class"] for lock in later["findings"][0]["locks"]],
                         [lock["class"] for lock in document["findings"][0]["locks"]])
        self.assertIn("nest()", later["findings"][0]["why"])
        self.assertNotIn("stripped", " ".join(later["run"]["symbols"]))
        # Once named, it stays so.
        os.rename(self.path("later.json"), self.path("named.json"))
        self.assert_named(self.report("named.json"))

    def test_the_program_itself(self):
        """Not stripped on this machine, at the same path."""
        self.run_program()
        os.rename(self.path("whole"), self.program)
        self.assert_named(self.report())

    def test_another_build(self):
        """Debug information of another build is never used, wherever it lies."""
        self.run_program()
        ran = self.build_id
        self.build("-DOTHER", "-O0")
        self.assertNotEqual(self.build_id, ran)
        self.assert_nameless(self.report(SNARL_DEBUG_PATH=self.store()))
        self.assert_nameless(self.report(SNARL_DEBUG_PATH=self.store(ran))) # under the other's name
        os.rename(self.path("whole"), self.program)
        self.assert_nameless(self.report())

    def test_every_verb(self):
        """Suppressions by function, merging, checking and the graph see the names too."""
        self.run_program()
        self.away()
        store, result = self.store(), self.path("result.json")
        with open(self.path("suppressions"), "w", encoding="utf-8") as f:
            f.write("deadlock:^backwards$\n")
        option = "--suppressions=" + self.path("suppressions")
        for verb in (("report",), ("check",), ("merge", "-o", self.path("all.json"))):
            self.snarl(*verb, option, result, status=66)
            self.assertIn("no finding that counts", self.snarl(*verb, option, "--verbose", result, status=0, SNARL_DEBUG_PATH=store))
        self.assert_named(self.load("all.json"))
        text = self.snarl("graph", result, status=0, SNARL_DEBUG_PATH=store)
        self.assertIn("nest", text)
        self.assertNotIn("nest", self.snarl("graph", result, status=0))
        for form in ("html", "sarif", "junit", "gitlab", "json"):
            self.assertIn("nest", self.snarl("report", "--format=" + form, result, status=66, SNARL_DEBUG_PATH=store), form)

    def test_merged_first(self):
        """Results of two builds of the program at the same path: each frame is named by its own build."""
        self.run_program()
        os.rename(self.path("result.json"), self.path("1.json"))
        first = self.store()
        self.build("-DOTHER", "-O2", "-fno-pie", "-no-pie")
        self.run_program()
        os.rename(self.path("result.json"), self.path("2.json"))
        self.store()
        self.away()
        self.snarl("merge", "-o", self.path("both.json"), self.path("1.json"), self.path("2.json"), status=66)
        later = self.report("both.json", SNARL_DEBUG_PATH=first)
        functions = {f.get("function") for finding in later["findings"] for e in finding["events"] for f in e["stack"]
                     if f["module"] == self.program}
        self.assertEqual(functions, {"nest", "forwards", "backwards", "early", "late"})

    def test_hostile(self):
        """What a result says of modules is nothing to rely on."""
        document = self.run_program()
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        frame = document["findings"][0]["events"][0]["stack"][0]
        for build_id in ("", "../../..", "zz" * 20, "ab", "ab" * 500, self.build_id.upper(), "00" * 20):
            for module in (fifo, "/dev/zero", self.folder, "/etc/passwd", self.program, "x" * 5000, ""):
                for offset in ("0xffffffffffffffff", "0x0", "0x" + "f" * 30):
                    frame.update(build_id=build_id, module=module, offset=offset)
                    with open(self.path("result.json"), "w", encoding="utf-8") as f:
                        json.dump(document, f)
                    self.snarl("report", "--quiet", self.path("result.json"), status=66)
        frame["build_id"] = 5
        with open(self.path("result.json"), "w", encoding="utf-8") as f:
            json.dump(document, f)
        self.assertIn("build_id: should be a string", self.snarl("report", self.path("result.json"), status=2))


def has_debuginfod():
    return any(os.path.exists(os.path.join(folder, "libdebuginfod.so.1")) for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib", "/usr/lib64"))


@unittest.skipUnless(has_debuginfod(), "there is no libdebuginfod")
class Debuginfod(Case):
    def serve(self, *args, **kw):
        server = Server(*args, **kw)
        self.addCleanup(server.close)
        return server

    def test_when_it_ran(self):
        server = self.serve({self.build_id: self.debug})
        self.assert_nameless(self.run_program()) # not asked
        self.assertEqual(server.requests, [])
        self.assert_named(self.run_program(DEBUGINFOD_URLS=server.url))
        self.assertIn(f"/buildid/{self.build_id}/debuginfo", server.requests)

    def test_on_another_machine(self):
        server = self.serve({self.build_id: self.debug})
        self.run_program()
        self.away()
        self.assert_nameless(self.report())
        self.assertEqual(server.requests, [])
        self.assert_named(self.report(DEBUGINFOD_URLS=server.url))

    def test_it_has_nothing(self):
        server = self.serve({})
        self.run_program()
        self.away()
        self.assert_nameless(self.report(DEBUGINFOD_URLS=server.url))
        self.assertTrue(server.requests)

    def test_another_file(self):
        """A server that answers with something else."""
        with open(self.path("junk"), "wb") as f:
            f.write(b"\x7fELF" + bytes(5000))
        self.run_program()
        ran = self.build_id
        self.build("-DOTHER", "-O0")
        self.away()
        for answer in (self.path("junk"), self.debug, "/dev/null"):
            shutil.rmtree(self.path("cache"), True)
            server = self.serve({ran: answer})
            self.assert_nameless(self.report(DEBUGINFOD_URLS=server.url))

    def test_nobody_there(self):
        self.run_program()
        self.away()
        began = time.monotonic()
        self.assert_nameless(self.report(DEBUGINFOD_URLS="http://127.0.0.1:9"))
        self.assertLess(time.monotonic() - began, 30)

    def test_it_hangs(self):
        """A server that takes requests and never answers costs the time limit, for each request, and not more."""
        server = self.serve({}, hangs=True)
        began = time.monotonic()
        self.assert_nameless(self.run_program(DEBUGINFOD_URLS=server.url, DEBUGINFOD_TIMEOUT="1"))
        self.away()
        self.assert_nameless(self.report(DEBUGINFOD_URLS=server.url, DEBUGINFOD_TIMEOUT="1"))
        self.assertLess(time.monotonic() - began, 60)
        self.assertTrue(server.requests)


def main():
    global SNARL, SOURCE
    parser = argparse.ArgumentParser()
    for name in ("snarl", "source"):
        parser.add_argument("--" + name, required=True)
    options, rest = parser.parse_known_args()
    SNARL, SOURCE = options.snarl, options.source
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
