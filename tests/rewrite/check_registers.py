#!/usr/bin/env python3
"""The slow path's first try runs while vector registers hold the program's values: check_registers.py LIBSNARL

No function that it can reach may touch one, or call another library. AFTER are functions that access_quick.c calls only
where it is not asked to be plain.
"""
import re
import subprocess
import sys

ROOT, AFTER = "rewrite_slow", {"accesses_flush_slow", "epoch_relation_slow", "signals_came"}


def functions(library):
    """address: name and instructions (names may come twice)"""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], capture_output=True, text=True, check=True).stdout
    found, body = {}, []
    for line in text.splitlines():
        if m := re.match(r"0*([0-9a-f]+) <(.+)>:$", line):
            body = []
            found[m[1]] = m[2], body
        elif ":\t" in line:
            body.append(line.split("\t", 1)[1])
    return found


def main():
    code = functions(sys.argv[1])
    todo, seen, problems = [at for at, (name, _) in code.items() if name == ROOT], set(), []
    while todo:
        at = todo.pop()
        name, body = code.get(at, (at, None))
        if at in seen or name in AFTER:
            continue
        seen.add(at)
        if body is None:
            problems.append(f"{name} is not there")
        for i in body or []:
            if re.search(r"%[xyz]mm|%st\b", i):
                problems.append(f"{name}: {i}")
            if m := re.match(r"(?:addr32 )?(?:call|j\w+)\s+([0-9a-f]+) <[^>+]+>", i):
                todo.append(m[1])
            elif re.match(r"(?:notrack )?call\s+\*", i) or "@plt" in i:
                problems.append(f"{name}: {i}")
    print("\n".join(problems) or f"{len(seen)} functions")
    sys.exit(1 if problems or len(seen) < 2 else 0)


if __name__ == "__main__":
    main()
