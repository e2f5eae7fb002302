/* Lost updates, from the arena to the report. */
#include "race_fixture.h"

/* worker reads in add() and writes back in sum(), reader writes in make_account(); all under table_lock. */
static struct finding_rec *lost(const volatile void *p, u32 size, enum finding_verdict verdict)
{
    static u64 signature = 1;
    struct finding_rec *f = arena_at(finding_begin(signature++, 1, 3));
    f->kind = FINDING_ATOMICITY;
    f->verdict = (u8)verdict;
    f->memory = in_program(p);
    f->memory.module = program;
    f->mem_size = size;
    f->mem_address = 0x7f0012345670;
    u64 functions[3] = {(u64)add, (u64)make_account, (u64)sum};
    for (int i = 0; i < 3; i++) {
        struct finding_event *e = &f->events[i];
        e->thread = (i == 1 ? reader : worker)->ref;
        e->action = i ? EVENT_WRITE : EVENT_READ;
        e->stack = stack_in(functions[i]);
        e->address = f->mem_address;
        e->size = size;
        holding(e, &table_lock, OBJ_MUTEX, MODE_EXCLUSIVE, 0);
    }
    *(ref_t *)arena_at(f->locks) = arena_ref(engine_lock_peek((u64)&table_lock));
    finding_publish(arena_ref(f), false);
    return f;
}

static void observed(void)
{
    begin();
    lost(&counter, sizeof counter, VERDICT_OBSERVED);
    const char *title = "lost update: counter is read and written back under table_lock in two critical sections, and "
                        "T3 (reader) wrote it in between";
    is(rf_text(finding(), "title"), title);
    is(rf_text(finding(), "kind"), "atomicity");
    CU_ASSERT(json_is_true(json_object_get(finding(), "counts")));
    CU_ASSERT_EQUAL(json_array_size(json_object_get(finding(), "events")), 3);
    CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(finding(), "locks")), 1);
    shows(title);
    shows("\n  atomicity, observed: the other write came in between in this run\n\n");
    shows("\n  T2 (worker) read counter (4 bytes), holding table_lock\n      #0  add ");
    shows("\n  T3 (reader) meanwhile wrote counter (4 bytes), holding table_lock\n      #0  make_account ");
    shows("\n  T2 (worker) wrote back counter (4 bytes), holding table_lock\n      #0  sum ");
    has(rf_text(finding(), "why"), "gave table_lock back, took it again, and wrote in sum() at race_fixture.h:");
    has(rf_text(finding(), "why"), "In between T3 (reader) wrote it in make_account() at race_fixture.h:");
    has(rf_text(finding(), "fix"), "Hold table_lock from the read to the write.");
    has(rf_text(finding(), "fix"), "atomic_fetch_add()");
    shows("more: snarl explain atomicity\n");
}

static void possible(void)
{
    begin();
    lost(&rate, sizeof rate, VERDICT_POSSIBLE);
    has(rf_text(finding(), "title"), "and another thread can write it in between");
    has(rf_text(finding(), "why"), "This run's timing kept the two apart.");
    CU_ASSERT_PTR_NULL(strstr(rf_text(finding(), "fix"), "atomic_fetch_add"));
}

static void steps_of_a_caller(void)
{
    begin();
    struct finding_rec *f = lost(&counter, sizeof counter, VERDICT_OBSERVED);
    CU_ASSERT_PTR_NULL(strstr(rf_text(finding(), "fix"), "their caller"));
    f->flags = FINDING_ACROSS_CALLS;
    has(rf_text(finding(), "fix"), "it is their caller who has to hold one from the first to the last");
}

/* Whoever wrote in between, and whether it did, it is one bug. */
static void same_bug(void)
{
    begin();
    lost(&counter, sizeof counter, VERDICT_POSSIBLE);
    struct finding_rec *f = lost(&counter, sizeof counter, VERDICT_OBSERVED);
    f->events[1].stack = STACK_IN(sum);
    is(rf_text(finding(), "verdict"), "observed");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(finding(), "count")), 2);
    f->events[2].stack = STACK_IN(add);
    CU_ASSERT_EQUAL(json_array_size(collect()), 2);
}

UNIT_TESTS("reports of lost updates", {"observed", observed}, {"possible", possible},
           {"steps_of_a_caller", steps_of_a_caller}, {"same_bug", same_bug})
