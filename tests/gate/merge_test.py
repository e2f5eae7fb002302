#!/usr/bin/env python3
"""Merged results: merge_test.py --snarl SNARL --orders PROGRAM [unittest's options]

Each cycle across runs has its twin: the same orders, kept apart by one of the rules.
"""
import json
import os
import shutil

import common
from common import Case, load, locks, orders, snarl

# What runs of `orders` have, the locks of the cycle, and whether it counts (None: no finding).
TABLE = {
    "two_runs": ([["ab"], ["ba"]], ["a", "b"], True),
    "three_runs": ([["ab"], ["bc"], ["ca"]], ["a", "b", "c"], True),
    "three_runs_open": ([["ab"], ["bc"], ["bc"]], None, None),
    "same_order": ([["ab"], ["ab"]], None, None),
    "gate": ([["gated_ab"], ["gated_ba"]], None, None),
    "gate_on_one_side": ([["gated_ab"], ["ba"]], ["a", "b"], True),
    "try": ([["ab"], ["try_ba"]], None, None),
    "both_timed": ([["timed_ab"], ["timed_ba"]], None, None),
    "one_timed": ([["ab"], ["timed_ba"]], ["a", "b"], True),
    "readers": ([["readers_tp"], ["readers_pt"]], None, None),
    "reader_and_writer": ([["readers_tp"], ["writer_pt"]], ["paths", "table"], True),
    "writers": ([["writer_tp"], ["writer_pt"]], ["paths", "table"], True),
    "one_thread_in_all_runs": ([["main:ab"], ["main:ba"]], None, None),
    "main_beside_others": ([["nothing", "main:ab"], ["ba"]], ["a", "b"], True),
    "main_beside_others_both": ([["nothing", "main:ab"], ["nothing", "main:ba"]], None, None),
    "before_all_threads": ([["main:ab", "nothing"], ["ba"]], None, None),
    "before_all_threads_seen": ([["main:ab", "ba"], ["ba"]], None, None),
    "ended_before": ([["alone:ab", "nothing"], ["alone:nothing", "ba"]], None, None),
    "ended_before_seen": ([["alone:ab", "ba"], ["alone:ab", "ba"]], None, None),
    "main_threads_of_processes": ([["main:shared_12"], ["main:shared_21"]], ["between.first", "between.second"], True),
    "before_all_processes": ([["main:shared_12", "child:shared_21"], ["main:shared_12", "child:shared_21"]], None, None),
    "many_locks_of_a_class": ([["node_a"], ["a_node"]], ["a", "node.lock"], False),
}


class Merge(Case):
    def merge(self, *results, status=None):
        out = self.path("merged.json")
        p = snarl("merge", "-o", out, *results)
        if status is not None:
            self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return (load(out) if os.path.exists(out) else None), p

    def test_table(self):
        for name, (runs, want, counts) in TABLE.items():
            with self.subTest(name):
                results = [orders(*modes) for modes in runs]
                for r in results:
                    self.assertEqual(load(r)["findings"], [], "a single run has it")
                document, p = self.merge(*results)
                self.assertEqual(common.schema_problems(document), [])
                found = [(locks(f), f["counts"]) for f in document["findings"]]
                self.assertEqual(found, [] if want is None else [(want, counts)], p.stdout)
                self.assertEqual(p.returncode, 66 if counts else 0, p.stdout)
                if want:
                    finding = document["findings"][0]
                    self.assertIn("across-runs", finding["flags"])
                    self.assertEqual((finding["kind"], finding["verdict"]), ("lock-order", "possible"))
                self.again(results, document)

    def again(self, results, document):
        """Merging what was merged says the same."""
        wanted = [(f["id"], f["counts"]) for f in document["findings"]]
        shutil.copy(self.path("merged.json"), self.path("first.json"))
        self.assertEqual([(f["id"], f["counts"]) for f in self.merge(self.path("first.json"))[0]["findings"]], wanted)
        once, _ = self.merge(self.path("first.json"), results[0])
        self.assertEqual([(f["id"], f["counts"]) for f in once["findings"]], wanted)
        if len(results) == 2:  # one by one
            self.merge(results[0])
            shutil.copy(self.path("merged.json"), self.path("one.json"))
            stepwise, _ = self.merge(self.path("one.json"), results[1])
            self.assertEqual([(f["id"], f["counts"]) for f in stepwise["findings"]], wanted)

    def test_id_is_that_of_one_run(self):
        merged, _ = self.merge(orders("ab"), orders("ba"), status=66)
        self.assertEqual(merged["findings"][0]["id"], load(orders("ab", "ba"))["findings"][0]["id"])

    def test_told(self):
        document, p = self.merge(orders("ab"), orders("ba"), status=66)
        names = [os.path.basename(orders(m)) for m in ("ab", "ba")]
        self.assertIn(f"a before b in {names[0]}, b before a in {names[1]}", document["findings"][0]["why"])
        self.assertIn(names[0], p.stdout)
        self.assertNotIn("got away", p.stdout)
        functions = [[f["function"] for f in e["stack"]][:2] for e in document["findings"][0]["events"]]
        self.assertEqual(functions, [["nest", "a_then_b"]] * 2 + [["nest", "b_then_a"]] * 2)
        self.assertEqual([r["program"] for r in document["run"]["runs"]], ["gate-orders"] * 2)

    def test_other_program_of_the_same_code(self):
        other = self.path("other-binary")
        shutil.copy(common.ORDERS, other)
        document, _ = self.merge(orders("ab"), common.result_of(other, "ba"), status=66)
        self.assertEqual(locks(document["findings"][0]), ["a", "b"])
        # A test that has one thread all its life shows orders of the code; the start of a program that makes threads does not.
        self.merge(orders("main:ab"), common.result_of(other, "main:ba"), status=66)
        self.merge(orders("main:ab", "nothing"), common.result_of(other, "ba"), status=0)

    def test_one_result_of_many_processes(self):
        """What a test driver leaves: its test binaries are compared as runs are."""
        other, driver = self.path("other-binary"), self.path("driver.json")
        shutil.copy(common.ORDERS, other)
        for script, status in ((f"{common.ORDERS} ab; {other} ba; :", 66), (f"{common.ORDERS} ab; {other} ab; :", 0),
                               (f"{common.ORDERS} main:ab; {common.ORDERS} main:ba; :", 0)):
            self.assertEqual(snarl("run", "--quiet", "--json=" + driver, "--", "sh", "-c", script).returncode, 0)
            p = snarl("check", driver)
            self.assertEqual(p.returncode, status, p.stdout + p.stderr)
            self.merge(driver, status=status)
            if status:
                self.assertIn("driver.json, other-binary", p.stdout)
        baseline = self.write("base", "order gate-orders:orders.c:b < gate-orders:orders.c:a\n")
        p = snarl("run", "--baseline=" + baseline, "--", "sh", "-c", f"{common.ORDERS} ba; {other} ab; :")
        self.assertEqual(p.returncode, 66)
        self.assertIn("b_then_a", p.stderr)

    def test_same_finding(self):
        both = orders("ab", "ba")
        document, _ = self.merge(both, both, orders("ab"), both, status=66)
        self.assertEqual(len(document["findings"]), 1)
        finding, single = document["findings"][0], load(both)["findings"][0]
        self.assertEqual((finding["id"], finding["count"], finding["runs"]["count"]), (single["id"], 3 * single["count"], 3))
        self.assertEqual(document["run"]["threads"], 3 * load(both)["run"]["threads"] + load(orders("ab"))["run"]["threads"])
        edges = {(common.short(e["from"]), common.short(e["to"])): e for e in document["lock_graph"]["edges"]}
        self.assertEqual(edges["a", "b"]["count"], 4)
        self.assertLessEqual(len(edges["a", "b"]["contexts"]), 2)

    def test_folder(self):
        for i, modes in enumerate((["ab"], ["ba"])):
            os.makedirs(self.path(f"results/shard-{i}"))
            shutil.copy(orders(*modes), self.path(f"results/shard-{i}/result.json"))
        self.write("results/report.txt", "hello")
        self.write("results/other.json", '{"passed": 3}')
        document, p = self.merge(self.path("results"), status=66)
        self.assertIn("other.json: no result of snarl, left out", p.stderr)
        self.assertEqual([r["name"] for r in document["run"]["runs"]], ["shard-0/result.json", "shard-1/result.json"])
        self.assertEqual(locks(document["findings"][0]), ["a", "b"])
        # What it wrote there the last time is none of the results.
        for _ in range(3):
            snarl("merge", "-o", self.path("results/all.json"), self.path("results"))
        self.assertEqual(len(load(self.path("results/all.json"))["run"]["runs"]), 2)
        os.makedirs(self.path("empty"))
        self.assertIn("no result in this folder", self.merge(self.path("empty"), status=2)[1].stderr)

    def test_broken_among_many(self):
        good = self.read_text(orders("ab"))
        for name, text, place in (("cut", good[:len(good) // 2], r"broken.json:\d+:\d+: "), ("empty", "", r"broken.json:\d+:\d+"),
                                  ("type", good.replace('"findings": []', '"findings": 7'), r"broken.json:\d+:\d+: findings: should be an array"),
                                  ("other", '{"a": 1}', r"broken.json:1:1: this is no result"), ("schema", '{"schema": "snarl/2"}', "snarl/1")):
            with self.subTest(name):
                broken = self.write("broken.json", text)
                if os.path.exists(self.path("merged.json")):
                    os.unlink(self.path("merged.json"))
                document, p = self.merge(orders("ab"), broken, orders("ba"), status=2)
                self.assertIsNone(document)
                self.assertRegex(p.stderr, place)
                os.makedirs(self.path("results"), exist_ok=True)
                if name != "other":  # in a folder, what is nobody's result is passed over
                    shutil.copy(broken, self.path("results/broken.json"))
                    self.assertEqual(self.merge(self.path("results"), status=2)[0], None)
        self.assertEqual([n for n in os.listdir(self.folder) if n.startswith("merged")], [])

    def read_text(self, path):
        with open(path, encoding="utf-8") as f:
            return f.read()

    def test_usage(self):
        self.assertIn("-o OUT is missing", snarl("merge", orders("ab")).stderr)
        self.assertEqual(snarl("merge", orders("ab")).returncode, 2)
        self.assertEqual(snarl("merge", "-o", self.path("x")).returncode, 2)
        self.assertEqual(snarl("merge", "-o", "/no/such/folder/x", orders("ab")).returncode, 125)
        self.assertEqual(snarl("merge", "-o", self.path("x"), "/no/such/file").returncode, 2)

    def test_standard_output(self):
        p = snarl("merge", "-o", "-", orders("ab"), orders("ba"))
        self.assertEqual(len(json.loads(p.stdout)["findings"]), 1)

    def test_linear(self):
        """Many results of the same orders stay as big as one."""
        os.makedirs(self.path("many"))
        for i in range(200):
            os.link(orders("ab"), self.path(f"many/{i}.json"))
        self.merge(self.path("many"), status=0)
        merged = os.path.getsize(self.path("merged.json"))
        runs = len(json.dumps(load(self.path("merged.json"))["run"]["runs"], indent=1))
        self.assertLess(merged - runs, 2 * os.path.getsize(orders("ab")) + 4 * runs)


if __name__ == "__main__":
    common.main()
