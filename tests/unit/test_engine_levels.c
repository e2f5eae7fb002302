/* Levels, and what is said of locks before their first use, on made-up threads. */
#include "engine_fixture.h"

static struct thread *m, *t1;

static void begin(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    m = fx_main();
    t1 = fx_spawn(m);
}

static void level(int n, u32 value)
{
    engine_lock_level(engine_lock_told(m, LOCK(n), NULL), value);
}

static const struct finding_rec *last_finding(void)
{
    return arena_at(run()->findings_tail);
}

static void in_order(void)
{
    begin();
    level(1, 10);
    level(2, 20);
    fx_nest(t1, 1, 2);
    fx_nest(m, 1, 2);
    CU_ASSERT_EQUAL(CYCLES(), 0);
}

static void against(void)
{
    begin();
    level(1, 10);
    level(2, 20);
    fx_nest(t1, 2, 1);
    CU_ASSERT_EQUAL_FATAL(CYCLES(), 1);
    const struct finding_rec *f = last_finding();
    CU_ASSERT_EQUAL(f->flags, FINDING_LEVEL);
    CU_ASSERT_EQUAL(f->verdict, VERDICT_POSSIBLE);
    CU_ASSERT_EQUAL_FATAL(f->nevents, 2);
    CU_ASSERT_EQUAL(f->events[0].action, EVENT_HOLD);
    CU_ASSERT_EQUAL(f->events[0].object, arena_ref(engine_lock_peek(LOCK(2))));
    CU_ASSERT_EQUAL(f->events[1].action, EVENT_ACQUIRE);
    CU_ASSERT_EQUAL(f->events[1].object, arena_ref(engine_lock_peek(LOCK(1))));
    CU_ASSERT_EQUAL(f->events[1].nheld, 1);
    for (int i = 0; i < 10; i++)
        fx_nest(t1, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void equal(void)
{
    begin();
    level(1, 10);
    level(2, 10);
    fx_nest(t1, 1, 2);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void without(void)
{
    begin();
    level(2, 20);
    fx_nest(t1, 2, 1);
    level(1, 10);
    level(2, 0);
    fx_nest(m, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 0);
}

static void tried(void)
{
    begin();
    level(1, 10);
    level(2, 20);
    fx_lock(t1, 2);
    fx_lock_as(t1, 1, OBJ_MUTEX, MODE_EXCLUSIVE, HOW_TRY, 0);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_lock(t1, 3); /* no level */
    CU_ASSERT_EQUAL(CYCLES(), 0);
    level(4, 15);
    fx_lock(t1, 4); /* above the innermost one that has a level, below the highest */
    CU_ASSERT_EQUAL_FATAL(CYCLES(), 1);
    CU_ASSERT_EQUAL(last_finding()->events[0].object, arena_ref(engine_lock_peek(LOCK(2))));
}

/* The kind shows at the first use; what was said before stays. */
static void told_before_use(void)
{
    begin();
    u64 customs = run()->objects_seen[OBJ_CUSTOM];
    struct lock_rec *told = engine_lock_told(m, LOCK(1), NULL);
    engine_lock_name(told, "ledger");
    engine_lock_level(told, 7);
    CU_ASSERT_EQUAL(told->head.kind, OBJ_CUSTOM);
    fx_lock(t1, 1);
    const struct lock_rec *l = engine_lock_peek(LOCK(1));
    CU_ASSERT_EQUAL(l->head.kind, OBJ_MUTEX);
    CU_ASSERT_STRING_EQUAL(string_text(l->birth.name), "ledger");
    CU_ASSERT_EQUAL(l->level, 7);
    CU_ASSERT_EQUAL(run()->objects_seen[OBJ_CUSTOM], customs);
    CU_ASSERT_PTR_EQUAL(engine_lock_told(m, LOCK(1), NULL), l);
    engine_memory_gone(t1, LOCK(1), 64, NULL);
}

static void told_before_init(void)
{
    begin();
    engine_lock_name(engine_lock_told(m, LOCK(1), NULL), "ledger");
    engine_lock_init(m, LOCK(1), OBJ_RWLOCK, 0, 0, NULL);
    const struct lock_rec *l = engine_lock_peek(LOCK(1));
    CU_ASSERT_EQUAL(l->head.kind, OBJ_RWLOCK);
    CU_ASSERT_STRING_EQUAL(string_text(l->birth.name), "ledger");
    CU_ASSERT_TRUE(l->head.attrs & ATTR_INITIALISED);
    /* Another lock at that address has no name. */
    engine_lock_destroy(m, LOCK(1), OBJ_RWLOCK, NULL);
    engine_lock_init(m, LOCK(1), OBJ_RWLOCK, 0, 0, NULL);
    CU_ASSERT_EQUAL(engine_lock_peek(LOCK(1))->birth.name, 0);
}

static void odd_address(void)
{
    begin();
    u64 addr = LOCK(5) + 3;
    engine_lock_find(m, addr, OBJ_CUSTOM, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL(engine_lock_peek(addr));
    engine_memory_gone(m, LOCK(5) + 4, 16, NULL);
    CU_ASSERT_PTR_NOT_NULL(engine_lock_peek(addr));
    engine_memory_gone(m, LOCK(5) + 1, 3, NULL);
    CU_ASSERT_PTR_NULL(engine_lock_peek(addr));
}

UNIT_TESTS("lock levels", {"in_order", in_order}, {"against", against}, {"equal", equal}, {"without", without},
           {"tried", tried}, {"told_before_use", told_before_use}, {"told_before_init", told_before_init},
           {"odd_address", odd_address})
