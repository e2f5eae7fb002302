#!/usr/bin/env python3
"""What pages show of the samples is what snarl prints: pages_test.py BUILD PAGE...

Commands in blocks of a page that run a sample (`$ snarl samples NAME`, `$ snarl run build/samples/...`) are run. The lines
behind a command, up to the next one and but for `...`, must be beginnings of lines of what it prints, in this order; times and
numbers of threads may differ. Nothing else depends on the schedule.
"""
import re
import subprocess
import sys


def examples(page):
    with open(page, encoding="utf-8") as f:
        text = f.read()
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        for command, shown in re.findall(r"^\$ (snarl (?:samples|run build/samples/).*)\n((?:(?!\$ ).*\n)*)", block, re.M):
            yield command.split("#")[0].split(), shown.splitlines()


def any_run(line):
    return re.sub(r"\bT\d+\b", "Tn", re.sub(r" in \d[\d.]* s\b", " in n s", line))


def missing(wanted, output):
    """The first wanted line that does not come in its place."""
    rest = map(any_run, output)
    return next((line for line in wanted if line != "..." and not any(o.startswith(any_run(line)) for o in rest)), None)


def main():
    build, *pages = sys.argv[1:]
    bad = count = 0
    for page in pages:
        for command, shown in examples(page):
            words = [f"{build}/bin/snarl"] + [re.sub("^build/", build + "/", w) for w in command[1:]]
            p = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
            line = missing(shown, (p.stdout + p.stderr).split("\n"))
            count += 1
            if line is not None:
                bad += 1
                print(f"{page}: {' '.join(command)}: not there, or not in its place: {line}\n{p.stdout}{p.stderr}")
    print(f"{count} examples, {bad} not as shown")
    sys.exit(1 if bad or count < 12 else 0)


if __name__ == "__main__":
    main()
