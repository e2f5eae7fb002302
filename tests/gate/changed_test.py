#!/usr/bin/env python3
"""Changed lines and owners: changed_test.py --snarl SNARL --orders PROGRAM [unittest's options]"""
import os
import subprocess

import common
from common import Case, load, snarl

FIRST = """#include <pthread.h>
#include <stdio.h>
extern pthread_mutex_t left, right;
pthread_mutex_t left = PTHREAD_MUTEX_INITIALIZER, right = PTHREAD_MUTEX_INITIALIZER;
static int n;
void *forth(void *p)
{
    pthread_mutex_lock(&left);
    pthread_mutex_lock(&right);
    n++;
    pthread_mutex_unlock(&right);
    pthread_mutex_unlock(&left);
    return p;
}
void *back(void *p)
{
    pthread_mutex_lock(&right);
    pthread_mutex_lock(&left);
    n++;
    pthread_mutex_unlock(&left);
    pthread_mutex_unlock(&right);
    return p;
}
"""
MAIN = """#include <pthread.h>
#include <stdio.h>
void *forth(void *), *back(void *);
int main(void)
{
    pthread_t t[2];
    pthread_create(&t[0], 0, forth, 0);
    pthread_create(&t[1], 0, back, 0);
    pthread_join(t[0], 0);
    pthread_join(t[1], 0);
    puts("done");
    return 0;
}
"""


class Tree(Case):
    def git(self, *args):
        env = common.clean_env(GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null", HOME=self.folder)
        return subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false", *args],
                              cwd=self.path("tree"), env=env, check=True, capture_output=True, text=True).stdout.strip()

    def setUp(self):
        super().setUp()
        self.write("tree/src/locks.c", FIRST)
        self.write("tree/src/main.c", MAIN)
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "first")

    def result(self, folder="tree"):
        program, out = self.path("program"), self.path("result.json")
        subprocess.run(["gcc", "-g", "-O0", "-pthread", *(os.path.join(self.path(folder), "src", f) for f in ("locks.c", "main.c")),
                        "-o", program], check=True)
        p = snarl("run", "--quiet", "--json=" + out, "--", program)
        self.assertEqual(p.returncode, 66, p.stderr)
        return out

    def check(self, *options, status, folder="tree"):
        p = snarl("check", *options, self.result(folder), cwd=self.path("tree"))
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return p

    def change(self, name, old, new):
        text = self.read("tree/src/" + name)
        self.assertIn(old, text)
        self.write("tree/src/" + name, text.replace(old, new, 1))


class Changed(Tree):
    def test_nothing_changed(self):
        p = self.check("--changed=HEAD", status=0)
        self.assertIn("also seen, but not counted", p.stdout)

    def test_line_of_the_finding(self):
        self.change("locks.c", "    pthread_mutex_lock(&left);\n    n++;", "    pthread_mutex_lock(&left); /* now */\n    n++;")
        self.check("--changed=HEAD", status=66)
        self.git("commit", "-q", "-a", "-m", "second")
        self.check("--changed=HEAD~1", status=66)
        self.check("--changed=HEAD", status=0)

    def test_line_beside_it(self):
        self.change("locks.c", "static int n;", "static int n; /* of what */")
        self.change("main.c", '    puts("done");', '    puts("all done");')
        self.check("--changed=HEAD", status=0)

    def test_lines_moved(self):
        """Lines inserted above are changed, what they push down is not."""
        self.change("locks.c", "static int n;", "static int n;\n" + "/* filler */\n" * 50)
        self.check("--changed=HEAD", status=0)

    def test_line_taken_away(self):
        """What went away stood between two lines; these tell."""
        self.change("locks.c", "    n++;\n    pthread_mutex_unlock(&left);", "    pthread_mutex_unlock(&left);")
        self.check("--changed=HEAD", status=66)

    def test_new_file(self):
        self.git("mv", "src/locks.c", "src/old.c")
        self.git("commit", "-q", "-m", "moved")
        self.git("mv", "src/old.c", "src/locks.c")
        self.check("--changed=HEAD", status=0)  # a rename changes no line
        self.git("reset", "-q", "--hard")
        self.git("rm", "-q", "src/old.c")
        self.git("commit", "-q", "-m", "away")
        self.write("tree/src/locks.c", FIRST)
        self.check("--changed=HEAD", status=66)  # git does not know it yet

    def test_branch(self):
        """What others did on the main branch since is not this change."""
        self.git("checkout", "-q", "-b", "topic")
        self.write("tree/README", "hello")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "topic")
        self.git("checkout", "-q", "main")
        self.change("locks.c", "    pthread_mutex_lock(&left);", "    pthread_mutex_lock(&left); /* others */")
        self.git("commit", "-q", "-a", "-m", "others")
        self.git("checkout", "-q", "topic")
        self.check("--changed=main", status=0)

    def test_built_elsewhere(self):
        for name in ("locks.c", "main.c"):
            self.write("elsewhere/src/" + name, self.read("tree/src/" + name))
        self.check("--changed=HEAD", status=0, folder="elsewhere")
        self.change("locks.c", "    pthread_mutex_lock(&left);\n    n++;", "    pthread_mutex_lock(&left); /* now */\n    n++;")
        self.check("--changed=HEAD", status=66, folder="elsewhere")

    def test_wrong(self):
        for revision in ("nothing-like-it", "--output=/tmp/x", "HEAD..", ""):
            p = snarl("check", "--changed=" + revision, common.orders("ab"), cwd=self.path("tree"))
            self.assertEqual(p.returncode, 2, revision)
            self.assertIn("--changed: ", p.stderr)
        p = snarl("check", "--changed=HEAD", common.orders("ab"), cwd="/")
        self.assertIn("no git repository", p.stderr)


class Owners(Tree):
    def owners(self, text, where="CODEOWNERS"):
        self.write("tree/" + where, text)
        out = self.path("checked.json")
        p = snarl("check", "--json=" + out, self.result(), cwd=self.path("tree"))
        self.assertEqual(p.returncode, 66, p.stderr)
        return load(out)["findings"][0].get("owners"), p

    def test_owners(self):
        for text, want in (("* @all\n", ["@all"]), ("* @all\n/src/ @src @two # hm\n", ["@src", "@two"]), ("*.c @c\n", ["@c"]), ("*.h @h\n", []),
                           ("src/locks.c a@example.org\n", ["a@example.org"]), ("locks.c @l\n", ["@l"]), ("/locks.c @l\n", []),
                           ("src @s\n", ["@s"]), ("src/* @s\n", ["@s"]), ("/src/**/locks.c @deep\n", ["@deep"]), ("lib/ @l\n", []),
                           ("* @all\n/src/locks.c\n", []), ("# * @no\n[Section]\n* @yes\n", ["@yes"]), ("src/lock?.c @q\n", ["@q"])):
            self.assertEqual(self.owners(text)[0], want, text)

    def test_shown(self):
        _, p = self.owners("/src/ @team\n", ".github/CODEOWNERS")
        self.assertIn("owner @team", p.stdout)

    def test_none(self):
        p = self.check(status=66)
        self.assertNotIn("owner", p.stdout)


if __name__ == "__main__":
    common.main()
