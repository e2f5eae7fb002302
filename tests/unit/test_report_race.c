/* The two sides of a data race, from the arena to the report: what is said of them, and which are one bug. */
#include "race_fixture.h"

static void whole_report(void)
{
    begin();
    race_on_counter();
    const char *title = "data race: counter is written in add() and read in sum(), with no order between them";
    is(rf_text(finding(), "title"), title);
    is(rf_text(finding(), "kind"), "data-race");
    is(rf_text(finding(), "verdict"), "observed");
    shows(title);
    shows("\n  data-race, observed: both accesses happened in this run\n\n");
    shows("\n  T3 (reader) reads counter (4 bytes), holding no lock\n      #0  sum ");
    shows("\n  T2 (worker) earlier wrote counter (4 bytes), holding no lock\n      #0  add ");
    shows("\n  T3 (reader): created by T1 in make_account() at race_fixture.h:");
    shows("  why T2 (worker) wrote counter in add() at race_fixture.h:");
    shows("No lock is held by both, and nothing else puts the one before the other");
    shows("written by atomic_store_explicit(&counter, …, memory_order_release)");
    shows("more: snarl explain data-race\n");
    json_t *events = json_object_get(finding(), "events"), *later = json_array_get(events, 0);
    CU_ASSERT_EQUAL(json_array_size(events), 2);
    is(rf_text(later, "action"), "read");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(later, "size")), 4);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(later, "held")), 0);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(finding(), "threads")), 2);
    struct text_options wide = {.width = 1000};
    char *text = text_report(document, &wide);
    has(text, "snarl: 1 finding (1 data-race); 3 threads");
    free(text);
}

static void one_line_in_two_threads(void)
{
    begin();
    struct finding_rec *f = race(in_program(&counter), 4, EVENT_WRITE, EVENT_WRITE);
    f->events[0].stack = f->events[1].stack;
    is(rf_text(finding(), "title"),
       "data race: counter is written in add() by two threads, with no order between them");
    has(rf_text(finding(), "why"), "T2 (worker) and T3 (reader) both run the same line, add() at race_fixture.h:");
    has(rf_text(finding(), "fix"), "_Atomic int counter, where counter++ is one step");
    f->events[0].action = EVENT_READ;
    is(rf_text(finding(), "title"),
       "data race: counter is written and read in add() by two threads, with no order between them");
    begin();
    race(in_program(&rate), 8, EVENT_WRITE, EVENT_WRITE);
    is(rf_text(finding(), "fix"), "Put one mutex around both accesses, and around every other use of it.");
}

static void locks(void)
{
    begin();
    struct finding_rec *f = race_on_counter();
    holding(&f->events[1], &table_lock, OBJ_MUTEX, MODE_EXCLUSIVE, STACK_IN(make_account));
    shows("earlier wrote counter (4 bytes), holding table_lock\n");
    shows("\n    table_lock was taken in make_account() at race_fixture.h:");
    shows("reads counter (4 bytes), holding no lock\n");
    shows("\n  table_lock: mutex, test_report_race:test_report_race.c:table_lock, declared at ");
    has(rf_text(finding(), "why"), "T2 (worker) holds table_lock, T3 (reader) does not");
    has(rf_text(finding(), "fix"), "Take table_lock in sum() at race_fixture.h:");
    const json_t *held = json_object_get(json_array_get(json_object_get(finding(), "events"), 1), "held");
    is(json_string_value(json_array_get(held, 0)), "test_report_race:test_report_race.c:table_lock");
    char *id = strdup(rf_text(finding(), "id"));

    holding(&f->events[0], &other_lock, OBJ_RWLOCK, MODE_EXCLUSIVE, 0);
    has(rf_text(finding(), "why"), "The one holds table_lock, the other other_lock: different locks");
    has(rf_text(finding(), "fix"), "Decide on one lock for counter: take table_lock in sum() at ");
    is(rf_text(finding(), "id"), id); /* what is held is no part of the id */
    free(id);

    holding(&f->events[0], &other_lock, OBJ_RWLOCK, MODE_SHARED, 0);
    holding(&f->events[1], &other_lock, OBJ_RWLOCK, MODE_SHARED, 0);
    shows("reads counter (4 bytes), holding other_lock (reading)\n");
    has(rf_text(finding(), "why"), "Both hold other_lock, but only for reading");
    has(rf_text(finding(), "fix"), "Take other_lock for writing in add() at ");

    holding(&f->events[0], &table_lock, OBJ_MUTEX, MODE_EXCLUSIVE, 0);
    holding(&f->events[1], &table_lock, OBJ_MUTEX, MODE_EXCLUSIVE, 0);
    has(rf_text(finding(), "why"), " Nothing puts the one before the other");
}

static void atomic_and_plain(void)
{
    begin();
    race(in_program(&hits), 8, EVENT_READ, EVENT_ATOMIC_WRITE);
    is(rf_text(finding(), "title"),
       "data race: hits is atomically written in add() and read in sum(), with no order between them");
    shows("T2 (worker) earlier wrote hits (8 bytes), atomically, holding no lock\n");
    has(rf_text(finding(), "why"), "that mixing is the bug");
    has(rf_text(finding(), "fix"), "Make the plain access in sum() at ");
    has(rf_text(finding(), "fix"), "atomic_load");
}

static void freed(void)
{
    begin();
    struct object_birth b = {.region = REGION_HEAP, .alloc_size = sizeof(struct account), .offset = 8};
    b.alloc_stack = STACK_IN(make_account);
    struct finding_rec *f = race(b, 8, EVENT_READ, EVENT_FREE);
    is(rf_text(finding(), "title"),
       "data race: account.balance is freed in add() and read in sum(), with no order between them");
    shows("T2 (worker) earlier freed account.balance, holding no lock\n");
    has(rf_text(finding(), "why"), "This is a use after free");
    has(rf_text(finding(), "fix"), "Free it only when nobody can use it any more");
    f->events[0].action = EVENT_FREE;
    f->events[1].action = EVENT_READ;
    has(rf_text(finding(), "why"), "Only this run's timing put the free last");
    f->events[1].action = EVENT_FREE;
    has(rf_text(finding(), "why"), "a double free");
}

/* The thread that made the other one takes part. */
static void creator(void)
{
    begin();
    struct finding_rec *f = race_on_counter();
    f->events[0].thread = boss->ref;
    has(rf_text(finding(), "fix"), "If the thread's work is to be done by then, join it before sum() at ");
    CU_ASSERT_PTR_NULL(strstr(rf_text(finding(), "fix"), "before the thread is created"));
    f->events[0].action = EVENT_WRITE;
    has(rf_text(finding(), "fix"), "do it before the thread is created");
}

static void lost_stacks(void)
{
    begin();
    struct finding_rec *f = race_on_counter();
    char *id = strdup(rf_text(finding(), "id"));
    f->events[1].stack = 0;
    CU_ASSERT_EQUAL(json_array_size(json_object_get(finding(), "events")), 2);
    shows("holding no lock\n      (stack no longer known)\n");
    is(rf_text(finding(), "title"),
       "data race: counter is written by T2 (worker) and read in sum(), with no order between them");
    has(rf_text(finding(), "why"), "wrote counter in a place that is no longer known");
    f->events[1].site_pc = (u64)add + 1;
    shows("      #0  add ");
    shows("\n      (the stack below is no longer known)\n");
    is(rf_text(finding(), "id"), id);
    free(id);
    f->events[1].stack = f->events[0].stack = 0;
    f->events[1].site_pc = 0;
    is(rf_text(finding(), "title"),
       "data race: counter is written by T2 (worker) and read by T3 (reader), with no order between them");
}

/* ---- one bug, one finding ---- */

static void ids(void)
{
    begin();
    race(in_program(&table[1].count), 4, EVENT_READ, EVENT_WRITE);
    race(in_program(&table[6].count), 4, EVENT_READ, EVENT_WRITE);
    struct finding_rec *turned = race(in_program(&table[2].count), 4, EVENT_WRITE, EVENT_READ);
    turned->events[0].stack = STACK_IN(add);
    turned->events[1].stack = STACK_IN(sum);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(finding(), "count")), 3);
    char *id = strdup(rf_text(finding(), "id"));
    race(in_program(&table[1].kind), 4, EVENT_READ, EVENT_WRITE);
    struct finding_rec *elsewhere = race(in_program(&table[1].count), 4, EVENT_READ, EVENT_WRITE);
    elsewhere->events[0].stack = STACK_IN(make_account);
    CU_ASSERT_EQUAL(json_array_size(collect()), 3);
    begin();
    ((struct module_rec *)arena_at(program))->is_main = 0; /* a library keeps its name */
    race(in_program(&table[1].count), 4, EVENT_READ, EVENT_WRITE);
    CU_ASSERT_STRING_NOT_EQUAL(rf_text(finding(), "id"), id);
    free(id);
}

/* Of findings that become one, that with both stacks is shown. */
static void the_plainest_is_shown(void)
{
    begin();
    struct finding_rec *f = race_on_counter();
    f->events[1].stack = 0;
    f->events[1].site_pc = (u64)add + 1;
    race_on_counter();
    CU_ASSERT_PTR_NULL(json_object_get(json_array_get(json_object_get(finding(), "events"), 1), "stack_lost"));
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(finding(), "count")), 2);
}

/* The last line says how to get accesses, where they were wanted and there was something to see. */
static void accesses_not_watched(void)
{
    struct text_options wide = {.width = 1000};
    static const char note[] = "8 lock operations; memory accesses not watched (build with snarl cc)\n";
    json_t *d = rf_document(NULL), *r = json_object_get(d, "run");
    json_object_set_new(r, "accesses", json_string("none"));
    json_object_set_new(r, "options", json_pack("{s:[s,s],s:s}", "detect", "deadlock", "race", "accesses", "auto"));
    for (int i = 0; i < 4; i++) {
        char *text = text_report(d, &wide);
        CU_ASSERT_EQUAL(strstr(text, note) != NULL, i == 0);
        free(text);
        json_object_set_new(r, "threads", json_integer(i == 0 ? 1 : 3));
        json_object_set_new(r, "accesses", json_string(i == 1 ? "compiled" : "none"));
        json_object_set_new(json_object_get(r, "options"), "accesses", json_string(i == 2 ? "none" : "auto"));
    }
    json_decref(d);
}

static void at_end(void)
{
    json_decref(document);
    document = NULL;
}

UNIT_TESTS("report: data races", {"whole_report", whole_report}, {"one_line_in_two_threads", one_line_in_two_threads},
           {"locks", locks}, {"atomic_and_plain", atomic_and_plain}, {"freed", freed}, {"creator", creator},
           {"lost_stacks", lost_stacks}, {"ids", ids}, {"the_plainest_is_shown", the_plainest_is_shown},
           {"accesses_not_watched", accesses_not_watched}, {"at_end", at_end})
