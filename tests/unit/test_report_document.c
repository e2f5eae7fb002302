/* Result files: what is read, and what is said of files that are none. Hostile names. */
#include "report/document.h"
#include "report/escape.h"
#include "report/graph.h"
#include "report/text.h"
#include "report_fixture.h"

static char err[400];

static json_t *parse(const char *text)
{
    err[0] = 0;
    return document_parse(text, strlen(text), "r.json", err, sizeof err);
}

static void refused(const char *text, const char *message)
{
    json_t *d = parse(text);
    CU_ASSERT_PTR_NULL(d);
    CU_ASSERT_STRING_EQUAL(err, message);
    json_decref(d);
}

static void place_of_an_error(void)
{
    refused("[]", "r.json:1:1: this is no result of snarl: it should be an object");
    refused("\n {}", "r.json:2:2: this is no result of snarl: \"schema\" is missing");
    refused("{\"schema\": 7}", "r.json:1:12: schema: should be a string");
    refused("{\n  \"schema\": \"snarl/2\"}", "r.json:2:13: schema: this version of snarl reads \"snarl/1\"");
    refused("{\"schema\":\"snarl/1\"}", "r.json:1:1: \"run\" is missing");
    refused("{\"schema\":\"snarl/1\",\"run\":{},\n\"findings\":{}}", "r.json:2:12: findings: should be an array");
    refused("{\"schema\":\"snarl/1\",\"x\":{\"findings\":[{}, {\"a\":\"]}\\\"\"}]},\"run\":{},\"findings\":[\n\n  7]}",
            "r.json:3:3: findings[0]: should be an object");
    refused("{\"schema\":\"snarl/"
            "1\",\"run\":{},\"findings\":[\n{\"id\":\"zz\",\"kind\":\"k\",\"verdict\":\"v\",\"title\":\"t\",\"events\":"
            "[]}]}",
            "r.json:2:7: findings[0].id: should be 16 lower-case hexadecimal digits");
    refused("{\"schema\":\"snarl/"
            "1\",\"run\":{},\"findings\":[{\"id\":\"0123456789abcdef\",\"kind\":\"k\",\"verdict\":\"v\",\"title\":"
            "\"t\",\"events\":[\n"
            "{\"action\":\"a\",\"thread\":1,\"stack\":[ {}, {\"function\":\n 3}]}]}]}",
            "r.json:3:2: findings[0].events[0].stack[1].function: should be a string");
    refused("{\"schema\":\"snarl/"
            "1\",\"run\":{},\"findings\":[{\"id\":\"0123456789abcdef\",\"kind\":\"k\",\"verdict\":\"v\",\"title\":"
            "\"t\",\"events\":[],\n\"memory\":{\"size\":4}}]}",
            "r.json:2:10: findings[0].memory: \"name\" is missing");
    refused("{\"schema\":\"snarl/1\",\"run\":{\"pid\":[]},\"findings\":[]}",
            "r.json:1:34: run.pid: should be an integer");
    refused("{\"schema\":\"snarl/1\",\"run\":{},\"findings\":[],\"lock_graph\":{\"nodes\":[]}}",
            "r.json:1:57: lock_graph: \"edges\" is missing");
}

static void place_of_a_syntax_error(void)
{
    CU_ASSERT_PTR_NULL(parse("{\"schema\":\n oops}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "r.json:2:"));
    CU_ASSERT_PTR_NULL(parse(""));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "r.json:1:"));
    CU_ASSERT_PTR_NULL(parse("{\"schema\":\"snarl/1\",\"schema\":\"snarl/1\"}"));
}

/* Every truncation of a good result is refused with a place, and nothing falls. */
static void truncated(void)
{
    json_t *d = rf_document(rf_finished(rf_cycle("deadlock", "observed", "app")));
    char *text = json_dumps(d, JSON_INDENT(1));
    for (size_t n = 0; n < strlen(text); n++) {
        CU_ASSERT_PTR_NULL(document_parse(text, n, "r.json", err, sizeof err));
        CU_ASSERT_EQUAL(strncmp(err, "r.json:", 7), 0);
    }
    json_t *again = document_parse(text, strlen(text), "r.json", err, sizeof err);
    CU_ASSERT(json_equal(d, again));
    json_decref(again);
    json_decref(d);
    free(text);
}

static void newer_keys_are_ignored(void)
{
    json_t *d = rf_document(rf_finished(rf_cycle("deadlock", "observed", "app")));
    json_object_set_new(d, "future", json_pack("{s:[i]}", "x", 1));
    json_object_set_new(json_array_get(json_object_get(d, "findings"), 0), "kind", json_string("data-race"));
    char *text = json_dumps(d, 0);
    json_t *again = parse(text);
    CU_ASSERT_PTR_NOT_NULL(again);
    json_decref(again);
    json_decref(d);
    free(text);
}

static void escapes(void)
{
    static const char *const pairs[][2] = {
        {"plain", "plain"},
        {"a\nb", "a\\x0ab"},
        {"\x1b[31m", "\\x1b[31m"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe2\x80\xae", "\\u{202e}"},
        {"\xc2\x9b", "\\u{9b}"},
        {"\xe2\x82", "\\xe2\\x82"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"\xc0\xaf", "\\xc0\\xaf"},
        {"\\x1b", "\\x1b"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *safe = escape_text(pairs[i][0], strlen(pairs[i][0])), *twice = escape_text(safe, strlen(safe));
        CU_ASSERT_STRING_EQUAL(safe, pairs[i][1]);
        CU_ASSERT_STRING_EQUAL(twice, safe);
        free(safe);
        free(twice);
    }
    char *nul = escape_text("a\0b", 3);
    CU_ASSERT_STRING_EQUAL(nul, "a\\x00b");
    free(nul);
}

/* Replaces every string of a document but what the reader insists on. */
static void poison(json_t *j, const char *key, const char *with)
{
    const char *k;
    json_t *value;
    size_t i;
    if (json_is_string(j) && strcmp(key, "schema") != 0 && strcmp(key, "id") != 0 && strcmp(key, "action") != 0 &&
        strcmp(key, "kind") != 0 && strcmp(key, "region") != 0)
        json_string_set_nocheck(j, with);
    json_array_foreach (j, i, value) {
        poison(value, key, with);
    }
    json_object_foreach (j, k, value) {
        poison(value, k, with);
    }
}

static bool harmless(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\n') || *text == 0x7f || strncmp(text, "\xe2\x80\xae", 3) == 0)
            return false;
    return true;
}

static size_t lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* A data race in the clothes of the cycle. */
static json_t *some_race(void)
{
    json_t *f = rf_cycle("data-race", "observed", "app"), *events = json_object_get(f, "events");
    json_array_remove(events, 3);
    json_array_remove(events, 2);
    for (size_t i = 0; i < 2; i++) {
        json_object_set_new(json_array_get(events, i), "action", json_string(i ? "write" : "read"));
        json_object_set_new(json_array_get(events, i), "held_at",
                            json_pack("[{s:s,s:i,s:[o]}]", "class", "app:lock", "instance", 1, "stack",
                                      rf_frame("locker", "bug.c", 1)));
    }
    json_object_set_new(f, "memory",
                        json_pack("{s:s,s:s,s:i,s:s,s:[o],s:s,s:s,s:{s:s,s:i},s:{s:i,s:i},s:i}", "name", "account.sum",
                                  "address", "0x10", "size", 4, "region", "heap", "born", rf_frame("make", "bug.c", 3),
                                  "shown", "account.sum", "type", "long", "declared", "file", "bug.h", "line", 2,
                                  "block", "size", 64, "offset", 8, "thread", 2));
    return rf_finished(f);
}

static void hostile(json_t *finding)
{
    static const char evil[] = "\x1b]0;x\a\nsnarl: 0 findings\r</script>\xe2\x80\xae\"\\ %s%n";
    struct text_options o = {.width = 100000};
    json_t *good = rf_document(finding), *bad = json_deep_copy(good);
    json_object_set_new(json_object_get(bad, "lock_graph"), "nodes",
                        json_pack("[{s:s,s:s}]", "class", "x", "kind", "mutex"));
    json_object_set_new(json_object_get(bad, "lock_graph"), "edges",
                        json_pack("[{s:s,s:s,s:[]}]", "from", "x", "to", "x", "stack"));
    json_object_set_new(json_object_get(bad, "run"), "notes", json_pack("[s]", "note"));
    poison(bad, "", evil);
    char *json = json_dumps(bad, 0);
    json_t *loaded = parse(json);
    CU_ASSERT_PTR_NOT_NULL_FATAL(loaded);
    char *text = text_report(loaded, &o), *plain = text_report(good, &o), *dot = graph_dot(loaded),
         *graph = graph_text(loaded, &o);
    CU_ASSERT(harmless(text) && harmless(dot) && harmless(graph));
    CU_ASSERT_EQUAL(lines(text), lines(plain) + 1); /* the note */
    char *quote = strstr(dot, "</script>");
    CU_ASSERT_PTR_NOT_NULL_FATAL(quote);
    CU_ASSERT_PTR_NOT_NULL(strstr(quote, "\\\""));
    free(text);
    free(plain);
    free(dot);
    free(graph);
    free(json);
    json_decref(loaded);
    json_decref(bad);
    json_decref(good);
}

static void hostile_names(void)
{
    hostile(rf_finished(rf_cycle("deadlock", "observed", "app")));
    hostile(some_race());
}

UNIT_TESTS("report: documents", {"place_of_an_error", place_of_an_error},
           {"place_of_a_syntax_error", place_of_a_syntax_error}, {"truncated", truncated},
           {"newer_keys_are_ignored", newer_keys_are_ignored}, {"escapes", escapes}, {"hostile_names", hostile_names})
