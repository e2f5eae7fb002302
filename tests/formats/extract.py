"""What each format says of its findings, in one form: sorted lists of (id, kind, count, title). Readers here are strict: what a
consumer would stumble over raises."""
import html.parser
import json
import re
import xml.etree.ElementTree as ElementTree
from urllib.parse import unquote

VOID = {"meta", "link", "br", "hr", "input", "img"}


def of_json(text):
    return sorted((f["id"], f["kind"], f["count"], f["title"]) for f in json.loads(text)["findings"])


def of_sarif(text):
    run, = json.loads(text)["runs"]
    return sorted((r["partialFingerprints"]["snarlId/v1"], r["properties"]["kind"], r["occurrenceCount"],
                   r["message"]["text"].split("\n")[0]) for r in run["results"])


def of_junit(text):
    suite, = ElementTree.fromstring(text)
    found = []
    for case in suite.findall("testcase"):
        if case.get("classname") == "snarl":
            continue
        p = {p.get("name"): p.get("value") for p in case.find("properties")}
        name = re.fullmatch(r"(.*) \[([0-9a-f]{16})\]", case.get("name"))
        assert name and name.group(2) == p["id"]
        found.append((p["id"], p["kind"], int(p["count"]), name.group(1)))
    return sorted(found)


def github_command(line):
    """(command, properties, message) as GitHub's runner reads a line; None for a plain one."""
    match = re.fullmatch(r"\s*::(\w+)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)", line)
    if not match:
        return None
    properties = dict(p.split("=", 1) for p in (match.group(2) or "").split(",") if p)
    return match.group(1), {k: unquote(v) for k, v in properties.items()}, unquote(match.group(3))


def of_github(text):
    found = []
    for line in text.splitlines():
        command = github_command(line)
        if command:
            name, properties, message = command
            assert name in ("error", "warning", "notice"), line
            kind = re.fullmatch(r"snarl: ([\w-]+).*", properties["title"]).group(1)
            last = re.fullmatch(r"id ([0-9a-f]{16}), seen (\d+) times?", message.split("\n")[-1])
            found.append((last.group(1), kind, int(last.group(2)), message.split("\n")[0]))
        elif line:
            plain = re.fullmatch(r"snarl: \w+: (.*) \(([\w-]+), \w+; id ([0-9a-f]{16}), count (\d+)\)", line)
            found.append((plain.group(3), plain.group(2), int(plain.group(4)), plain.group(1)))
    return sorted(found)


def of_gitlab(text, document):
    """It has neither kind nor count: these are taken from the result, by the id."""
    of = {f["id"]: f for f in document["findings"]}
    return sorted((i["fingerprint"], of[i["fingerprint"]]["kind"], of[i["fingerprint"]]["count"], i["description"])
                  for i in json.loads(text))


class Page(html.parser.HTMLParser):
    """Findings and text of a page; insists on elements being closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.findings, self.title, self.elements, self.attributes, self.scripts = [], [], None, {}, set(), []
        self.ids, self.links, self.words, self.inside = set(), set(), [], False
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements[tag] = self.elements.get(tag, 0) + 1
        self.attributes |= attrs.keys()
        if "id" in attrs:
            self.ids.add(attrs["id"])
        if attrs.get("href", "").startswith("#"):
            self.links.add(attrs["href"][1:])
        if tag == "article":
            self.inside = "data-kind" in attrs
            if self.inside:
                self.findings.append([attrs["data-id"], attrs["data-kind"], int(attrs["data-count"]), ""])
        if tag not in VOID:
            self.open.append(tag)
        self.title = self.findings[-1] if tag == "h3" and self.inside else None

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]} at {self.getpos()}"
        self.open.pop()
        self.title = None
        self.inside = self.inside and tag != "article"

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.scripts.append(data)
            return
        self.words.append(data)
        if self.title is not None:
            self.title[3] += data


def of_html(text):
    return sorted(tuple(f) for f in Page(text).findings)


def of_text(text):
    """Of findings in full; (id, kind, count, title) each, the count 1 when none is told."""
    found = []
    parts = re.split(r"^snarl: (?=.*\n  [\w-]+(?: [\w-]+)?, \w+)", text, flags=re.M)[1:]
    for part in parts:
        lines = part.split("\n")
        kind = re.match(r"  ([\w-]+)", lines[1]).group(1)
        count = re.search(r"seen (\d+) times", lines[1])
        identity = re.search(r"^  id  ([0-9a-f]{16})", part, flags=re.M)
        found.append((identity.group(1), kind, int(count.group(1)) if count else 1, lines[0]))
    return sorted(found)
