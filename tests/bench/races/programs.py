"""Real programs for the benchmark, built from their sources: zstd and pigz. The sources are the user's (--source) or fetched as
Debian's source packages (--fetch), without any change to the system's package lists."""
import concurrent.futures
import glob
import hashlib
import os
import re
import shutil
import subprocess

INPUT_BYTES = 16 << 20

# a file that tells the program, Debian's source package, sources, flags, libraries, arguments in front of the input's name
KNOWN = {
    "zstd": ("lib/zstd.h", "libzstd", ["lib/common/*.c", "lib/compress/*.c", "lib/decompress/*.c", "lib/dictBuilder/*.c", "programs/*.c"],
             ["-DZSTD_MULTITHREAD", "-DZSTD_DISABLE_ASM", "-DZSTD_LEGACY_SUPPORT=0", "-DXXH_NAMESPACE=ZSTD_", "-Ilib", "-Ilib/common"],
             [], ["-q", "-c", "-3", "-T2", "-B1MB"]),
    "pigz": ("pigz.c", "pigz", ["pigz.c", "yarn.c", "try.c", "zopfli/src/zopfli/[!z]*.c"], [], ["-lz", "-lm"], ["-k", "-c", "-n", "-p", "2"]),
}


class Trouble(Exception):
    pass


def fetch(name, folder):
    """Debian's source package as an archive in the folder, by apt with lists of its own."""
    if name not in KNOWN:
        raise Trouble(f"nothing is known of {name}; of {', '.join(KNOWN)} there is")
    if not shutil.which("apt-get"):
        raise Trouble("no apt-get here")
    codename = re.search(r"^VERSION_CODENAME=(\w+)", open("/etc/os-release", encoding="utf-8").read(), re.M)
    os.makedirs(os.path.join(folder, "lists/partial"))
    os.makedirs(os.path.join(folder, "cache/archives/partial"))
    with open(os.path.join(folder, "sources.list"), "w", encoding="utf-8") as f:
        f.write(f"deb-src http://deb.debian.org/debian {codename[1] if codename else 'stable'} main\n")
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::SourceList={folder}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
           "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache", "-o", "APT::Sandbox::User="]
    for command in (["update"], ["source", "--download-only", KNOWN[name][1]]):
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
        _, _, self.patterns, self.flags, self.libraries, self.arguments = KNOWN[self.name]
        self.folder, self.digest = folder, None
        self.input = os.path.join(folder, "input")
        self.write_input()

    @staticmethod
    def find(path):
        for top in [path] + sorted(glob.glob(os.path.join(path, "*"))):
            for name, known in KNOWN.items():
                if os.path.exists(os.path.join(top, known[0])):
                    return name, os.path.abspath(top)
        raise Trouble(f"{path}: neither the source of {' nor of '.join(KNOWN)}")

    def files(self):
        return sorted(f for p in self.patterns for f in glob.glob(os.path.join(self.source, p)))

    def write_input(self):
        """The program's own source, again and again."""
        text = b"".join(open(f, "rb").read() for f in self.files())
        with open(self.input, "wb") as f:
            f.write((text * (INPUT_BYTES // len(text) + 1))[:INPUT_BYTES])

    def build(self, tool, jobs):
        """The program's path. The compilers get file by file, as make would do it."""
        objects = os.path.join(self.folder, "-".join([self.name] + tool.name.split()))
        os.makedirs(objects)

        def run(*arguments):
            p = subprocess.run((tool.compiler or ["gcc"]) + ["-g", "-O2", "-pthread", "-w", *arguments], cwd=self.source, capture_output=True, text=True, check=False)
            if p.returncode:
                raise Trouble(f"{self.name} for {tool.name}: " + p.stderr.strip().split("\n")[-1])

        def compile_one(source):
            to = os.path.join(objects, os.path.relpath(source, self.source).replace("/", "-") + ".o")
            run(*self.flags, "-c", source, "-o", to)
            return to

        program = os.path.join(objects, self.name)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            run(*pool.map(compile_one, self.files()), "-o", program, *self.libraries)
        return program

    def measure(self, tool, program, peak, limit):
        output = os.path.join(self.folder, "output")
        result = tool.run([program, *self.arguments, self.input], limit, [peak, str(INPUT_BYTES), output])
        if result.ns is None:
            return result
        with open(output, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        self.digest = self.digest or digest
        return result if digest == self.digest else type(result)(why="its output differs from the first tool's")
