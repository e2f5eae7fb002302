/* What the output forms share: escapes, places, levels, the sides of a finding, the graph that is drawn. */
#include "report/format.h"

#include <sys/stat.h>
#include <unistd.h>

#include "report/graph.h"
#include "report/markup.h"
#include "report/place.h"
#include "report/sides.h"
#include "report/source.h"
#include "report_fixture.h"

static void expect(char *text, const char *expected)
{
    CU_ASSERT_STRING_EQUAL(text, expected);
    free(text);
}

static char *marked(const char *s)
{
    struct buffer b = {0};
    markup_put(&b, s);
    return buffer_take(&b);
}

static void markup(void)
{
    expect(marked(""), "");
    expect(marked("a<b>&\"c'd"), "a&lt;b&gt;&amp;&quot;c&#39;d");
    expect(marked("über 日本"), "über 日本");
    expect(marked("\x01\xff\xc0\xaf\xed\xa0\x80"
                  "x\xef\xbf\xbe"),
           "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
           "x\xef\xbf\xbd");
    expect(marked("cut \xe6\x97"), "cut \xef\xbf\xbd\xef\xbf\xbd");
}

static void clip(void)
{
    expect(markup_clip("short", 5), "short");
    expect(markup_clip("longer", 5), "lo…");
    expect(markup_clip("日本語", 8), "日…");
    expect(markup_clip("日本語", 7), "日…");
    expect(markup_clip("日本語", 4), "…");
}

static char *uri(const char *path)
{
    struct buffer b = {0};
    place_uri(&b, path);
    return buffer_take(&b);
}

static void places(void)
{
    setenv("GITHUB_WORKSPACE", "/usr/", 1);
    CU_ASSERT_STRING_EQUAL(place_root(), "/usr");
    CU_ASSERT_STRING_EQUAL(place_path("/usr/lib/x.c"), "lib/x.c");
    CU_ASSERT_STRING_EQUAL(place_path("/usrlib/x.c"), "/usrlib/x.c");
    CU_ASSERT_STRING_EQUAL(place_path("/usr/"), "/usr/");
    expect(uri("/a b/c%d?#ä.c"), "file:///a%20b/c%25d%3F%23%C3%A4.c");
    expect(uri("x/y+z~.c"), "x/y+z~.c");
}

static void levels(void)
{
    json_t *f = rf_cycle("lock-order", "possible", "app");
    CU_ASSERT_EQUAL(format_level(f), LEVEL_ERROR);
    json_object_set_new(f, "kind", json_string("stuck"));
    CU_ASSERT_EQUAL(format_level(f), LEVEL_WARNING);
    json_object_set_new(f, "verdict", json_string("observed"));
    CU_ASSERT(format_level(f) == LEVEL_ERROR && !format_excuse(f));
    json_object_set_new(f, "suppressed_by", json_string("x"));
    CU_ASSERT(format_level(f) == LEVEL_NOTE && strcmp(format_excuse(f), "suppressed") == 0);
    json_object_set_new(f, "suppressed_by", json_null());
    json_object_set_new(f, "counts", json_false());
    CU_ASSERT_EQUAL(format_level(f), LEVEL_NOTE);
    json_decref(f);
}

static void sides(void)
{
    json_t *f = rf_finished(rf_cycle("lock-order", "possible", "app"));
    size_t n;
    struct side *s = sides_of(f, &n);
    CU_ASSERT_EQUAL_FATAL(n, 2);
    CU_ASSERT_STRING_EQUAL(s[0].who, "T2 (worker)");
    CU_ASSERT_STRING_EQUAL(s[0].text, "T2 (worker) takes lock_b while it holds lock_a");
    CU_ASSERT_EQUAL_FATAL(s[1].nlocks, 1);
    CU_ASSERT_STRING_EQUAL(s[1].locks[0].text, "lock_b was taken");
    CU_ASSERT_PTR_NOT_NULL(s[1].locks[0].stack);
    sides_free(s, n);
    json_decref(f);
}

/* A deadlock's second locks were never taken: its steps are drawn all the same, once each. */
static void graph_of_a_deadlock(void)
{
    json_t *f = rf_finished(rf_cycle("deadlock", "observed", "app"));
    json_t *d = json_pack("{s:s,s:{},s:[o],s:{s:[],s:[]}}", "schema", "snarl/1", "run", "findings", f, "lock_graph",
                          "nodes", "edges");
    json_t *graph = graph_of(d), *edges = json_object_get(graph, "edges");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(graph, "nodes")), 2);
    CU_ASSERT_EQUAL(json_array_size(edges), 2);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(edges, 0), "from")), "app:bug.c:lock_a");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(edges, 0), "finding")), "f7bf9f47e81cb683");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(json_object_get(d, "lock_graph"), "edges")),
                    0); /* the result stays */
    json_decref(graph);
    json_decref(d);
}

/* Of too many nodes those of findings stay, then their neighbours. */
static void part_of_a_graph(void)
{
    json_t *d = json_pack("{s:[o],s:{s:[],s:[]}}", "findings", rf_finished(rf_cycle("lock-order", "possible", "app")),
                          "lock_graph", "nodes", "edges");
    json_t *edges = json_object_get(json_object_get(d, "lock_graph"), "edges");
    for (int i = 0; i < 50; i++) {
        char from[32], to[32];
        snprintf(from, sizeof from, "n%d", i);
        snprintf(to, sizeof to, "n%d", i + 1);
        json_array_append_new(edges, json_pack("{s:s,s:s,s:i}", "from", from, "to", to, "count", i));
    }
    json_array_append_new(edges, json_pack("{s:s,s:s,s:i}", "from", "n7", "to", "app:bug.c:lock_a", "count", 1));
    json_t *whole = graph_of(d), *part = graph_part(whole, 5, 3), *node;
    size_t i, near = 0;
    CU_ASSERT_EQUAL(json_array_size(json_object_get(whole, "nodes")), 53);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(part, "nodes")), 5);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(part, "edges")), 3);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(part, "left_out")), 48);
    json_array_foreach (json_object_get(part, "nodes"), i, node) {
        const char *class = json_string_value(json_object_get(node, "class"));
        near += strcmp(class, "n7") == 0 || strcmp(class, "n50") == 0 || strncmp(class, "app", 3) == 0;
    }
    CU_ASSERT_EQUAL(near, 4); /* n50 and n49: taken most */
    json_decref(part);
    json_decref(whole);
    json_decref(d);
}

static void source_lines(void)
{
    char name[] = "/tmp/snarl-test-XXXXXX.c";
    struct source s = {0};
    int fd = mkstemps(name, 2);
    static const char text[] = "first\n\tx\r\n\x1b[31m \xff\nlast without an end";
    CU_ASSERT_EQUAL_FATAL(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    expect(source_line(&s, name, 1), "first");
    expect(source_line(&s, name, 2), "    x");
    expect(source_line(&s, name, 3), "\\x1b[31m \\xff");
    expect(source_line(&s, name, 4), "last without an end");
    CU_ASSERT_PTR_NULL(source_line(&s, name, 0));
    CU_ASSERT_PTR_NULL(source_line(&s, name, 5));
    CU_ASSERT_PTR_NULL(source_line(&s, "/etc/passwd", 1));
    CU_ASSERT_PTR_NULL(source_line(&s, "/no/such/file.c", 1));
    CU_ASSERT_EQUAL(s.files, 3);
    source_free(&s);
    unlink(name);
}

static void known_formats(void)
{
    static const char *const names[] = {"json", "sarif", "junit", "html", "dot", "svg", "github", "gitlab"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CU_ASSERT_PTR_NOT_NULL(format_find(names[i]));
    CU_ASSERT_PTR_NULL(format_find("text"));
    CU_ASSERT_EQUAL(format_count, sizeof names / sizeof *names);
}

UNIT_TESTS("report: output forms", {"markup", markup}, {"clip", clip}, {"places", places}, {"levels", levels},
           {"sides", sides}, {"graph_of_a_deadlock", graph_of_a_deadlock}, {"part_of_a_graph", part_of_a_graph},
           {"source_lines", source_lines}, {"known_formats", known_formats})
