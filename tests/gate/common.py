"""What the tests of this folder share: results of tests/gate/orders.c, and snarl itself."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SNARL = ORDERS = None
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "orders.c")
made = {}
scratch = None


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k not in ("LD_PRELOAD", "NO_COLOR")}
    env.update(more)
    return env


def snarl(*args, cwd=None, env=None):
    return subprocess.run([SNARL, *map(str, args)], capture_output=True, text=True, errors="replace", timeout=120, cwd=cwd,
                          env=env or clean_env(), stdin=subprocess.DEVNULL)


def result_of(program, *modes):
    """The result file of a run, made once."""
    key = (program, modes)
    if key not in made:
        path = os.path.join(scratch, f"result-{len(made)}.json")
        p = snarl("run", "--quiet", "--json=" + path, "--", program, *modes)
        if p.returncode not in (0, 66):
            raise AssertionError(f"{program} {modes}: {p.returncode}\n{p.stderr}")
        made[key] = path
    return made[key]


def orders(*modes):
    return result_of(ORDERS, *modes)


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def schema_problems(document):
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    sys.path.insert(0, os.path.join(root, "tests/formats"))
    import schema
    with open(os.path.join(root, "docs/snarl-1.schema.json"), encoding="utf-8") as f:
        wanted = json.load(f)
    return schema.problems(document, wanted, wanted)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="snarl-gate-", dir=scratch)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def json_of(self, *args, status, **kw):
        """The result that a verb writes, and what it printed."""
        out = self.path("out.json")
        p = snarl(args[0], "--json=" + out, *args[1:], **kw)
        self.assertEqual(p.returncode, status, f"{args}\n{p.stdout}{p.stderr}")
        document = load(out)
        self.assertEqual(schema_problems(document), [])
        return document, p


def short(name):
    return name.split(":")[-1]


def locks(finding):
    return sorted(short(lock["class"]) for lock in finding["locks"])


def main():
    global SNARL, ORDERS, scratch
    parser = argparse.ArgumentParser()
    parser.add_argument("--snarl", required=True)
    parser.add_argument("--orders", required=True)
    options, rest = parser.parse_known_args()
    SNARL, ORDERS = os.path.abspath(options.snarl), os.path.abspath(options.orders)
    scratch = tempfile.mkdtemp(prefix="snarl-gate-")
    try:
        unittest.main(module="__main__", argv=[sys.argv[0], *rest], verbosity=1)
    finally:
        shutil.rmtree(scratch, True)
