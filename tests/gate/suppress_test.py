#!/usr/bin/env python3
"""Suppressions, as a user has them: suppress_test.py --snarl SNARL --orders PROGRAM [unittest's options]"""
import common
from common import Case, orders, snarl

# Patterns that take the finding of `orders ab ba`, and near ones that do not.
TAKES = ["deadlock:nest", "deadlock:^nest$", "deadlock:a_then_b", "deadlock:b_*_a", "deadlock:orders.c", "deadlock:gate-orders",
         "deadlock:*then*", "deadlock:orders.c:a", "deadlock:", "kind:lock-order", "kind:lock-order:nest",
         "kind:lock-order:^nest$ <- ^a_then_b$", "deadlock:^nest$ <- ^worker$", "deadlock:nest <- a_then_b <- worker",
         "called_from_lib:gate-orders", "deadlock:nest # remark", "deadlock:nest  # owner=db expires=2999-12-31",
         "  deadlock:nest  "]
LEAVES = ["deadlock:^est", "deadlock:nes$", "deadlock:a_then_c", "race:nest", "mutex:nest", "kind:deadlock", "kind:data-race",
          "kind:relock:nest", "deadlock:^a_then_b$ <- ^nest$", "deadlock:nest <- nest <- nest", "called_from_lib:libnothing",
          "id:0123456789abcdef", "race_top:nest", "thread:nest", "signal:nest", "none:nest", "# deadlock:nest",
          "deadlock:nest # expires=2001-02-03"]
# Wrong files, and where.
WRONG = [("dedlock:x\n", "1:1", "did you mean 'deadlock'?"), ("\n# hm\n  race\n", "3:3", "TYPE:PATTERN"), ("id:12\n", "1:4", "16 lower-case"),
         ("kind:data-rac\n", "1:6", "did you mean 'data-race'?"), ("race:a <- \n", "1:", ""), ("race:a # expires=tomorrow\n", "1:18", "is no date"),
         ("race:a # expires=2026-13-01\n", "1:18", "is no date"), ("race: <- b\n", "1:", "missing before"), ("race:a\0b\n", "1:7", "zero byte")]


class Suppress(Case):
    def judge(self, text, *options):
        path = self.write("suppressions", text)
        return snarl("report", "--suppressions=" + path, *options, orders("ab", "ba"))

    def test_takes(self):
        for line in TAKES:
            p = self.judge(line + "\n")
            self.assertEqual(p.returncode, 0, f"{line}\n{p.stdout}{p.stderr}")
            self.assertIn("1 finding suppressed", p.stdout, line)

    def test_leaves(self):
        for line in LEAVES:
            p = self.judge(line + "\n")
            self.assertEqual(p.returncode, 66, f"{line}\n{p.stdout}{p.stderr}")
            self.assertNotIn("suppressed", p.stdout, line)

    def test_wrong(self):
        for text, place, words in WRONG:
            p = self.judge(text)
            if words:
                self.assertEqual(p.returncode, 2, text)
                self.assertIn(f"suppressions:{place}", p.stderr)
                self.assertIn(words, p.stderr)
            else:  # a pattern may be cut short: the rest of the line is blank
                self.assertIn(p.returncode, (2, 66), text)

    def test_missing_file(self):
        p = snarl("run", "--suppressions=/no/such/file", "--", "/bin/true")
        self.assertEqual(p.returncode, 2)
        self.assertIn("/no/such/file", p.stderr)

    def test_run(self):
        path = self.write("s", "deadlock:nest\n")
        document, p = self.json_of("run", "--suppressions=" + path, "--", common.ORDERS, "ab", "ba", status=0)
        finding = document["findings"][0]
        self.assertEqual((finding["suppressed_by"], finding["counts"]), ("deadlock:nest", False))
        self.assertIn("1 finding suppressed", p.stderr)
        self.assertNotIn("while it holds", p.stderr)

    def test_several_files_and_environment(self):
        one, two = self.write("one", "race:x\n"), self.write("two", "deadlock:nest\n")
        result = orders("ab", "ba")
        self.assertEqual(snarl("report", "--suppressions=" + one, result).returncode, 66)
        self.assertEqual(snarl("report", "--suppressions=" + one, "--suppressions=" + two, result).returncode, 0)
        env = common.clean_env(SNARL_OPTIONS="suppressions=" + two)
        self.assertEqual(snarl("report", result, env=env).returncode, 0)

    def test_said(self):
        p = self.judge("thread:x\nsignal:x\n")
        self.assertIn("suppressions:1: thread:x has no effect", p.stderr)
        self.assertIn("suppressions:2: signal:x has no effect", p.stderr)
        p = self.judge("deadlock:nest # owner=db expires=2001-02-03\n")
        self.assertIn("suppressions:1: deadlock:nest expired on 2001-02-03", p.stderr)
        self.assertIn("owner: db", p.stderr)
        self.assertEqual(self.judge("thread:x\n", "--quiet").stderr, "")

    def test_unused(self):
        text = "race:x # owner=me\ndeadlock:nest\n"
        self.assertNotIn("took nothing", self.judge(text).stdout)
        p = self.judge(text, "--verbose")
        self.assertIn("suppressions that took nothing:", p.stdout)
        self.assertRegex(p.stdout, r"suppressions:1: race:x, owner me")
        self.assertNotRegex(p.stdout, r"suppressions:2: ")
        self.assertIn("a and b are taken in both orders (lock-order, possible): deadlock:nest", p.stdout)
        p = snarl("check", "--suppressions=" + self.path("suppressions"), orders("ab", "ba"))
        self.assertIn("race:x", p.stdout)

    def test_ready_made(self):
        document, _ = self.json_of("report", orders("ab", "ba"), status=66)
        finding = document["findings"][0]
        self.assertEqual(finding["suppressions"], ["id:" + finding["id"], "deadlock:^nest$ <- ^a_then_b$"])
        for line in finding["suppressions"]:
            self.assertEqual(self.judge(line + "\n").returncode, 0, line)
        text = snarl("report", "--verbose", orders("ab", "ba")).stdout
        self.assertIn("suppress it by id:" + finding["id"], text)
        self.assertNotIn("suppress it by", snarl("report", orders("ab", "ba")).stdout)

    def test_hostile(self):
        p = self.judge("deadlock:nest\x1b[31m\n", "--verbose")
        self.assertNotIn("\x1b", p.stdout + p.stderr)
        for data in (b"\xff\xfe\x00deadlock", b"deadlock:\xff\xff\n", b":" * 100000, b"race:" + b"*" * 5000 + b"x\n"):
            with open(self.path("s"), "wb") as f:
                f.write(data)
            self.assertIn(snarl("report", "--suppressions=" + self.path("s"), orders("ab", "ba")).returncode, (2, 66), data[:20])


if __name__ == "__main__":
    common.main()
