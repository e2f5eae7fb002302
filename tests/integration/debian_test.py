#!/usr/bin/env python3
"""The Debian package in a fresh root: debian_test.py --build FOLDER [--root FOLDER]

Makes the package, installs it by apt into a Debian that debootstrap has just made, runs samples there, builds and watches a program,
and removes it: no file stays. --root: a fresh root to begin with, which is copied. Ends with 77, for CTest: skipped, without
debootstrap, without root's rights, or when no Debian can be had.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
MIRROR = "http://deb.debian.org/debian"
# Changes whenever packages come and go.
LIVING = ("proc", "sys", "dev", "run", "tmp", "var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "etc/ld.so.cache", "root")


def skip(why):
    print("skipped:", why)
    sys.exit(SKIPPED)


def run(*command, **kw):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900,
                          check=False, **kw)


def must(*command, status=0, **kw):
    p = run(*command, **kw)
    if p.returncode != status:
        sys.exit(f"{' '.join(command)}: status {p.returncode} instead of {status}\n{p.stdout}")
    return p.stdout


def inside(root, *command, status=0):
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return must("chroot", root, *command, status=status, env=env)


def expect(text, *words):
    for word in words:
        if word not in text:
            sys.exit(f"'{word}' is missing in:\n{text}")


def files(root):
    found = set()
    for folder, folders, names in os.walk(root):
        here = os.path.relpath(folder, root)
        folders[:] = [f for f in folders if os.path.normpath(os.path.join(here, f)) not in LIVING]
        found.update(os.path.normpath(os.path.join(here, n)) for n in names + folders)
    return {f for f in found if f not in LIVING and not f.endswith(".pyc")}


def make_root(root, given):
    if given:
        must("cp", "-a", given, root)
        return
    p = run("debootstrap", "--variant=minbase", "bookworm", root, MIRROR)
    if p.returncode:
        skip("debootstrap could not make a Debian: " + p.stdout[-300:])


def prepare(root):
    """What the package needs and the tests build with, so that only the package itself makes a difference."""
    shutil.copy("/etc/resolv.conf", os.path.join(root, "etc/resolv.conf"))
    with open(os.path.join(root, "usr/sbin/policy-rc.d"), "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nexit 101\n")
    os.chmod(os.path.join(root, "usr/sbin/policy-rc.d"), 0o755)
    inside(root, "apt-get", "-q", "update")


PROGRAM = r"""
#include <pthread.h>
#include <snarl/snarl.h>
static int hits;
static void *count(void *arg) { hits++; return arg; }
int main(void)
{
    pthread_t a, b;
    pthread_create(&a, 0, count, 0);
    pthread_create(&b, 0, count, 0);
    pthread_join(a, 0);
    pthread_join(b, 0);
    return 0;
}
"""


def use(root):
    """As a user of the package would."""
    inside(root, "snarl", "--version")
    text = inside(root, "snarl", "samples", "deadlock/two-threads", status=66)
    expect(text, "deadlock: 2 threads wait for each other: lock_a and lock_b", "bug.c:")
    expect(inside(root, "snarl", "samples", "two-threads/fixed"), "no findings")
    with open(os.path.join(root, "tmp/p.c"), "w", encoding="ascii") as f:
        f.write(PROGRAM)
    inside(root, "snarl", "cc", "-g", "-O1", "-pthread", "/tmp/p.c", "-o", "/tmp/p")
    expect(inside(root, "snarl", "run", "--json=/tmp/r.json", "/tmp/p", status=66), "data race: hits")
    expect(inside(root, "snarl", "report", "/tmp/r.json", status=66), "data race: hits")
    expect(inside(root, "snarl", "explain", "deadlock"), "deadlock")
    expect(inside(root, "sh", "-c", "LD_PRELOAD=/usr/lib/snarl/libsnarl.so /tmp/p"), "data race: hits")
    inside(root, "bash", "-n", "/usr/share/bash-completion/completions/snarl")
    for name in ("p.c", "p", "r.json"):
        os.unlink(os.path.join(root, "tmp", name))


def check(root, path):
    package = os.path.basename(path)
    prepare(root)
    shutil.copy(path, os.path.join(root, "tmp", package))
    # What it depends on first: that stays when it goes.
    needs = must("dpkg-deb", "-f", path, "Depends").split(",")
    inside(root, "apt-get", "-q", "install", "-y", "--no-install-recommends", "gcc", "libc6-dev",
           *[n.split("(")[0].split("|")[0].strip() for n in needs])
    before = files(root)
    began = time.monotonic()
    inside(root, "apt-get", "-q", "install", "-y", "--no-install-recommends", "/tmp/" + package)
    expect(inside(root, "dpkg", "-s", "snarl"), "Status: install ok installed")
    if run("chroot", root, "dpkg", "--verify", "snarl").stdout:
        sys.exit("dpkg --verify finds changes")
    use(root)
    inside(root, "apt-get", "-q", "purge", "-y", "snarl")
    after = files(root)
    print(f"installed, used and removed in {time.monotonic() - began:.1f} s; {len(before)} files")
    if after != before:
        sys.exit(f"stayed: {sorted(after - before)[:20]}\ngone: {sorted(before - after)[:20]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--root")
    options = parser.parse_args()
    if os.geteuid() != 0:
        skip("a fresh root needs root's rights")
    for tool in ("debootstrap", "cpack", "dpkg-deb"):
        if not shutil.which(tool):
            skip("there is no " + tool)
    with tempfile.TemporaryDirectory(prefix="snarl-debian-") as folder:
        root, made = os.path.join(folder, "root"), os.path.join(folder, "made")
        must("cpack", "--config", os.path.join(options.build, "CPackConfig.cmake"), "-G", "DEB", "-B", made, cwd=folder)
        package, = (n for n in os.listdir(made) if n.endswith(".deb"))
        make_root(root, options.root)
        if run("mount", "-t", "proc", "proc", os.path.join(root, "proc")).returncode:
            skip("/proc cannot be mounted in the fresh root")
        try:
            check(root, os.path.join(made, package))
        finally:
            must("umount", os.path.join(root, "proc"))


if __name__ == "__main__":
    main()
