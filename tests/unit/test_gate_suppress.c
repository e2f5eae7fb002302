/* gate/pattern.c and gate/suppress*.c. */
#include "gate/suppress.h"

#include <stdlib.h>

#include "gate/pattern.h"
#include "unit.h"

/* ---- patterns ---- */

static const struct {
    const char *pattern, *text;
    int matches;
} templates[] = {
    {"foo", "foo", 1},
    {"foo", "xfoox", 1},
    {"foo", "fo", 0},
    {"^foo", "foox", 1},
    {"^foo", "xfoo", 0},
    {"foo$", "xfoo", 1},
    {"foo$", "foox", 0},
    {"^foo$", "foo", 1},
    {"^foo$", "foofoo", 0},
    {"foo$", "foofoo", 1},
    {"f*o", "xfaao", 1},
    {"^f*o$", "fo", 1},
    {"^f*o$", "fox", 0},
    {"a*b*c", "xaxbxc", 1},
    {"a*b*c", "acb", 0},
    {"*", "x", 1},
    {"*", "", 0},
    {"", "x", 1},
    {"", "", 0},
    {"^$", "x", 0},
    {"a**b", "ab", 1},
    {"x$y", "ax$yb", 1},
    {"std::map<*>", "std::map<int, int>::at", 1},
    {"^aaa*aab$", "aaaaaab", 1},
    {"*aab", "aaab", 1},
    {"ab*", "ab", 1},
    {"a", "A", 0},
};

static void template_patterns(void)
{
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        CU_ASSERT_EQUAL(pattern_template(templates[i].pattern, templates[i].text), templates[i].matches);
}

/* Compared with a matcher that tries everything. */
static int slow_match(const char *p, const char *t)
{
    if (!*p)
        return !*t;
    if (*p == '*')
        return slow_match(p + 1, t) || (*t && slow_match(p, t + 1));
    return *p == *t && slow_match(p + 1, t + 1);
}

static void random_text(char *out, unsigned *seed, const char *letters, int most)
{
    int n = rand_r(seed) % (most + 1);
    for (int i = 0; i < n; i++)
        out[i] = letters[(unsigned)rand_r(seed) % strlen(letters)];
    out[n] = 0;
}

static void class_patterns(void)
{
    unsigned seed = 7;
    char p[16], t[16], around[20];
    for (int i = 0; i < 200000; i++) {
        random_text(p, &seed, "ab*", 8);
        random_text(t, &seed, "ab", 10);
        int want = slow_match(p, t);
        if (pattern_class(p, t) != want)
            CU_FAIL("pattern_class");
        snprintf(around, sizeof around, "*%s*", p);
        if (pattern_template(p, t) != (*t && slow_match(around, t)))
            CU_FAIL("pattern_template");
    }
}

/* ---- files ---- */

static struct suppressions all;
static char err[300];

static int parse(const char *text)
{
    suppress_free(&all);
    return suppress_parse(&all, text, strlen(text), "file", "2026-06-15", err, sizeof err);
}

static void types(void)
{
    CU_ASSERT_EQUAL(
        parse("# remark\n\n  race:a\nrace_top:b\ndeadlock:c\r\nmutex:d\ncalled_from_lib:e.so\nkind:data-race\n"
              "kind:relock:f\nid:0123456789abcdef\nthread:g\nsignal:h\nnone:i"),
        0);
    static const enum suppress_type want[] = {SUPPRESS_RACE,     SUPPRESS_RACE_TOP, SUPPRESS_DEADLOCK, SUPPRESS_MUTEX,
                                              SUPPRESS_FROM_LIB, SUPPRESS_KIND,     SUPPRESS_KIND,     SUPPRESS_ID,
                                              SUPPRESS_THREAD,   SUPPRESS_SIGNAL,   SUPPRESS_NONE};
    CU_ASSERT_EQUAL_FATAL(all.n, sizeof want / sizeof *want);
    for (size_t i = 0; i < all.n; i++)
        CU_ASSERT_EQUAL(all.item[i].type, want[i]);
    CU_ASSERT_EQUAL(all.item[0].line, 3);
    CU_ASSERT_STRING_EQUAL(all.item[2].step[0], "c");
    CU_ASSERT_STRING_EQUAL(all.item[2].rule, "deadlock:c");
    CU_ASSERT_STRING_EQUAL(all.item[5].kind, "data-race");
    CU_ASSERT_EQUAL(all.item[5].nsteps, 0);
    CU_ASSERT_STRING_EQUAL(all.item[6].kind, "relock");
    CU_ASSERT_STRING_EQUAL(all.item[6].step[0], "f");
    for (size_t i = 0; i < all.n; i++)
        CU_ASSERT_EQUAL(suppress_no_effect(all.item[i].type) != NULL, i >= 8);
}

static void steps(void)
{
    CU_ASSERT_EQUAL(parse("race: a <-  b(int) <- c*d  # owner=x"), 0);
    CU_ASSERT_EQUAL_FATAL(all.n, 1);
    CU_ASSERT_EQUAL_FATAL(all.item[0].nsteps, 3);
    CU_ASSERT_STRING_EQUAL(all.item[0].step[0], "a");
    CU_ASSERT_STRING_EQUAL(all.item[0].step[1], "b(int)");
    CU_ASSERT_STRING_EQUAL(all.item[0].step[2], "c*d");
    /* C++ has these in names. */
    CU_ASSERT_EQUAL(parse("race:std::vector<std::vector<int> >::at\nrace:a<-b\nrace:operator->\nrace:f#2"), 0);
    for (size_t i = 0; i < all.n; i++)
        CU_ASSERT_EQUAL(all.item[i].nsteps, 1);
}

static void remarks(void)
{
    CU_ASSERT_EQUAL(
        parse("race:a # owner=team-db expires=2026-06-15\nrace:b\t#expires=2026-06-14, owner=me\nrace:c # text"), 0);
    CU_ASSERT_EQUAL_FATAL(all.n, 3);
    CU_ASSERT_STRING_EQUAL(all.item[0].owner, "team-db");
    CU_ASSERT_STRING_EQUAL(all.item[0].expires, "2026-06-15");
    CU_ASSERT_FALSE(all.item[0].expired); /* its last day */
    CU_ASSERT_TRUE(all.item[1].expired);
    CU_ASSERT_STRING_EQUAL(all.item[1].owner, "me");
    CU_ASSERT_PTR_NULL(all.item[2].owner);
    CU_ASSERT_STRING_EQUAL(all.item[2].step[0], "c");
}

static void errors(void)
{
    static const struct {
        const char *text, *place;
    } wrong[] = {{"race", "file:1:1: "},
                 {"\n\n  rase:x", "file:3:3: "},
                 {"kind:dead-lock", "file:1:6: "},
                 {"id:xyz", "file:1:4: "},
                 {"id:0123456789ABCDEF", "file:1:4: "},
                 {"race:a <- <- b", "file:1:"},
                 {"race:a # expires=2026-02-30", "file:1:18: "},
                 {"race:a # expires=", "file:1:18: "}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CU_ASSERT_NOT_EQUAL(parse(wrong[i].text), 0);
        if (strncmp(err, wrong[i].place, strlen(wrong[i].place)) != 0)
            CU_FAIL(wrong[i].text);
    }
    CU_ASSERT_NOT_EQUAL(parse("deadlok:x"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "did you mean 'deadlock'?"));
}

/* ---- findings ---- */

static json_t *finding(const char *kind, const char *rule)
{
    json_t *f = json_pack("{s:s,s:s,s:s,s:[{s:s},{s:s,s:s}],s:{s:s,s:s,s:[{s:s}]},s:[{s:i,s:[{s:s}]}],s:["
                          "{s:s,s:[{s:s,s:s,s:s},{s:s},{s:s}]},{s:s,s:[{s:s,s:s},{s:s}],s:[{s:s,s:[{s:s}]}]}]}",
                          "id", "00000000000000aa", "kind", kind, "verdict", "possible", "locks", "class", "app:lock_x",
                          "class", "libq.so:lock_y", "name", "/tmp/the.lock", "memory", "name", "app:counter", "shown",
                          "counter[3]", "born", "function", "make_counter", "threads", "thread", 2, "created",
                          "function", "start_worker", "events", "action", "write", "stack", "function", "inner", "file",
                          "/src/inner.c", "module", "/lib/libq.so.1", "function", "middle", "function", "main",
                          "action", "read", "stack", "function", "other", "module", "/bin/app", "function", "main",
                          "held_at", "class", "app:lock_x", "stack", "function", "holder");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    if (rule)
        json_object_set_new(f, "rule", json_string(rule));
    json_object_set_new(f, "also", json_pack("[s]", "00000000000000bb"));
    return f;
}

static int takes(const char *rule, const char *kind, const char *misuse)
{
    json_t *f = finding(kind, misuse);
    CU_ASSERT_EQUAL(parse(rule), 0);
    int yes = suppress_find(&all, f) != NULL;
    json_decref(f);
    return yes;
}

static void matching(void)
{
    static const char *const yes[] = {"race:inner",
                                      "race:middle",
                                      "race:main",
                                      "race:other",
                                      "race:inner.c",
                                      "race:libq.so",
                                      "race:/bin/app",
                                      "race:counter",
                                      "race:counter[3]",
                                      "race:lock_y",
                                      "race:the.lock",
                                      "race:make_counter",
                                      "race:start_worker",
                                      "race:holder",
                                      "race_top:inner",
                                      "race_top:other",
                                      "called_from_lib:libq.so",
                                      "kind:data-race",
                                      "kind:data-race:holder",
                                      "race:inner <- main",
                                      "race:inner.c <- middle <- main",
                                      "race:",
                                      "id:00000000000000aa",
                                      "id:00000000000000bb"};
    static const char *const no[] = {"race:^nner",          "race:inner <- other", "race:middle <- inner",
                                     "race_top:middle",     "race_top:holder",     "called_from_lib:libx.so",
                                     "deadlock:inner",      "mutex:inner",         "kind:atomicity",
                                     "id:00000000000000cc", "race:main <- main",   "thread:inner",
                                     "none:inner",          "race:counter <- main"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!takes(yes[i], "data-race", NULL))
            CU_FAIL(yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (takes(no[i], "data-race", NULL))
            CU_FAIL(no[i]);
}

static void families(void)
{
    static const struct {
        const char *rule, *kind, *misuse;
        int yes;
    } cases[] = {{"race:main", "atomicity", NULL, 1},
                 {"race:main", "unprotected", NULL, 1},
                 {"race:main", "lock-order", NULL, 0},
                 {"deadlock:main", "deadlock", NULL, 1},
                 {"deadlock:main", "lock-order", NULL, 1},
                 {"deadlock:main", "stuck", NULL, 1},
                 {"mutex:main", "lock-misuse", "relock", 1},
                 {"mutex:main", "deadlock", NULL, 0},
                 {"kind:relock", "lock-misuse", "relock", 1},
                 {"kind:relock", "lock-misuse", "use-destroyed", 0},
                 {"kind:lock-misuse", "lock-misuse", "relock", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_ASSERT_EQUAL(takes(cases[i].rule, cases[i].kind, cases[i].misuse), cases[i].yes);
    CU_ASSERT_FALSE(takes("race:main # expires=2026-06-14", "data-race", NULL));
}

static void offered(void)
{
    json_t *f = finding("data-race", NULL), *list = suppress_offer(f), *line;
    size_t i;
    CU_ASSERT_EQUAL(json_array_size(list), 2);
    json_array_foreach (list, i, line) {
        CU_ASSERT_EQUAL(parse(json_string_value(line)), 0);
        CU_ASSERT_PTR_NOT_NULL(suppress_find(&all, f));
    }
    json_decref(list);
    json_decref(f);
    suppress_free(&all);
}

UNIT_TESTS("suppressions", {"template_patterns", template_patterns}, {"class_patterns", class_patterns},
           {"types", types}, {"steps", steps}, {"remarks", remarks}, {"errors", errors}, {"matching", matching},
           {"families", families}, {"offered", offered})
