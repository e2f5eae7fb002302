#!/usr/bin/env python3
"""Holds libsnarl.so to what may live in a foreign program: check_preload.py SOURCE_DIR LIBSNARL

 - it takes only the listed symbols from elsewhere (preload_symbols.txt): no malloc, no stdio, no pthread function that we intercept;
 - it never calls through the dynamic linker a function that it exports itself, for that would come back through an interceptor;
 - it exports the functions that it intercepts, and nothing else;
 - it needs libc, libgcc_s and libunwind only, is initialised first, is never unloaded, and has little static TLS.
"""
import fnmatch
import pathlib
import re
import subprocess
import sys

NEEDED = {"libc.so.6", "ld-linux-x86-64.so.2", "libunwind.so.8", "libgcc_s.so.1"}
MOST_TLS = 256
# Allocation functions fall back on each other where the real one is not to be had (operator new without a C++ library).
OWN_CALLS = {"malloc", "realloc", "free", "memalign"}


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read_list(path):
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def symbols(library, which):
    """Names of dynamic symbols without versions; which: --undefined-only or --defined-only."""
    lines = output_of("nm", "-D", "-P", which, library).splitlines()
    return {line.split()[0].split("@")[0] for line in lines if line}


def intercepted(source):
    """Functions of the table in real.h, and the further names that EXPORT_ALIAS gives them."""
    table = (source / "preload/real.h").read_text()
    names = set(re.findall(r"\b[A-Z]\((\w+)\)", table[table.index("#define REAL_FUNCTIONS"):])) - {"name"}
    for path in (source / "preload").rglob("*.c"):
        names |= set(re.findall(r"EXPORT_ALIAS\((\w+),", path.read_text()))
    return names


def check(source, library):
    problems = []
    house = source / "tests/house"
    may_use, may_export = read_list(house / "preload_symbols.txt"), read_list(house / "preload_exports.txt")

    for name in sorted(symbols(library, "--undefined-only")):
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in may_use):
            problems.append(f"uses {name}, which is not in tests/house/preload_symbols.txt")

    exported = symbols(library, "--defined-only")
    for name in sorted(exported - intercepted(source)):
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in may_export):
            problems.append(f"exports {name}, which is neither in real.h nor in tests/house/preload_exports.txt")

    for match in re.finditer(r"R_X86_64_(?:GLOB_DAT|JUMP_SLOT)\s+\S+\s+([\w.]+)", output_of("readelf", "-rW", library)):
        if match.group(1) in exported - OWN_CALLS:
            problems.append(f"calls {match.group(1)}, which it intercepts: say REAL({match.group(1)})")

    dynamic = output_of("readelf", "-dW", library)
    for needed in sorted(set(re.findall(r"NEEDED.*\[(.*)\]", dynamic)) - NEEDED):
        problems.append(f"needs {needed}")
    for flag in ("NOW", "NODELETE", "INITFIRST"):
        if not re.search(rf"FLAGS_1.*\b{flag}\b", dynamic):
            problems.append(f"is not linked -z {flag.lower()}")

    tls = re.search(r"^\s*TLS\s+(?:\S+\s+){4}(0x[0-9a-f]+)", output_of("readelf", "-lW", library), re.MULTILINE)
    if tls and int(tls.group(1), 16) >= MOST_TLS:
        problems.append(f"has {int(tls.group(1), 16)} bytes of static TLS, the most is {MOST_TLS - 1}")
    return problems


def main():
    problems = check(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2])
    for problem in problems:
        print(f"libsnarl.so {problem}")
    if not problems:
        print("libsnarl.so keeps to its lists")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
