#!/usr/bin/env python3
"""The baseline and `snarl check`: baseline_test.py --snarl SNARL --orders PROGRAM [unittest's options]"""
import os
import shutil
import stat
import subprocess

import common
from common import Case, load, locks, orders, snarl

HEAD = "# snarl lock order baseline 1\n"


class Check(Case):
    def check(self, text, *results, options=(), status=None):
        path = self.write("base", text) if text is not None else self.path("base")
        p = snarl("check", "--baseline=" + path, *options, *results)
        if status is not None:
            self.assertEqual(p.returncode, status, f"{text}\n{p.stdout}{p.stderr}")
        return p

    # ---- orders ----

    def test_against(self):
        for text in ("order gate-orders:orders.c:b < gate-orders:orders.c:a", "order other-binary:orders.c:b < other-binary:orders.c:a",
                     "order orders.c:b < orders.c:a", "order b < a", "order gate-orders:b < any-binary:a", "order  b  <  a   # remark", "order b < c\norder c < a",
                     "order b < elsewhere\norder elsewhere < a", "order x:other.c:z < b\norder b < y:other.c:z\norder z:other.c:z < a"):
            p = self.check(text + "\n", orders("ab"), status=66)
            self.assertIn("order of locks against the baseline: a before b, but b < ", p.stdout, text)

    def test_with(self):
        for text in ("", "order a < b\n", "order a < c\norder c < b\n", "order a < b\norder b < a\n", "order libx.so:orders.c:b < libx.so:orders.c:a\n",
                     "order b < a2\norder b2 < a\n", "order other.c:b < other.c:a\n"):
            p = self.check(text, orders("ab"), status=0)
            self.assertNotIn("against", p.stdout, text)

    def test_told_with_both_sides(self):
        p = self.check(HEAD + "order b < a\n", orders("main:ab", "main:ba"), status=66)
        # One thread: no cycle in this run, both orders in it.
        self.assertEqual(load(orders("main:ab", "main:ba"))["findings"], [])
        for words in ("T1 takes b while it holds a", "T1 takes a while it holds b", "line 2", "a_then_b", "b_then_a"):
            self.assertIn(words, p.stdout)

    def test_across_results(self):
        """The other side is in another result."""
        p = self.check(HEAD + "order b < a\n", orders("main:ab"), orders("main:ba"), status=66)
        self.assertIn("a_then_b", p.stdout)
        self.assertIn("b_then_a", p.stdout)

    def test_by_other_verbs(self):
        base = self.write("base", "order b < a\n")
        self.assertEqual(snarl("report", "--baseline=" + base, orders("ab")).returncode, 66)
        document, p = self.json_of("run", "--baseline=" + base, "--", common.ORDERS, "ab", status=66)
        finding = document["findings"][0]
        self.assertEqual((finding["kind"], finding["verdict"], finding["counts"], locks(finding)), ("lock-order", "possible", True, ["a", "b"]))
        self.assertIn("baseline", finding["flags"])
        self.assertIn("order of locks against the baseline", p.stderr)
        # Judged again, it is there once; without the baseline it stays as it was found.
        again, _ = self.json_of("report", "--baseline=" + base, self.path("out.json"), status=66)
        self.assertEqual([f["id"] for f in again["findings"]], [finding["id"]])
        fine = self.write("fine", "order a < b\n")
        self.json_of("report", "--baseline=" + fine, self.path("out.json"), status=0)

    def test_try_and_unlisted(self):
        self.check("order a < b\n", orders("try_ba"), status=0)
        p = self.check("order x < y\n", orders("ab"), status=0)
        self.assertIn("orders that are not in the baseline", p.stdout)
        self.assertIn("first seen orders.c:", p.stdout)

    def test_many_locks_of_a_class(self):
        """Which node is meant is not known: listed. A rule means all of them."""
        self.assertIn("against", self.check("order a < node.lock\n", orders("node_a"), status=0).stdout)
        self.check("order a < node.lock\n", orders("node_a"), options=["--fail-on=all"], status=66)
        self.check("rule a < node.lock\n", orders("node_a"), status=66)
        self.check("rule node.lock < a\n", orders("node_a"), status=0)

    def test_rules(self):
        for text, status in (("order b* < a\n", 66), ("order a < b*\n", 0), ("order * < a\n", 66), ("order * < b\n", 0),
                             ("rule b < a\n", 66), ("order b < c < a\n", 66), ("order a < c < b\n", 0),
                             ("order b < x.*\norder x.* < a\n", 66), ("order x.* < a\norder b < y.*\n", 0),
                             ("level 1 b\nlevel 2 a\n", 66), ("level 1 a\nlevel 2 b\n", 0), ("level 1 b\nlevel 1 a\n", 0),
                             ("level 1 b\nlevel 2 x\nlevel 3 a\n", 66), ("level 1 b\n", 0), ("level 3 orders.c:b\nlevel 7 gate-orders:*:a\n", 66)):
            self.check(text, orders("ab"), status=status)

    def test_declared_in_source(self):
        """A declared order is held by runs and by the scan, with one id; the module's name does not count."""
        source = self.write("app.c", SCANNED)
        subprocess.run(["gcc", "-g", "-pthread", source, "-o", self.path("other-name")], check=True)
        for text, status in (("rule cache_lock < index_lock\n", 66), ("rule app.c:cache_* < app.c:index_*\n", 66),
                             ("rule index_lock < cache_lock\n", 0), ("level 1 cache_lock\nlevel 2 index_lock\n", 66)):
            base, found = self.write("base", text), []
            for command in (("scan", "--baseline=" + base, source, "--", "-pthread"), ("run", "--baseline=" + base, "--", self.path("other-name"))):
                document, p = self.json_of(*command, status=status, env=common.clean_env(SNARL_UNFINISHED="1", XDG_CACHE_HOME=self.folder))
                found.append([(f["id"], f["kind"], locks(f)) for f in document["findings"]])
            self.assertEqual(found[0], found[1], text)
            self.assertEqual([f[2] for f in found[0]], [["cache_lock", "index_lock"]] if status else [], text)

    def test_by_address(self):
        self.check("rule node.lock: by address\n", orders("low_high"), options=["--strict"], status=0)
        p = self.check("order node.lock: by address # why\n", orders("high_low"), status=66)
        self.assertIn("two locks of node.lock, not by address", p.stdout)
        self.assertIn("higher_first", p.stdout)
        self.check("rule other.lock: by address\n", orders("high_low"), status=0)
        self.check("", orders("high_low"), status=0)
        self.check(None, orders("high_low"), options=["--update"], status=0)
        self.assertRegex(self.read("base"), r"order  \S*node\.lock < \S*node\.lock")

    def test_rules_are_never_stale_or_new(self):
        self.check("rule a < b\nlevel 4 nobody\nrule x < y\n", orders("ab"), options=["--strict"], status=0)

    # ---- findings ----

    def test_accept(self):
        both = orders("ab", "ba")
        finding = load(both)["findings"][0]["id"]
        document, p = self.json_of("check", "--baseline=" + self.write("base", f"accept {finding} # known\norder a < b\norder b < a\n"), both, status=0)
        self.assertEqual((document["findings"][0]["in_baseline"], document["findings"][0]["counts"]), (True, False))
        self.assertIn("1 finding accepted in the baseline", p.stdout)
        self.check("accept 0123456789abcdef\n", both, status=66)
        document, _ = self.json_of("run", "--baseline=" + self.path("base"), "--", common.ORDERS, "ab", "ba", status=66)
        self.assertEqual(len(document["findings"]), 1, "the cycle tells the contradiction, too")

    def test_stale(self):
        text = "order a < b\norder a < c # old\naccept 0123456789abcdef # gone\n"
        p = self.check(text, orders("ab"), status=0)
        self.assertIn("line 2: order a < c", p.stdout)
        self.assertIn("line 3: accept 0123456789abcdef", p.stdout)
        self.assertNotIn("line 1", p.stdout)
        self.check(text, orders("ab"), options=["--strict"], status=66)
        self.check("order a < b\n", orders("ab"), options=["--strict"], status=0)
        self.check("", orders("ab"), options=["--strict"], status=66)

    # ---- the file ----

    def test_update(self):
        p = self.check(None, orders("ab", "ba"), orders("bc"), options=["--update"], status=0)
        first = self.read("base")
        self.assertTrue(first.startswith(HEAD), first)
        self.assertRegex(first, r"(?m)^order  gate-orders:orders.c:a < gate-orders:orders.c:b +# first seen orders.c:\d+ < orders.c:\d+$")
        lines = first.splitlines()[1:]
        self.assertEqual([line.split()[0] for line in lines], ["order"] * 3 + ["accept"], p.stdout)
        self.assertEqual(lines, sorted(lines, key=lambda line: (line.startswith("accept"), line)))
        self.check(None, orders("ab", "ba"), orders("bc"), options=["--update"], status=0)
        self.assertEqual(self.read("base"), first)
        self.check(None, orders("ab", "ba"), orders("bc"), options=["--strict"], status=0)

    def test_update_keeps_comments(self):
        self.check(HEAD + "# what this is for\n\n# our rule\nrule cache.* < index.*   # agreed in May\n# old\norder x < y\n"
                   "# about z\n# in two lines\norder m < n # hm\n# the end\n", orders("ab"), options=["--update"], status=0)
        text = self.read("base")
        self.assertIn(HEAD + "# what this is for\n\n# our rule\nrule   cache.* < index.*", text)
        self.assertIn("# agreed in May\n", text)
        self.assertIn("# about z\n# in two lines\norder  m < n", text)
        self.assertIn("# old\norder  x < y\n", text)
        self.assertTrue(text.endswith("# the end\n"), text)
        self.check(None, orders("ab"), options=["--update", "--strict"], status=0)
        text = self.read("base")
        self.assertNotIn("x < y", text)
        self.assertIn("cache.* < index.*", text)
        self.assertIn("orders.c:a < ", text)

    def test_update_is_atomic(self):
        self.check(HEAD + "order x < y\n", orders("ab"), options=["--update"], status=0)
        self.assertEqual(sorted(os.listdir(self.folder)), ["base"])
        os.chmod(self.path("base"), 0o640)
        os.symlink("base", self.path("link"))
        p = snarl("check", "--baseline=" + self.path("link"), "--update", orders("bc"))
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("base")).st_mode), 0o640)
        self.assertIn("orders.c:c", self.read("base"))
        broken = self.write("broken", "nonsense\n")
        self.assertEqual(snarl("check", "--baseline=" + broken, "--update", orders("ab")).returncode, 2)
        self.assertEqual(self.read("broken"), "nonsense\n")

    def test_wrong_files(self):
        for text, place, words in (("oder a < b\n", "1:1", "did you mean 'order'?"), (HEAD + "\norder a b\n", "3:7", "A < B"),
                                   ("order a < \n", "1:", ""), ("accept 12\n", "1:8", "16 lower-case"), ("level x a\n", "1:7", "number"),
                                   ("level 3\n", "1:8", "missing"), ("# snarl lock order baseline 2\n", "1:29", "baseline 1"),
                                   ("order a\0 < b\n", "1:8", "zero byte")):
            p = self.check(text, orders("ab"), status=2)
            self.assertIn("base:" + place, p.stderr, text)
            self.assertIn(words, p.stderr)

    def test_usage(self):
        self.assertIn("--update makes it", snarl("check", "--baseline=" + self.path("none"), orders("ab")).stderr)
        self.assertEqual(snarl("check", "--baseline=" + self.path("none"), orders("ab")).returncode, 2)
        self.assertEqual(snarl("run", "--baseline=" + self.path("none"), "--", "/bin/true").returncode, 2)
        self.assertIn("needs --baseline", snarl("check", "--strict", orders("ab")).stderr)
        self.assertEqual(snarl("check").returncode, 2)
        self.assertEqual(snarl("check", "--baseline", self.write("apart", "order b < a\n"), orders("ab")).returncode, 66)
        self.assertEqual(snarl("check", orders("ab")).returncode, 0)
        self.assertEqual(snarl("check", orders("ab", "ba")).returncode, 66)
        self.assertEqual(snarl("check", "--exit-code=5", orders("ab", "ba")).returncode, 5)
        self.assertEqual(snarl("check", "--baseline=/no/such/folder/x", "--update", orders("ab")).returncode, 125)


CACHE = """
#include <pthread.h>
pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER, index_lock = PTHREAD_MUTEX_INITIALIZER, log_lock = PTHREAD_MUTEX_INITIALIZER;
int entries, hits;
void lookup(void) { pthread_mutex_lock(&cache_lock); pthread_mutex_lock(&index_lock); hits++;
    pthread_mutex_unlock(&index_lock); pthread_mutex_unlock(&cache_lock); }
void write_log(void) { pthread_mutex_lock(&index_lock); pthread_mutex_lock(&log_lock); entries++;
    pthread_mutex_unlock(&log_lock); pthread_mutex_unlock(&index_lock); }
void old_sin(void) { pthread_mutex_lock(&log_lock); pthread_mutex_lock(&index_lock); entries++;
    pthread_mutex_unlock(&index_lock); pthread_mutex_unlock(&log_lock); }
"""
EVICT = """
void evict(void) { pthread_mutex_lock(&index_lock); pthread_mutex_lock(&cache_lock); entries++;
    pthread_mutex_unlock(&cache_lock); pthread_mutex_unlock(&index_lock); }
"""
FIXED = """
void evict(void) { pthread_mutex_lock(&cache_lock); pthread_mutex_lock(&index_lock); entries++;
    pthread_mutex_unlock(&index_lock); pthread_mutex_unlock(&cache_lock); }
"""
MAIN = """
static void *run(void *f) { ((void (*)(void))f)(); return 0; }
int main(void) { pthread_t t[%(n)d]; void (*f[])(void) = {%(list)s};
    for (int i = 0; i < %(n)d; i++) pthread_create(&t[i], 0, run, (void *)f[i]);
    for (int i = 0; i < %(n)d; i++) pthread_join(t[i], 0);
    return 0; }
"""


SCANNED = """
#include <pthread.h>
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER, index_lock = PTHREAD_MUTEX_INITIALIZER;
static void *work(void *arg)
{
    pthread_mutex_lock(&index_lock);
    pthread_mutex_lock(&cache_lock);
    pthread_mutex_unlock(&cache_lock);
    pthread_mutex_unlock(&index_lock);
    return arg;
}
int main(void)
{
    pthread_t a, b;
    pthread_create(&a, 0, work, 0);
    pthread_create(&b, 0, work, 0);
    pthread_join(a, 0);
    pthread_join(b, 0);
    return 0;
}
"""


class OldCodeBase(Case):
    """Adopt with findings; green. A new inversion in another test binary: red, and it says why. Fixed: green."""

    def build(self, name, parts, functions):
        source = self.write(name + ".c", CACHE + parts + MAIN % {"n": len(functions), "list": ", ".join(functions)})
        subprocess.run(["gcc", "-g", "-O1", "-pthread", source, "-o", self.path(name)], check=True)
        result = self.path(f"results/{name}.json")
        os.makedirs(self.path("results"), exist_ok=True)
        p = snarl("run", "--quiet", "--json=" + result, "--", self.path(name))
        self.assertIn(p.returncode, (0, 66), p.stderr)
        return load(result)

    def check(self, *options):
        return snarl("check", "--baseline=" + self.path("locks.baseline"), *options, self.path("results"))

    def test_scenario(self):
        # Day one: an inversion that is known, and nobody has the time.
        self.assertEqual(len(self.build("test_cache", "", ["lookup", "write_log", "old_sin"])["findings"]), 1)
        self.build("test_log", "", ["write_log"])
        self.assertEqual(snarl("check", self.path("results")).returncode, 66)
        self.assertEqual(self.check("--update").returncode, 0)
        adopted = self.read("locks.baseline")
        self.assertEqual(adopted.count("accept "), 1)
        self.assertEqual(self.check().returncode, 0)
        self.assertEqual(self.check("--strict").returncode, 0)
        # Another test binary takes them the other way round; no run has a cycle of its own.
        self.assertEqual(self.build("test_evict", EVICT, ["evict"])["findings"], [])
        p = self.check()
        self.assertEqual(p.returncode, 66)
        for words in ("cache_lock", "index_lock", "evict", "lookup", "test_evict", "1 not counted"):
            self.assertIn(words, p.stdout)
        self.assertNotIn("old_sin", p.stdout)
        # By itself, too, where nothing shows the other side.
        alone = snarl("check", "--baseline=" + self.path("locks.baseline"), self.path("results/test_evict.json"))
        self.assertEqual(alone.returncode, 66)
        self.assertIn("order of locks against the baseline: index_lock before cache_lock, but cache_lock < index_lock", alone.stdout)
        self.assertIn("evict", alone.stdout)
        # Fixed.
        self.build("test_evict", FIXED, ["evict"])
        p = self.check("--strict")
        self.assertEqual(p.returncode, 0, p.stdout)
        # The old sin goes away: what was accepted is stale, and is taken out.
        self.build("test_cache", "", ["lookup", "write_log"])
        p = self.check()
        self.assertEqual(p.returncode, 0)
        self.assertIn("accept ", p.stdout)
        self.assertEqual(self.check("--strict").returncode, 66)
        self.assertEqual(self.check("--strict", "--update").returncode, 0)
        self.assertNotIn("accept", self.read("locks.baseline"))
        self.assertEqual(self.check("--strict").returncode, 0)
        # And it does not come back.
        self.build("test_cache", "", ["lookup", "write_log", "old_sin"])
        self.assertEqual(self.check().returncode, 66)


if __name__ == "__main__":
    common.main()
