/* gate/baseline*.c and gate/orders*.c; owners and changed lines. */
#include "gate/baseline.h"

#include <stdlib.h>
#include <unistd.h>

#include "gate/changed.h"
#include "gate/orders.h"
#include "gate/owners.h"
#include "unit.h"

#define HEAD "# snarl lock order baseline 1\n"

static struct baseline b;
static char err[300];

static int parse(const char *text)
{
    baseline_free(&b);
    return baseline_parse(&b, text, strlen(text), "file", err, sizeof err);
}

static void reads(void)
{
    CU_ASSERT_EQUAL(parse(HEAD "order  a < b   # why not\norder a.* < b\norder a < b < c\nrule a < b\nlevel 12 x y\n"
                               "accept 00000000000000aa\norder std::map<int, A<B> >.m < \\x20a\\x20<\\x20b # hm"),
                    0);
    static const enum baseline_kind want[] = {BASELINE_ORDER, BASELINE_RULE,   BASELINE_RULE, BASELINE_RULE,
                                              BASELINE_LEVEL, BASELINE_ACCEPT, BASELINE_ORDER};
    CU_ASSERT_EQUAL_FATAL(b.n, 7);
    for (size_t i = 0; i < b.n; i++)
        CU_ASSERT_EQUAL(b.entry[i].kind, want[i]);
    CU_ASSERT_STRING_EQUAL(b.entry[0].name[0], "a");
    CU_ASSERT_STRING_EQUAL(b.entry[0].name[1], "b");
    CU_ASSERT_STRING_EQUAL(b.entry[0].remark, "why not");
    CU_ASSERT_EQUAL(b.entry[0].line, 2);
    CU_ASSERT_EQUAL(b.entry[2].nnames, 3);
    CU_ASSERT_EQUAL(b.entry[4].level, 12);
    CU_ASSERT_STRING_EQUAL(b.entry[4].name[0], "x y");
    CU_ASSERT_STRING_EQUAL(b.entry[6].name[0], "std::map<int, A<B> >.m");
    CU_ASSERT_STRING_EQUAL(b.entry[6].name[1], " a < b");
}

static void errors(void)
{
    static const struct {
        const char *text, *place;
    } wrong[] = {{"order a\n", "file:1:7: "},
                 {"order a <\n", "file:1:"},
                 {"order < b\n", "file:1:"},
                 {"order a < < b\n", "file:1:"},
                 {"\norde a < b\n", "file:2:1: "},
                 {"accept 00000000000000AA\n", "file:1:8: "},
                 {"accept\n", "file:1:7: "},
                 {"level\n", "file:1:6: "},
                 {"level 1x a\n", "file:1:7: "},
                 {"level 1\n", "file:1:8: "},
                 {"# snarl lock order baseline 22\n", "file:1:29: "}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_NOT_EQUAL(parse(wrong[i].text), 0);
        if (strncmp(err, wrong[i].place, strlen(wrong[i].place)) != 0)
            CU_FAIL(err);
    }
}

static void writes(void)
{
    CU_ASSERT_EQUAL(
        parse(HEAD "# all of it\n\n# on x\norder x < y\naccept 00000000000000bb # b\norder a < z\n\norder a < c # hm\n"
                   "# a rule\nrule q* < p\naccept 00000000000000aa\n# end\n"),
        0);
    baseline_add(&b, BASELINE_ORDER, "m < n", "o #1");
    char *text = baseline_text(&b), *again;
    CU_ASSERT_STRING_EQUAL(
        text, HEAD "# all of it\n\n# a rule\nrule   q* < p\norder  a < c                                  # hm\n"
                   "order  a < z\norder  m\\x20<\\x20n < o\\x20#1\n# on x\norder  x < y\n"
                   "accept 00000000000000aa\n"
                   "accept 00000000000000bb                       # b\n# end\n");
    CU_ASSERT_EQUAL(parse(text), 0);
    CU_ASSERT_STRING_EQUAL(b.entry[3].name[0], "m < n");
    again = baseline_text(&b);
    CU_ASSERT_STRING_EQUAL(again, text);
    free(text);
    free(again);
}

static void bare_names(void)
{
    static const struct {
        const char *class, *bare;
    } names[] = {{"app:lock", "lock"},
                 {"app:file.c:lock", "file.c:lock"},
                 {"file.c:lock", "file.c:lock"},
                 {"libx.so:lock", "libx.so:lock"},
                 {"lock", "lock"},
                 {"ns::Class.m", "ns::Class.m"},
                 {"sem:name", "sem:name"},
                 {"file:x", "file:x"},
                 {"app.py:Cache.lock", "app.py:Cache.lock"},
                 {"a:", "a:"},
                 {":a", ":a"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CU_ASSERT_STRING_EQUAL(orders_bare_name(names[i].class), names[i].bare);
}

/* ---- orders ---- */

/* A result with these edges, each two letters: "ab" is b taken while a is held. Upper case: a class of many locks. */
static json_t *result(const char *edges)
{
    json_t *nodes = json_array(), *list = json_array();
    for (char c = 'a'; c <= 'z'; c++) {
        char name[16], local[2] = {c, 0};
        snprintf(name, sizeof name, "app:%c", c);
        json_array_append_new(nodes, json_pack("{s:s,s:s,s:s,s:i}", "class", name, "local", local, "kind", "mutex",
                                               "locks", strchr(edges, c - 32) ? 5 : 1));
    }
    for (const char *p = edges; *p; p += 3) {
        char from[16], to[16];
        snprintf(from, sizeof from, "app:%c", p[0] | 32);
        snprintf(to, sizeof to, "app:%c", p[1] | 32);
        json_array_append_new(
            list, json_pack("{s:s,s:s,s:i,s:[],s:[]}", "from", from, "to", to, "count", 1, "stack", "contexts"));
        if (!p[2])
            break;
    }
    return json_pack("{s:[],s:{s:o,s:o}}", "findings", "lock_graph", "nodes", nodes, "edges", list);
}

/* How many orders are against the baseline; *new: how many it does not list. */
static int against(const char *text, const char *edges, int *new)
{
    json_t *d = result(edges);
    CU_ASSERT_EQUAL(parse(text), 0);
    json_t *said = orders_check(&b, d);
    int n = (int)json_integer_value(json_object_get(said, "against"));
    *new = (int)json_array_size(json_object_get(said, "new"));
    CU_ASSERT_EQUAL(json_array_size(json_object_get(d, "findings")), n);
    orders_forget(d);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(d, "findings")), 0);
    json_decref(said);
    json_decref(d);
    return n;
}

static void contradictions(void)
{
    static const struct {
        const char *baseline, *edges;
        int against, new;
    } cases[] = {{"", "ab", 0, 1},
                 {"order a < b\n", "ab", 0, 0},
                 {"order b < a\n", "ab", 1, 1},
                 {"order b < c\norder c < a\n", "ab", 1, 1},
                 {"order b < c\norder c < d\norder d < e\norder e < a\n", "ab", 1, 1},
                 {"order b < c\norder a < c\n", "ab", 0, 1},
                 {"order a < b\norder b < a\n", "ab ba", 0, 0},
                 {"order a < b\norder b < c\n", "ca cb", 2, 2},
                 {"order a < a\n", "aa", 0, 0},
                 {"", "aa", 0, 1},
                 {"order b < a\n", "aB", 1, 1},
                 {"level 1 a\nlevel 2 b\nlevel 3 c\n", "ab bc ac", 0, 0},
                 {"level 1 a\nlevel 2 b\nlevel 3 c\n", "ca", 1, 1},
                 {"rule a < *\n", "ab ac bc", 0, 1},
                 {"rule a < *\n", "ba", 1, 1},
                 {"rule * < z\n", "az zb", 1, 1},
                 {"rule a < x*\nrule x* < b\n", "ba", 1, 1},
                 {"rule a < x*\nrule x* < b\n", "ab", 0, 0},
                 {"rule a < b\norder b < c\n", "ca", 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int new, n = against(cases[i].baseline, cases[i].edges, &new);
        if (n != cases[i].against || new != cases[i].new) {
            printf("%s with %s: %d against, %d new\n", cases[i].baseline, cases[i].edges, n, new);
            CU_FAIL("contradictions");
        }
    }
}

/* Against an oracle: an order contradicts when it is not listed and the lines lead back. */
static void random_orders(void)
{
    unsigned seed = 3;
    for (int round = 0; round < 2000; round++) {
        char lead[6][6] = {{0}}, listed[6][6] = {{0}}, text[600] = "", edge[3] = "";
        int n = rand_r(&seed) % 8, new;
        for (int i = 0; i < n; i++) {
            int x = rand_r(&seed) % 6, y = rand_r(&seed) % 6;
            snprintf(text + strlen(text), sizeof text - strlen(text), "order %c < %c\n", 'a' + x, 'a' + y);
            lead[x][y] = listed[x][y] = 1;
        }
        for (int k = 0; k < 6; k++)
            for (int i = 0; i < 6; i++)
                for (int j = 0; j < 6; j++)
                    lead[i][j] |= lead[i][k] && lead[k][j];
        int x = rand_r(&seed) % 6, y = rand_r(&seed) % 6;
        snprintf(edge, sizeof edge, "%c%c", 'a' + x, 'a' + y);
        int found = against(text, edge, &new);
        CU_ASSERT_EQUAL(found, x != y && !listed[x][y] && lead[y][x]);
        CU_ASSERT_EQUAL(new, !listed[x][y]);
    }
    baseline_free(&b);
}

/* ---- owners ---- */

static void owners(void)
{
    static const struct {
        const char *rules, *path, *owner;
    } cases[] = {{"* @a", "x/y.c", "@a"},         {"* @a\n*.c @b", "x/y.c", "@b"},
                 {"*.c @b\n* @a", "x/y.c", "@a"}, {"/x @a", "x/y.c", "@a"},
                 {"/x/ @a", "x/y.c", "@a"},       {"x/ @a", "w/x/y.c", "@a"},
                 {"/x/ @a", "w/x/y.c", ""},       {"x/* @a", "x/y.c", "@a"},
                 {"x/* @a", "x/w/y.c", ""},       {"x/**/y.c @a", "x/v/w/y.c", "@a"},
                 {"x/**/y.c @a", "x/y.c", "@a"},  {"**/y.c @a", "v/w/y.c", "@a"},
                 {"y.c/ @a", "x/y.c", ""},        {"y.? @a @b # c", "x/y.c", "@a @b"},
                 {"x\\ y/ @a", "x y/z.c", "@a"},  {"x/y* @a", "x/yes/z.c", "@a"},
                 {"* @a\nx/y.c", "x/y.c", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct owners *o = owners_parse(cases[i].rules, strlen(cases[i].rules), "/root");
        char path[100];
        snprintf(path, sizeof path, "/root/%s", cases[i].path);
        if (strcmp(owners_of_path(o, path), cases[i].owner) != 0)
            CU_FAIL(cases[i].rules);
        owners_free(o);
    }
}

/* ---- changed lines ---- */

static void changed(void)
{
    static const char diff[] =
        "diff --git old.c new.c\n--- old.c\n+++ x/new.c\n@@ -1,2 +3,4 @@ int f()\n-+++ not/a.c\n-b\n+c\n"
        "+@@ -1 +900 @@\n+e\n+f\n@@ -9 +20 @@\n-x\n+y\n@@ -30,3 +40,0 @@\n-p\n-q\n-r\n"
        "--- a.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-z\n";
    struct changed *c = changed_parse(diff, sizeof diff - 1, "/root");
    static const int lines[] = {3, 4, 5, 6, 20, 40, 41}, others[] = {1, 2, 7, 19, 21, 39, 42, 900};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        CU_ASSERT_TRUE(changed_line(c, "/root/x/new.c", lines[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CU_ASSERT_FALSE(changed_line(c, "/root/x/new.c", others[i]));
    CU_ASSERT_FALSE(changed_line(c, "/root/new.c", 3));
    CU_ASSERT_FALSE(changed_line(c, "/other/x/old.c", 3));
    changed_free(c);
}

UNIT_TESTS("baseline", {"reads", reads}, {"errors", errors}, {"writes", writes}, {"bare_names", bare_names},
           {"contradictions", contradictions}, {"random_orders", random_orders}, {"owners", owners},
           {"changed", changed})
