#!/usr/bin/env python3
"""What a user is told of commands and options: --help on a terminal, near matches, man pages. help_test.py --snarl SNARL --man FOLDER [unittest's options]"""
import argparse
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import unittest

SNARL = MAN = None


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("SNARL_") and k not in ("ARGP_HELP_FMT", "COLUMNS")}


def on_terminal(columns, *args):
    """What is printed on a terminal of that width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    p = subprocess.Popen([SNARL, *args], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=environment())
    os.close(slave)
    out = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    os.close(master)
    if p.wait():
        raise AssertionError((args, p.returncode, out))
    return out.decode().replace("\r\n", "\n")


def snarl(*args):
    return subprocess.run([SNARL, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=environment())


def verbs():
    return re.findall(r"(?m)^  ([\w+]+)  ", snarl("--help").stdout.split("Commands:")[1].split("\n\n")[0])


def options_of(text):
    return re.findall(r"(?m)^ +(?:-\w, )?(--[\w-]+)", text.split("Examples:")[0])


class Help(unittest.TestCase):
    def test_every_verb(self):
        self.assertLessEqual({"run", "report", "check", "merge", "graph", "inspect", "explain", "cc", "c++", "samples", "completion"}, set(verbs()))

    def test_fits_the_terminal(self):
        for columns in (80, 100, 132):
            for verb in ([], *[[v] for v in verbs()]):
                for line in on_terminal(columns, *verb, "--help").split("\n"):
                    self.assertLess(len(line), columns + (columns == 80), (verb, line))

    def test_ends_with_examples(self):
        for verb in ([], *[[v] for v in verbs()]):
            text = on_terminal(80, *verb, "--help")
            last = text.rstrip("\n").split("\n\n")[-1].split("\n")
            self.assertEqual(last[0], "Examples:", verb)
            self.assertGreaterEqual(len(last), 3, verb)
            for line in last[1:]:
                self.assertTrue(line.startswith("  "), (verb, line)) # not wrapped

    def test_groups(self):
        groups = re.findall(r"(?m)^([A-Z][\w ]+)\n +(?:-\w, )?--?\w", snarl("run", "--help").stdout)
        self.assertEqual(groups, ["What is watched", "When something is found", "Outputs", "Which findings count", "Schedules", "Other"])
        for verb in ("check", "report", "merge", "inspect"):
            self.assertIn("Outputs", snarl(verb, "--help").stdout)

    def test_nearest(self):
        for verb, wrong, right in (("run", "--hatl", "--halt"), ("run", "--gbd", "--gdb"), ("run", "--supressions=x", "--suppressions"),
                                   ("check", "--basline=x", "--baseline"), ("merge", "--jsno=x", "--json"), ("report", "--fromat=x", "--format"),
                                   ("graph", "--formt=svg", "--format"), ("check", "--srict", "--strict")):
            p = snarl(verb, wrong, "x")
            self.assertEqual(p.returncode, 2, (verb, wrong))
            self.assertRegex(p.stderr, f"did you mean '{right}'|{right} ", (verb, wrong))
        for wrong, right in (("chekc", "check"), ("mrege", "merge"), ("expalin", "explain"), ("raport", "report")):
            p = snarl(wrong)
            self.assertEqual(p.returncode, 2)
            self.assertIn(f"did you mean '{right}'?", p.stderr)
        for args, said in ((("run", "-z", "x"), "unknown option '-z'"), (("run", "--json"), "--json needs a value: --json=FILE"),
                           (("merge", "-o"), "-o needs a value: -o OUT"), (("report", "--quiet=x", "y"), "--quiet takes no value")):
            p = snarl(*args)
            self.assertEqual((p.returncode, p.stderr.split("\n")[0]), (2, "snarl: " + said))
            self.assertEqual(p.stderr.count("Usage:"), 1)
        p = snarl("run", "--zzzzzzzz", "x")
        self.assertIn("unknown option '--zzzzzzzz'\n", p.stderr)

    def test_only_where_it_means_something(self):
        for verb in ("report", "check", "merge", "graph", "inspect"):
            for option in ("--gdb", "--halt", "--force", "--on-deadlock=abort"):
                self.assertEqual(snarl(verb, option, "x").returncode, 2, (verb, option))


class Man(unittest.TestCase):
    def page(self, verb):
        with open(os.path.join(MAN, "snarl-" + {"c++": "cc"}.get(verb, verb) + ".1"), encoding="utf-8") as f:
            return f.read()

    def plain(self, text):
        return re.sub(r"\\f[BIRP]", "", text.replace("\\-", "-").replace("\\&", ""))

    def test_every_option(self):
        with open(os.path.join(MAN, "snarl.1"), encoding="utf-8") as f:
            main = self.plain(f.read())
        for verb in verbs():
            page = self.plain(self.page(verb))
            self.assertRegex(main, rf"snarl-{re.escape({'c++': 'cc'}.get(verb, verb))}\b", verb)
            for option in options_of(snarl(verb, "--help").stdout):
                if option != "--help":
                    self.assertRegex(page, re.escape(option) + r"(?![\w-])", (verb, option))

    def test_nothing_else(self):
        """What a page describes as an option is one."""
        for verb in verbs():
            known = set(options_of(snarl(verb, "--help").stdout))
            described = re.findall(r"(?m)^\.TP\n\.(?:B|BI|BR|IR|RB) (?:\S+ \", \" )?(--[\w-]+)", self.plain(self.page(verb)))
            self.assertLessEqual(set(described), known, verb)

    def test_status_and_examples(self):
        for verb in verbs():
            page = self.page(verb)
            for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"):
                self.assertIn(".SH " + section, page, verb)

    @unittest.skipUnless(shutil.which("groff"), "there is no groff")
    def test_well_formed(self):
        for name in sorted(os.listdir(MAN)):
            p = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", os.path.join(MAN, name)], capture_output=True, text=True, check=False)
            self.assertEqual(p.stderr, "", name)


def main():
    global SNARL, MAN
    parser = argparse.ArgumentParser()
    for name in ("snarl", "man"):
        parser.add_argument("--" + name, required=True)
    options, rest = parser.parse_known_args()
    SNARL, MAN = options.snarl, options.man
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
