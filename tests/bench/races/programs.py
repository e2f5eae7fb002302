"""Real programs for the benchmark, built from their sources: zstd and pigz.

The sources are the user's (--source) or Debian's source packages (--fetch), which come without a change to the system's
package lists.
"""
import collections
import concurrent.futures
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys

import common

INPUT_BYTES = 16 << 20

# tell: a file that only this source has. package: Debian's name of the source. arguments: in front of the input's name.
Known = collections.namedtuple("Known", "tell package files flags libraries arguments")
KNOWN = {
    "zstd": Known(
        "lib/zstd.h", "libzstd",
        ["lib/common/*.c", "lib/compress/*.c", "lib/decompress/*.c", "programs/fileio*.c", "programs/[tu]*.c",
         "programs/zstdcli*.c"],
        ["-DZSTD_NOBENCH", "-DZSTD_NODICT", "-DZSTD_MULTITHREAD", "-DZSTD_DISABLE_ASM", "-DZSTD_LEGACY_SUPPORT=0",
         "-DXXH_NAMESPACE=ZSTD_", "-Ilib", "-Ilib/common"],
        [], ["-q", "-c", "-3", "-T2", "--block-size=1MB"]),
    "pigz": Known(
        "pigz.c", "pigz", ["pigz.c", "yarn.c", "try.c", "zopfli/src/zopfli/[!z]*.c"], [], ["-lz", "-lm"],
        ["-k", "-c", "-n", "-p", "2"]),
}


class Trouble(Exception):
    pass


def fetch(name, folder):
    """Debian's source package as an archive in the folder, by apt with lists of its own."""
    if name not in KNOWN:
        raise Trouble(f"nothing is known of {name}; of {', '.join(KNOWN)} there is")
    if not shutil.which("apt-get"):
        raise Trouble("no apt-get here")
    with open("/etc/os-release", encoding="utf-8") as f:
        codename = re.search(r"^VERSION_CODENAME=(\w+)", f.read(), re.M)
    os.makedirs(os.path.join(folder, "lists/partial"))
    os.makedirs(os.path.join(folder, "cache/archives/partial"))
    with open(os.path.join(folder, "sources.list"), "w", encoding="utf-8") as f:
        f.write(f"deb-src http://deb.debian.org/debian {codename[1] if codename else 'stable'} main\n")
    apt = ["apt-get", "-qq", f"-oDir::Etc::SourceList={folder}/sources.list", "-oDir::Etc::SourceParts=/dev/null",
           f"-oDir::State::Lists={folder}/lists", f"-oDir::Cache={folder}/cache", "-oAPT::Sandbox::User="]
    for command in (["update"], ["source", "--download-only", KNOWN[name].package]):
        try:
            p = subprocess.run(apt + command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            raise Trouble("apt-get takes longer than 5 minutes") from None
        if p.returncode:
            raise Trouble("apt-get: " + p.stderr.strip().replace("\n", "; "))
    return glob.glob(os.path.join(folder, "*.orig.tar.*[!c]"))[0]


class Program:
    """One known program; `path` is its source, a folder or an archive, which is unpacked in `folder`."""

    def __init__(self, path, folder):
        if os.path.isfile(path):
            try:
                shutil.unpack_archive(path, os.path.join(folder, "source"))
            except (shutil.ReadError, ValueError) as e:
                raise Trouble(f"{path}: {e}") from None
            path = os.path.join(folder, "source")
        self.name, self.source = self.find(path)
        self.known = KNOWN[self.name]
        self.folder, self.digest = folder, None
        self.input = os.path.join(folder, "input")
        self.write_input()

    @staticmethod
    def find(path):
        for top in [path] + sorted(glob.glob(os.path.join(path, "*"))):
            for name, known in KNOWN.items():
                if os.path.exists(os.path.join(top, known.tell)):
                    return name, os.path.abspath(top)
        raise Trouble(f"{path}: neither the source of {' nor of '.join(KNOWN)}")

    def files(self):
        return sorted(f for p in self.known.files for f in glob.glob(os.path.join(self.source, p)))

    def write_input(self):
        """The program's own source, again and again."""
        text = b""
        for name in self.files():
            with open(name, "rb") as f:
                text += f.read()
        with open(self.input, "wb") as f:
            f.write((text * (INPUT_BYTES // len(text) + 1))[:INPUT_BYTES])

    def build(self, tool, jobs):
        """The program's path. The compilers get file by file, as make would do it."""
        print(f"building {self.name} for {tool.name}", file=sys.stderr)
        objects = os.path.join(self.folder, "-".join([self.name] + tool.name.split()))
        os.makedirs(objects)

        def run(*arguments):
            command = [*(tool.compiler or ["gcc"]), "-g", "-O2", "-pthread", "-w", *arguments]
            p = subprocess.run(command, cwd=self.source, capture_output=True, text=True, check=False)
            if p.returncode:
                raise Trouble(f"{self.name} for {tool.name}: " + p.stderr.strip().split("\n")[-1])

        def compile_one(source):
            to = os.path.join(objects, os.path.relpath(source, self.source).replace("/", "-") + ".o")
            run(*self.known.flags, "-c", source, "-o", to)
            return to

        program = os.path.join(objects, self.name)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            run(*pool.map(compile_one, self.files()), "-o", program, *self.known.libraries)
        return program

    def measure(self, tool, program, peak, limit):
        output = os.path.join(self.folder, "output")
        result = tool.run([program, *self.known.arguments, self.input], limit, [peak, str(INPUT_BYTES), output])
        if result.ns is None:
            return result
        with open(output, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        self.digest = self.digest or digest
        return result if digest == self.digest else common.Result(why="its output differs from the first tool's")
