#!/usr/bin/env python3
"""Many large results as one, within bounds of memory and time: many_test.py --snarl SNARL --orders PROGRAM [--count N] [unittest's options]

Results of 1 MB each, as shards of one test suite leave them: most is the same in all of them, a fiftieth is in few. 10,000 with
--count=10000, which CTest runs as gate/many/all.
"""
import json
import os
import subprocess
import sys
import time

import common
from common import Case, load, orders

COUNT = 150
DIFFERENT = 100
OWN = 50 # one in so many orders and findings is of few results only
MEMORY_MB = 1024


def renamed(value, suffix):
    """The same with other names of locks and functions."""
    if isinstance(value, dict):
        return {k: (v + suffix if k in ("class", "from", "to", "object", "function", "local") and isinstance(v, str) else renamed(v, suffix))
                for k, v in value.items()}
    if isinstance(value, list):
        return [renamed(v, suffix) for v in value]
    return value


class Many(Case):
    def big_result(self, number, base):
        """1 MB: orders that all results have, and some of its own; findings as well."""
        document = json.loads(json.dumps(base))
        graph, findings = document["lock_graph"], document["findings"]
        nodes, edges = list(graph["nodes"]), list(graph["edges"])
        part = len(json.dumps(base))
        for i in range(1_000_000 // part):
            own = i % OWN == 0
            suffix = f"_{number}_{i}" if own else f"_{i}"
            graph["nodes"] += renamed(nodes, suffix)
            graph["edges"] += renamed(edges, suffix)
            for finding in renamed(base["findings"], suffix):
                findings.append(dict(finding, id=f"{(number + 1 if own else 0) << 16 | i:016x}"))
        return json.dumps(document)

    def test_bounds(self):
        base, sizes = load(orders("ab", "ba")), []
        for number in range(min(COUNT, DIFFERENT)):
            text = self.big_result(number, base)
            sizes.append(len(text))
            self.write(f"made/{number}.json", text)
        self.assertGreater(min(sizes), 900_000)
        for number in range(COUNT):
            folder = self.path(f"results/{number // 1000}")
            os.makedirs(folder, exist_ok=True)
            os.link(self.path(f"made/{number % DIFFERENT}.json"), os.path.join(folder, f"{number}.json"))
        began = time.monotonic()
        with open(self.path("said"), "w", encoding="utf-8") as said:
            p = subprocess.Popen([common.SNARL, "merge", "--quiet", "-o", self.path("all.json"), self.path("results")], stdin=subprocess.DEVNULL,
                                 stdout=said, stderr=said, env=common.clean_env())
            _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        seconds, megabytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        self.assertEqual(p.returncode, 66, self.read("said")[-1000:])
        print(f"{COUNT} results, {sum(sizes) / len(sizes) * COUNT / 1e6:.0f} MB: {seconds:.1f} s of processor time, "
              f"{time.monotonic() - began:.0f} s, {megabytes:.0f} MB of memory", file=sys.stderr)
        self.assertLess(megabytes, MEMORY_MB)
        merged = load(self.path("all.json"))
        self.assertEqual(len(merged["run"]["runs"]), COUNT)
        shared = next(f for f in merged["findings"] if f["id"] == f"{1:016x}")
        self.assertEqual(shared["runs"]["count"], COUNT)
        edge = next(e for e in merged["lock_graph"]["edges"] if e["from"].endswith(":a_1") and e["to"].endswith(":b_1"))
        self.assertEqual(edge["count"], COUNT * next(e["count"] for e in base["lock_graph"]["edges"] if e["from"].endswith(":a")))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if argument.startswith("--count="):
            COUNT = int(argument.partition("=")[2])
            sys.argv.remove(argument)
    common.main()
