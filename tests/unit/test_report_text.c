/* The text report of made-up documents, word for word where it matters. */
#include "analyze/finding.h"
#include "report/graph.h"
#include "report/text.h"
#include "report_fixture.h"

static const struct text_options wide = {.width = 1000};

static char *report(json_t *finding, const struct text_options *o)
{
    json_t *d = rf_document(finding);
    char *text = text_report(d, o);
    json_decref(d);
    return text;
}

static void expect(char *text, const char *expected)
{
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0)
        fprintf(stderr, "\n--- is\n%s--- should be\n%s---\n", text, expected);
    free(text);
}

static void whole_report(void)
{
    expect(report(rf_finished(rf_cycle("deadlock", "observed", "app")), &wide),
           "snarl: deadlock: 2 threads wait for each other: lock_a and lock_b\n"
           "  deadlock, observed: it happened in this run\n"
           "\n"
           "  T2 (worker) waits for lock_b and holds lock_a\n"
           "      #0  first bug.c:12\n"
           "    lock_a was taken\n"
           "      #0  first bug.c:10\n"
           "\n"
           "  T3 (second) waits for lock_a and holds lock_b\n"
           "      #0  second bug.c:22\n"
           "    lock_b was taken\n"
           "      #0  second bug.c:20\n"
           "\n"
           "  lock_a: mutex, app:bug.c:lock_a\n"
           "  lock_b: mutex, app:bug.c:lock_b\n"
           "\n"
           "  why T2 (worker) holds lock_a and waits for lock_b; T3 (second) holds lock_b and waits for lock_a. Each "
           "has what the next one "
           "needs, and none of them lets go: they wait for ever.\n"
           "  fix Decide on one order and keep it everywhere: lock_a before lock_b. Then change second() at bug.c:22: "
           "take lock_a before "
           "lock_b (now taken in second() at bug.c:20). Or let go of the first lock before asking for the second; or "
           "take the second one "
           "with a trylock, and when that fails give the first one back and start again.\n"
           "  id  f7bf9f47e81cb683   more: snarl explain deadlock\n"
           "\n"
           "snarl: 1 finding (1 deadlock); 3 threads, 2 locks, 8 lock operations\n");
}

static void how_often(void)
{
    json_t *order = rf_cycle("lock-order", "possible", "app"), *struck = rf_cycle("deadlock", "observed", "app");
    json_object_set_new(order, "count", json_integer(3));
    json_object_set_new(struck, "count", json_integer(3));
    char *text = report(rf_finished(order), &wide);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "lock-order, possible, seen 3 times\n"));
    free(text);
    text = report(rf_finished(struck), &wide);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "observed: it happened in this run; its order was seen 3 times\n"));
    free(text);
}

/* T2 holds a lock and joins T3, which waits for that lock. */
static void each_lock_is_named_once(void)
{
    json_t *f = rf_cycle("deadlock", "observed", "app"), *events = json_object_get(f, "events");
    json_array_remove(events, 2);
    json_object_set_new(json_array_get(events, 1), "object_thread", json_integer(3));
    char *text = report(rf_finished(f), &wide);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "wait for each other, one for the other's end: lock_a\n"));
    free(text);
}

static void not_counted(void)
{
    json_t *f = rf_finished(rf_cycle("lock-order", "possible", "app"));
    json_object_set_new(f, "counts", json_false());
    expect(report(f, &wide),
           "snarl: also seen, but not counted (--fail-on says what counts):\n"
           "  f7bf9f47e81cb683  possible deadlock: lock_a and lock_b are taken in both orders (lock-order, possible)\n"
           "\n"
           "snarl: no finding that counts, 1 not counted (1 lock-order); 3 threads, 2 locks, 8 lock operations\n");
}

static void nothing_found(void)
{
    struct text_options quiet = {.quiet = true};
    expect(report(NULL, &wide), "snarl: no findings; 3 threads, 2 locks, 8 lock operations\n");
    expect(report(NULL, &quiet), "");
}

static void losses_are_told(void)
{
    json_t *d = rf_document(NULL), *run = json_object_get(d, "run");
    json_object_set_new(
        run, "losses",
        json_pack("[{s:s,s:i,s:s}]", "name", "stack_cut", "count", 12, "text", "stacks cut at the depth limit"));
    json_object_set_new(run, "notes", json_pack("[s]", "something is not seen"));
    expect(text_report(d, &wide), "snarl: no findings; 3 threads, 2 locks, 8 lock operations\n"
                                  "snarl: not complete: stacks cut at the depth limit: 12\n"
                                  "snarl: something is not seen\n");
    json_decref(d);
}

static void colour(void)
{
    struct text_options o = {.color = true, .width = 1000};
    char *plain = report(rf_finished(rf_cycle("deadlock", "observed", "app")), &wide);
    char *colored = report(rf_finished(rf_cycle("deadlock", "observed", "app")), &o), *to = colored;
    CU_ASSERT_PTR_NOT_NULL(strstr(colored, "\033[1;31m"));
    for (char *from = colored; *from;) { /* without the colours it is the same */
        if (*from == '\033')
            from += strcspn(from, "m") + 1;
        else
            *to++ = *from++;
    }
    *to = 0;
    CU_ASSERT_STRING_EQUAL(colored, plain);
    free(plain);
    free(colored);
}

static void wrapping(void)
{
    struct text_options narrow = {.width = 60};
    char *text = report(rf_finished(rf_cycle("deadlock", "observed", "app")), &narrow), *why = strstr(text, "  why ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(why);
    for (char *line = strtok(why, "\n"); line && strncmp(line, "  id", 4) != 0; line = strtok(NULL, "\n"))
        CU_ASSERT(strlen(line) <= 60);
    free(text);
}

static json_t *stack_of(json_t *frames)
{
    json_t *f = rf_cycle("deadlock", "observed", "app");
    json_object_set_new(json_array_get(json_object_get(f, "events"), 1), "stack", frames);
    return rf_finished(f);
}

static void library_frames_are_folded(void)
{
    json_t *frames = json_pack("[o,o,o,o,o]", rf_system("std::mutex::lock()"),
                               rf_system("std::lock_guard<std::mutex>::lock_guard()"), rf_frame("first", "bug.c", 12),
                               rf_system("start_thread"), rf_system("clone3"));
    char *text = report(stack_of(frames), &wide);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "      … 2 frames of libraries\n      #2  first bug.c:12\n    lock_a was taken\n"));
    free(text);
}

static void python_frames(void)
{
    json_t *in = rf_system("_PyEval_EvalFrameDefault"), *py = rf_frame("transfer", "bank.py", 7),
           *start = rf_system("start_thread");
    json_object_set_new(in, "interpreter", json_true());
    json_object_set_new(py, "language", json_string("python"));
    json_t *frames = json_array();
    json_array_append(frames, in);
    json_array_append_new(frames, py);
    json_array_append(frames, in);
    json_array_append_new(frames, in);
    json_array_append_new(frames, start);
    char *text = report(stack_of(frames), &wide);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "and holds lock_a\n      #1  transfer bank.py:7\n    lock_a was taken\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "with a time-out and start again"));
    free(text);
}

static void stripped(void)
{
    json_t *frame = json_pack("{s:s,s:s,s:b}", "module", "/opt/app", "offset", "0x1234", "inlined", 0);
    char *text = report(stack_of(json_pack("[o]", frame)), &wide);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "      #0  (unknown function) app+0x1234\n"));
    free(text);
}

static void instances_of_one_class(void)
{
    json_t *f = rf_cycle("lock-order", "possible", "app");
    json_object_set_new(f, "locks",
                        json_pack("[o,o]", rf_lock("account.lock", NULL, 1), rf_lock("account.lock", NULL, 2)));
    for (size_t i = 0; i < 4; i++)
        json_object_set_new(json_array_get(json_object_get(f, "events"), i), "object", json_string("account.lock"));
    char *text = report(rf_finished(f), &wide);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "T2 (worker) takes account.lock (2) while it holds account.lock (1)\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "always lock the lower one first"));
    free(text);
}

/* Every rule has its own texts, with nothing left of the templates, whatever is known. */
static void every_rule(void)
{
    static const char *const rules[] = {
#define X(e, s) s,
        FINDING_RULES(X)
#undef X
    };
    for (size_t i = 1; i < RULE_COUNT; i++)
        for (int full = 0; full < 2; full++) {
            json_t *f = rf_cycle("lock-misuse", "observed", "app");
            json_object_set_new(f, "rule", json_string(rules[i]));
            if (full)
                json_object_set_new(f, "flags", json_pack("[s,s]", "unlock-failed", "ended-program"));
            else
                json_array_remove(json_object_get(f, "events"), 0), json_array_remove(json_object_get(f, "events"), 1);
            rf_finished(f);
            static const char *const keys[] = {"title", "why", "fix"};
            for (size_t k = 0; k < 3; k++) {
                const char *text = rf_text(f, keys[k]);
                CU_ASSERT(*text && !strpbrk(text, "${}") && !strstr(text, "  ") && !strstr(text, " ,") &&
                          !strstr(text, "against its rules"));
            }
            json_decref(f);
        }
}

static void stuck(void)
{
    json_t *f = rf_cycle("stuck", "observed", "app");
    json_object_set_new(
        f, "events",
        json_pack("[o]", rf_event(2, "wait", "app:ready", 1, json_pack("[o]", rf_frame("first", "bug.c", 12)))));
    json_object_set_new(json_array_get(json_object_get(f, "events"), 0), "object_kind", json_string("condition"));
    char *text = report(rf_finished(f), &wide);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "snarl: stuck: the only thread waits, and nobody is left to wake it\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "T2 (worker) waits for a signal on condition ready in first() at bug.c:12."));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "a lost wake-up"));
    free(text);
}

static void graphs(void)
{
    json_t *d = rf_document(rf_finished(rf_cycle("lock-order", "possible", "app"))),
           *graph = json_object_get(d, "lock_graph");
    json_object_set_new(graph, "nodes",
                        json_pack("[{s:s,s:s,s:i},{s:s,s:s,s:i}]", "class", "app:bug.c:lock_a", "kind", "mutex",
                                  "locks", 1, "class", "app:bug.c:lock_b", "kind", "mutex", "locks", 3));
    json_object_set_new(graph, "edges",
                        json_pack("[{s:s,s:s,s:i,s:[o]}]", "from", "app:bug.c:lock_a", "to", "app:bug.c:lock_b",
                                  "threads", 2, "stack", rf_frame("first", "bug.c", 12)));
    expect(graph_text(d, &wide),
           "app:bug.c:lock_a  (mutex)\n"
           "    before app:bug.c:lock_b   in first() at bug.c:12, by 2 threads   finding f7bf9f47e81cb683\n"
           "app:bug.c:lock_b  (mutex, 3 locks)\n" /* the run has only the first; the finding knows both */
           "    before app:bug.c:lock_a   in second() at bug.c:22, by 1 thread   finding f7bf9f47e81cb683\n"
           "\n2 classes of locks, 2 orders. \"before\" means: taken while the lock above is held.\n");
    char *dot = graph_dot(d);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(dot, "  \"app:bug.c:lock_a\" -> \"app:bug.c:lock_b\" [label=\"first() at bug.c:12\", color=red"));
    free(dot);
    json_decref(d);
}

/* Too little is told of unasked; all that is known on request; and never 100 % when it is not all. */
static void coverage(void)
{
    struct text_options much = wide;
    much.verbose = true;
    json_t *d = rf_document(NULL), *run = json_object_get(d, "run");
    json_t *left = json_pack("[{s:s,s:s,s:i,s:i}]", "reason", "undecoded", "text", "data between code", "functions", 2,
                             "accesses", 3);
    json_object_set_new(run, "coverage",
                        json_pack("{s:i,s:i,s:i,s:o,s:[{},{}]}", "eligible", 100000, "watched", 99997, "unlisted_bytes",
                                  12, "left", left, "modules"));
    char *text = text_report(d, &wide);
    CU_ASSERT_PTR_NULL(strstr(text, "shared memory"));
    free(text);
    text = text_report(d, &much);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "snarl: 99.99 % of the 100000 instructions that access shared memory were watched, in 2 modules\n"
                     "snarl: not watched: 3 instructions in 2 functions left alone: data between code\n"
                     "snarl: not looked at: 12 bytes of code that no unwind table lists\n"));
    free(text);
    json_object_set_new(json_object_get(run, "coverage"), "watched", json_integer(99899));
    text = text_report(d, &wide);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "snarl: 99.89 % of the 100000 instructions"));
    free(text);
    json_decref(d);
}

UNIT_TESTS("report: text", {"whole_report", whole_report}, {"how_often", how_often},
           {"each_lock_is_named_once", each_lock_is_named_once}, {"not_counted", not_counted},
           {"nothing_found", nothing_found}, {"losses_are_told", losses_are_told}, {"colour", colour},
           {"wrapping", wrapping}, {"library_frames_are_folded", library_frames_are_folded},
           {"python_frames", python_frames}, {"stripped", stripped}, {"instances_of_one_class", instances_of_one_class},
           {"every_rule", every_rule}, {"stuck", stuck}, {"graphs", graphs}, {"coverage", coverage})
