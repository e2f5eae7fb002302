#!/usr/bin/env python3
"""Holds every #include to the table in docs/architecture.md: check_includes.py SOURCE_DIR

A violation is printed as file:line, and makes the exit status 1. There are no silent exceptions: what a folder may include stands
in the table, which libraries it may use stands in LIBRARIES below and in the text under the table.
"""
import pathlib
import re
import sys

# Header of a library -> folders that may include it.
LIBRARIES = {
    r"elfutils/.*|dwarf\.h": ["detector/symbol", "detector/inspect"],
    r"libelf\.h|gelf\.h": ["detector/symbol", "detector/inspect", "detector/cli"],
    r"jansson\.h": ["detector/report", "detector/gate", "detector/merge", "detector/cli", "detector/scan", "detector/inspect"],
    r"llvm-c/.*": ["detector/scan"],
    r"libunwind.*": ["preload/unwind"],
    r"Zydis/.*": ["preload/opcodes"],
    r"uthash\.h|utlist\.h|utarray\.h|utstring\.h": ["detector/base"],
}
INSIDE = ("detector/base", "detector/model", "detector/analyze", "preload")
# FILE locks are stdio's: their interceptors need its prototypes, as does the table of real functions.
# LLVM's versions differ in these files and nowhere else.
LLVM_FILES = re.compile(r"detector/scan/llvm_\w+\.[ch]")
STDIO_PROTOTYPES = {"preload/intercept/stdio.c", "preload/real_prototypes.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def read_table(source):
    """{folder: names it may include} from the table of folders."""
    table = {}
    for line in (source / "docs/architecture.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        folder = re.fullmatch(r"`([a-z/]+)`", cells[0])
        if len(cells) == 3 and folder:
            table[folder.group(1)] = [name.strip() for name in cells[2].split(",") if name.strip() != "–"]
    return table


def folder_of(path, table):
    """The longest folder of the table that holds path."""
    fitting = [folder for folder in table if path.startswith(folder + "/")]
    return max(fitting, key=len) if fitting else None


def resolve(source, including, name):
    """The included file relative to the source folder, or None when it is not ours."""
    for root in (including.parent, source / "detector", source / "preload", source / "include"):
        candidate = (root / name).resolve()
        if candidate.is_file() and candidate.is_relative_to(source):
            return candidate.relative_to(source).as_posix()
    return None


def allowed(folder, target, target_folder, may_include):
    if target_folder == folder:
        return True
    for name in may_include:
        if name.endswith(".h"):
            if target in (name, "detector/" + name):
                return True
        elif target_folder in (name, "detector/" + name):
            return True
    return False


def check_line(source, path, relative, quote, name, table):
    """What is wrong with this include, or None."""
    folder = folder_of(relative, table)
    target = resolve(source, path, name) if quote == '"' else None
    if target:
        target_folder = folder_of(target, table)
        if not allowed(folder, target, target_folder, table[folder]):
            return f"{folder} may not include {target}"
        return None
    if quote == '"':
        return f"no file {name}"
    for pattern, folders in LIBRARIES.items():
        if re.fullmatch(pattern, name) and folder not in folders:
            return f"<{name}> belongs to {', '.join(folders)} only"
    if name.startswith("llvm-c/") and not LLVM_FILES.fullmatch(relative):
        return "only the files llvm_* know LLVM"
    if name == "stdio.h" and folder.startswith(INSIDE) and folder != "preload/opcodes" and relative not in STDIO_PROTOTYPES:
        return "no stdio inside the watched program"
    if name.startswith("snarl/") and folder not in ("samples", "preload", "preload/intercept"):
        return "the public header is for programs"
    return None


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    table = read_table(source)
    if len(table) < 10:
        sys.exit("docs/architecture.md: its table of folders is not to be found")
    problems, files = [], 0
    for top in ("include", "detector", "preload", "samples"):
        for path in sorted((source / top).rglob("*")):
            relative = path.relative_to(source).as_posix()
            if path.suffix not in (".c", ".h"):
                continue
            files += 1
            if not folder_of(relative, table):
                problems.append(f"{relative}: its folder is not in the table")
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                problem = match and check_line(source, path, relative, match.group(1), match.group(2), table)
                if problem:
                    problems.append(f"{relative}:{number}: {problem}")
    print("\n".join(problems) if problems else f"{files} files keep to the table")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
