#!/usr/bin/env python3
"""The HTML report in a real browser: browser_test.py --snarl SNARL --samples FOLDER --source FOLDER [--pictures FOLDER] [unittest's options]

Ends with 77, for CTest: skipped, when there is no Chromium with its driver (Debian: chromium, chromium-driver). With --pictures,
what the pages look like is left there.
"""
import argparse
import os
import sys
import tempfile
import unittest

import browser
import formats_test as formats

PICTURES = None
VISIBLE = "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility()).length"


def luminance(color):
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)] if len(color) == 7 else [int(c, 16) / 15 for c in color[1:]]
    r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)
        cls.folder = tempfile.TemporaryDirectory(prefix="snarl-pages-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.pages = {}

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def page(self, name, make):
        if name not in self.pages:
            text = make()
            with open(self.path(name + ".html"), "w", encoding="utf-8") as f:
                f.write(text)
            self.pages[name] = self.path(name + ".html")
        return self.pages[name]

    def rendered(self, doc):
        helper = formats.Case()
        helper.folder = self.folder.name
        return helper.report("html", helper.write(doc))

    def mixed(self):
        """Three findings of three kinds, and a graph with more than the findings' locks."""
        def make():
            here = dict(formats.FRAME, file=os.path.abspath(__file__), line=30, function="take")
            found = [formats.cycle(1, "app:cache.lock", "app:index.lock"),
                     formats.cycle(2, "app:one", "app:two", kind="deadlock", verdict="observed", title="deadlock: one and two"),
                     formats.cycle(3, "app:x", "app:y", kind="stuck", title="stuck: y", suppressed_by="stuck:f")]
            for f in found:
                for e in f["events"]:
                    e["stack"] = [here, formats.FRAME, dict(formats.FRAME, function="start_thread", system=True)]
            nodes = [{"class": f"app:lock{i}", "kind": "mutex", "locks": 1 + i % 2} for i in range(12)]
            edges = [{"from": f"app:lock{i // 2}", "to": f"app:lock{i}", "count": i, "threads": 1, "stack": [here]} for i in range(1, 12)]
            edges += [{"from": "app:lock1", "to": "app:lock11", "count": 1, "threads": 1, "stack": [here]},
                      {"from": "app:cache.lock", "to": "app:lock0", "count": 4, "threads": 2, "stack": [here]}]
            return self.rendered(formats.document(*found, nodes=nodes, edges=edges))
        return self.page("mixed", make)

    def setUp(self):
        b = self.browser
        b.scripts(True)
        b.size(1300)
        b.scheme("light")
        b.log()

    def tearDown(self):
        self.assertEqual([line for line in self.browser.log() if "favicon" not in line], [])

    def visible(self, query):
        return self.browser.run(VISIBLE, query)

    def test_findings(self):
        b = self.browser
        b.open(self.mixed())
        self.assertEqual(b.text(".finding.now h3"), ["possible deadlock: app:cache.lock and app:index.lock"])
        self.assertEqual((self.visible(".finding"), self.visible(".index li"), self.visible(".graph")), (1, 3, 0))
        b.click(".index a", 1)
        self.assertEqual(b.text(".finding.now h3"), ["deadlock: one and two"])
        self.assertTrue(b.run("return location.hash").endswith("2"))
        self.assertIn("holds one", b.run("return document.querySelector('.finding.now .time').textContent"))
        self.assertTrue(self.visible(".finding.now .src .hit"))
        b.type("body", "k")
        self.assertIn("cache.lock", b.text(".finding.now h3")[0])
        b.type("input[type=search]", "one two")
        self.wait(lambda: self.visible(".index li") == 1)
        self.assertEqual(b.text(".bar-tools output")[0], "1 of 3")
        self.assertEqual(b.text(".finding.now h3"), ["deadlock: one and two"])

    def test_choosing_kinds(self):
        b = self.browser
        b.open(self.mixed())
        b.run("const s = document.querySelector('select'); s.value = 'stuck'; s.dispatchEvent(new Event('change'))")
        self.assertEqual(b.text(".finding.now h3"), ["stuck: y"])
        self.assertIn("suppressed by stuck:f", b.text(".finding.now .excuse"))
        b.run("const s = document.querySelector('select'); s.value = ''; s.dispatchEvent(new Event('change'))")
        b.click("#findings input[type=checkbox]")
        self.assertEqual(self.visible(".index li"), 2)

    def wait(self, good, seconds=10):
        import time
        end = time.monotonic() + seconds
        while not good():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def middle(self, query, which=0):
        return self.browser.run("const e = document.querySelectorAll(arguments[0])[arguments[1]], l = e.querySelector('path'), s = e.ownerSVGElement;"
                                "const p = l ? l.getPointAtLength(l.getTotalLength() / 2) : null;"
                                "if (p) { const q = new DOMPoint(p.x, p.y).matrixTransform(s.getScreenCTM()); return [q.x, q.y]; }"
                                "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]", query, which)

    def click_at(self, x, y):
        self.browser.pointer(("pointerMove", round(x), round(y)), ("pointerDown",), ("pointerUp",))

    def test_graph(self):
        b = self.browser
        b.open(self.mixed())
        b.click("nav a", 1)
        self.assertEqual((self.visible(".graph"), self.visible(".finding"), self.visible(".order")), (1, 0, 0))
        for name in ("app:cache.lock", "app:lock1"):
            which = b.run("return [...document.querySelectorAll('.edge title')].findIndex(t => t.textContent.startsWith(arguments[0] + ' →'))", name)
            self.click_at(*self.middle(".edge", which))
            self.assertEqual(self.visible(".order"), 1)
            self.assertTrue(b.text(".order.now h4")[0].startswith(name + " before "))
            self.assertIn("take", b.text(".order.now .stack")[0])
        which = b.run("return [...document.querySelectorAll('.node')].findIndex(n => n.dataset.node === 'app:lock1')")
        self.click_at(*b.run("const r = document.querySelectorAll('.node')[arguments[0]].querySelector('rect').getBoundingClientRect();"
                             "return [r.x + 6, r.y + r.height - 5]", which))
        self.assertEqual(self.visible(".order"), 4)
        b.type("#order input[type=search]", "lock1")
        faded = b.run("return [...document.querySelectorAll('.node:not(.faded)')].map(n => n.dataset.node).sort()")
        self.assertEqual(faded, ["app:lock1", "app:lock10", "app:lock11"])
        view = "return document.querySelector('.graph').getAttribute('viewBox').split(' ').map(Number)"
        before = b.run(view)
        b.click("#order .bar-tools button", 0)
        closer = b.run(view)
        self.assertAlmostEqual(before[2] / closer[2], 1.4, 3)
        box = b.run("const r = document.querySelector('.stage').getBoundingClientRect(); return [r.x, r.y]")
        b.pointer(("pointerMove", round(box[0]) + 15, round(box[1]) + 15), ("pointerDown",), ("pointerMove", round(box[0]) + 115, round(box[1]) + 55),
                  ("pointerUp",))
        moved = b.run(view)
        self.assertLess(moved[0], closer[0])
        self.assertLess(moved[1], closer[1])
        self.assertEqual(moved[2:], closer[2:])
        b.click("#order .bar-tools button", 2)
        self.assertNotEqual(b.run(view), moved)

    def large(self):
        """A graph too large to be read as a whole, with one finding in it."""
        def make():
            nodes = [{"class": f"app:some_subsystem.of_many[{i}]", "kind": "mutex", "locks": 1} for i in range(80)]
            edges = [{"from": "app:root", "to": n["class"], "count": 1, "threads": 1, "stack": [formats.FRAME]} for n in nodes]
            edges.append({"from": nodes[-1]["class"], "to": "app:cache.lock", "count": 1, "threads": 1, "stack": [formats.FRAME]})
            return self.rendered(formats.document(formats.cycle(1, "app:cache.lock", "app:index.lock"), nodes=nodes, edges=edges))
        return self.page("large", make)

    def test_large_graph(self):
        """It opens where the finding is, to be read."""
        b = self.browser
        b.open(self.large(), "#order")
        inside = ("const s = document.querySelector('.stage').getBoundingClientRect();"
                  "return [...document.querySelectorAll('.node.bad')].map(n => n.querySelector('rect').getBoundingClientRect())"
                  ".map(r => [r.left >= s.left && r.right <= s.right && r.top >= s.top && r.bottom <= s.bottom, r.height])")
        seen = b.run(inside)
        self.assertEqual([good for good, _ in seen], [True, True])
        self.assertGreater(min(height for _, height in seen), 18)
        if PICTURES:
            b.picture(os.path.join(PICTURES, "large-order.png"))
        b.click("#order .bar-tools button", 2) # the whole graph
        self.assertLess(max(height for _, height in b.run(inside)), 18)

    def test_links(self):
        b = self.browser
        b.open(self.mixed(), "#f-0000000000000002")
        self.assertEqual(b.text(".finding.now h3"), ["deadlock: one and two"])
        b.click(".finding.now .more a")
        self.assertEqual(self.visible(".page"), 1)
        self.assertIn("deadlock", b.text(".page.now h3")[0])
        b.click("nav a", 3)
        self.assertEqual(self.visible(".page"), 3)
        b.run("history.back()")
        self.wait(lambda: self.visible(".page") == 1)

    def test_widths_and_schemes(self):
        """Nothing sticks out, and all can be read, in light and dark."""
        b = self.browser
        page = self.mixed()
        for scheme in ("light", "dark"):
            b.scheme(scheme)
            for width in (1600, 900, 360):
                b.size(width)
                for anchor in ("#findings", "#order", "#run", "#kinds"):
                    b.open(page, anchor)
                    b.run("scrollTo(0, 0)")
                    self.assertLessEqual(b.run("return document.documentElement.scrollWidth"), width, (width, anchor))
                    if PICTURES:
                        b.picture(os.path.join(PICTURES, f"{scheme}-{width}-{anchor[1:]}.png"))
            color = {n: b.run("return getComputedStyle(document.documentElement).getPropertyValue('--' + arguments[0])", n).strip()
                     for n in ("back", "panel", "ink", "soft", "link", "error", "warning", "note", "hold", "hold-ink", "wait", "wait-ink", "read",
                               "read-ink", "hit", "chosen")}
            self.assertEqual(luminance(color["back"]) > 0.5, scheme == "light")
            for ink, grounds in (("ink", ("back", "panel", "hit", "chosen")), ("soft", ("back", "panel", "hit", "chosen")), ("link", ("back", "panel")),
                                 ("error", ("back",)), ("warning", ("back",)), ("note", ("back",)), ("hold-ink", ("hold",)),
                                 ("wait-ink", ("wait",)), ("read-ink", ("read",))):
                for ground in grounds:
                    self.assertGreaterEqual(contrast(color[ink], color[ground]), 4.5, (scheme, ink, ground))

    def test_without_script(self):
        b = self.browser
        b.scripts(False)
        b.open(self.mixed())
        b.scripts(True) # of the test's own; the page's has not run
        self.assertFalse(b.run("return document.documentElement.classList.contains('live')"))
        self.assertEqual((self.visible(".finding"), self.visible(".order"), self.visible(".graph"), self.visible(".bar-tools")), (3, 17, 1, 0))
        self.assertLessEqual(b.run("return document.documentElement.scrollWidth"), 1300)
        if PICTURES:
            b.picture(os.path.join(PICTURES, "without-script.png"))

    def test_printing(self):
        b = self.browser
        b.open(self.mixed())
        single = b.pages()
        self.assertLessEqual(single, 3)
        b.run("document.documentElement.classList.add('everything')")
        self.assertGreaterEqual(b.pages(), 3 * single if single == 1 else single + 3)

    def test_many_findings(self):
        b = self.browser
        page = self.page("many", lambda: self.rendered(formats.document(*(formats.cycle(i, f"app:lock{i}", f"app:lock{i + 1}") for i in range(5000)))))
        b.open(page)
        load = b.run("const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime")
        click = b.run("const t = performance.now(); document.querySelectorAll('.index a')[4000].click();"
                      "document.querySelector('.finding.now').getBoundingClientRect(); return performance.now() - t")
        b.type("#findings input[type=search]", "lock4321")
        self.wait(lambda: b.text(".bar-tools output")[0] == "2 of 5000", 30)
        graph = b.run("const t = performance.now(); document.querySelectorAll('nav a')[1].click();"
                      "document.querySelector('.graph').getBoundingClientRect(); return performance.now() - t")
        print(f"5,000 findings: loaded in {load:.0f} ms, one opened in {click:.0f} ms, the graph in {graph:.0f} ms", file=sys.stderr)
        self.assertLess(load, 30000)
        self.assertLess(click, 3000)

    def test_hostile_names(self):
        """No dialogue, no complaint of the policy, the same scripts."""
        b = self.browser
        b.open(self.page("hostile", lambda: self.rendered(formats.Hostile().names())))
        self.assertEqual(b.run("return document.scripts.length"), 1)
        self.assertEqual(self.visible(".finding"), 1)
        for tab in range(4):
            b.click("nav a", tab)
        b.click("nav a", 0)
        for i in (1, 20, 40):
            b.click(".index a", i)
        self.assertLessEqual(b.run("return document.documentElement.scrollWidth"), 1300)


def main():
    global PICTURES
    parser = argparse.ArgumentParser()
    for name in ("snarl", "samples", "source"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--pictures")
    options, rest = parser.parse_known_args()
    if not browser.find():
        print("there is no chromium with chromedriver")
        sys.exit(77)
    formats.SNARL, formats.SAMPLES, formats.SOURCE, PICTURES = options.snarl, options.samples, options.source, options.pictures
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
