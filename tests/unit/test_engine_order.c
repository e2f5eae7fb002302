/* Lock-order cycles on made-up threads: which orders are a finding and which are not. */
#include "engine_fixture.h"

static struct thread *m, *t1, *t2;

static void begin(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    m = fx_main();
    t1 = fx_spawn(m);
    t2 = fx_spawn(m);
}

static void abba(void)
{
    begin();
    fx_nest(t1, 1, 2);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(t2, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 1);
    for (int i = 0; i < 100; i++) {
        fx_nest(t1, 1, 2);
        fx_nest(t2, 2, 1);
    }
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void abba_single_thread(void)
{
    begin();
    fx_nest(t1, 1, 2);
    fx_nest(t1, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(t2, 1, 2); /* now somebody else can meet it */
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void abba_gate(void)
{
    begin();
    fx_lock(t1, 9), fx_nest(t1, 1, 2), fx_unlock(t1, 9);
    fx_lock(t2, 9), fx_nest(t2, 2, 1), fx_unlock(t2, 9);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(t2, 2, 1); /* the same order without the gate */
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void abba_gate_shared(void)
{
    begin();
    struct thread *t[] = {t1, t2};
    for (int i = 0; i < 2; i++) {
        fx_lock_as(t[i], 9, OBJ_RWLOCK, MODE_SHARED, 0, 0);
        fx_nest(t[i], 1 + i, 2 - i);
        fx_unlock(t[i], 9);
    }
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void abba_create_ordered(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    m = fx_main();
    fx_nest(m, 1, 2);
    t1 = fx_spawn(m);
    fx_nest(t1, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(m, 1, 2); /* beside t1 this time */
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void abba_join_ordered(void)
{
    begin();
    fx_nest(t1, 1, 2);
    engine_thread_end(t1);
    engine_joined(m, t1->ref);
    fx_nest(m, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(t2, 2, 1); /* not ordered with t1 */
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void barrier_round(struct thread *a, struct thread *b)
{
    engine_barrier_arrive(a, LOCK(20), NULL);
    engine_barrier_arrive(b, LOCK(20), NULL);
    engine_barrier_leave(b, LOCK(20), NULL);
    engine_barrier_leave(a, LOCK(20), NULL);
}

static void abba_barrier_ordered(void)
{
    begin();
    engine_barrier_init(m, LOCK(20), 2, 0, NULL);
    for (int i = 0; i < 5; i++) {
        fx_nest(t1, 1, 2);
        barrier_round(t1, t2);
        fx_nest(t2, 2, 1);
        barrier_round(t1, t2);
    }
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(t1, 1, 2);
    fx_nest(t2, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void ring5(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    m = fx_main();
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(CYCLES(), 0);
        fx_nest(fx_spawn(m), 1 + i, 1 + (i + 1) % 5);
    }
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void reader_reader(void)
{
    for (int queue = 0; queue < 2; queue++) {
        begin();
        u32 attrs = queue ? ATTR_WRITER_NONRECURSIVE : 0;
        struct thread *t[] = {t1, t2};
        fx_lock_as(m, 1, OBJ_RWLOCK, MODE_EXCLUSIVE, 0, attrs), fx_unlock(m, 1);
        fx_lock_as(m, 2, OBJ_RWLOCK, MODE_EXCLUSIVE, 0, attrs), fx_unlock(m, 2);
        for (int i = 0; i < 2; i++) {
            fx_lock_as(t[i], 1 + i, OBJ_RWLOCK, MODE_SHARED, 0, attrs);
            fx_lock_as(t[i], 2 - i, OBJ_RWLOCK, MODE_SHARED, 0, attrs);
            fx_unlock(t[i], 2 - i), fx_unlock(t[i], 1 + i);
        }
        CU_ASSERT_EQUAL(CYCLES(), (u32)queue);
    }
}

static void reader_writer(void)
{
    begin();
    fx_lock_as(t1, 1, OBJ_RWLOCK, MODE_SHARED, 0, 0), fx_lock(t1, 2), fx_unlock(t1, 2), fx_unlock(t1, 1);
    fx_lock(t2, 2), fx_lock_as(t2, 1, OBJ_RWLOCK, MODE_EXCLUSIVE, 0, 0), fx_unlock(t2, 1), fx_unlock(t2, 2);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void trylock_backoff(void)
{
    begin();
    fx_nest(t1, 1, 2);
    fx_lock(t2, 2), fx_lock_as(t2, 1, OBJ_MUTEX, MODE_EXCLUSIVE, HOW_TRY, 0), fx_unlock(t2, 1), fx_unlock(t2, 2);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    /* What was taken by a try is held all the same. */
    fx_lock_as(t2, 2, OBJ_MUTEX, MODE_EXCLUSIVE, HOW_TRY, 0), fx_lock(t2, 1), fx_unlock(t2, 1), fx_unlock(t2, 2);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void try_between(void)
{
    begin(); /* A, try B, C: both A and B come before C */
    fx_lock(t1, 1), fx_lock_as(t1, 2, OBJ_MUTEX, MODE_EXCLUSIVE, HOW_TRY, 0), fx_lock(t1, 3);
    fx_unlock(t1, 3), fx_unlock(t1, 2), fx_unlock(t1, 1);
    fx_nest(t2, 3, 1);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void timedlock(void)
{
    begin();
    struct thread *t[] = {t1, t2};
    for (int i = 0; i < 2; i++) {
        fx_lock(t[i], 1 + i);
        fx_lock_as(t[i], 2 - i, OBJ_MUTEX, MODE_EXCLUSIVE, HOW_TIMED, 0);
        fx_unlock(t[i], 2 - i), fx_unlock(t[i], 1 + i);
    }
    CU_ASSERT_EQUAL(CYCLES(), 0); /* both give up */
    fx_nest(t2, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void recursive(void)
{
    begin();
    fx_lock_as(t1, 1, OBJ_MUTEX, 0, 0, ATTR_RECURSIVE), fx_lock(t1, 2),
        fx_lock_as(t1, 1, OBJ_MUTEX, 0, 0, ATTR_RECURSIVE);
    CU_ASSERT_EQUAL(t1->rec->nheld, 2);
    fx_unlock(t1, 1), fx_unlock(t1, 2);
    CU_ASSERT_EQUAL(t1->rec->nheld, 1);
    fx_unlock(t1, 1);
    fx_nest(t2, 1, 2);
    CU_ASSERT_EQUAL(CYCLES(), 0);
}

static void not_lifo(void)
{
    begin(); /* A, B, unlock A, C: C comes after B only */
    fx_lock(t1, 1), fx_lock(t1, 2), fx_unlock(t1, 1), fx_lock(t1, 3), fx_unlock(t1, 2), fx_unlock(t1, 3);
    fx_nest(t2, 3, 1);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(t2, 3, 2);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void reused_address(void)
{
    begin();
    fx_nest(t1, 1, 2);
    engine_lock_destroy(t1, LOCK(1), OBJ_MUTEX, NULL);
    engine_lock_init(t2, LOCK(1), OBJ_MUTEX, 0, 0, NULL);
    fx_nest(t2, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    engine_memory_gone(t2, LOCK(2), 64, NULL);
    fx_nest(t1, 1, 2);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(t2, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void condition_relock(void)
{
    begin(); /* waits for a condition of lock 2 while holding lock 1 that was taken after it */
    fx_lock(t1, 2), fx_lock(t1, 1);
    u32 depth = engine_cond_wait_begin(t1, LOCK(30), engine_lock_peek(LOCK(2)), false, 0, NULL);
    engine_cond_wait_end(t1, LOCK(30), engine_lock_peek(LOCK(2)), depth, NULL);
    fx_unlock(t1, 2), fx_unlock(t1, 1);
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(t2, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

static void sem_as_lock(void)
{
    for (int handed_over = 0; handed_over < 2; handed_over++) {
        begin();
        engine_lock_init(m, LOCK(1), OBJ_SEM, 0, 1, NULL);
        engine_lock_init(m, LOCK(2), OBJ_SEM, 0, 1, NULL);
        struct thread *t[] = {t1, t2};
        for (int i = 0; i < 2; i++) {
            struct lock_rec *a = engine_lock_peek(LOCK(1 + i)), *b = engine_lock_peek(LOCK(2 - i));
            engine_sem_taken(t[i], a, 0, NULL), engine_sem_taken(t[i], b, 0, NULL);
            engine_sem_post(t[i], b, NULL), engine_sem_post(handed_over ? m : t[i], a, NULL);
        }
        CU_ASSERT_EQUAL(CYCLES(), (u32)!handed_over);
    }
}

static void held_10000(void)
{
    begin();
    for (int i = 0; i < 10000; i++)
        fx_lock(t1, i);
    CU_ASSERT_EQUAL(t1->rec->nheld, 10000);
    for (int i = 0; i < 10000; i++)
        fx_unlock(t1, i);
    CU_ASSERT_EQUAL(t1->rec->nheld, 0);
    fx_nest(t2, 9999, 3);
    CU_ASSERT_EQUAL(CYCLES(), 1);
    CU_ASSERT_EQUAL(run()->lost[LOSS_arena_full], 0);
}

static void gate_first_then_not(void)
{
    begin(); /* the first sighting is gated; the later one must not be hidden by a cache */
    for (int round = 0; round < 3; round++) {
        fx_lock(t1, 9), fx_nest(t1, 1, 2), fx_unlock(t1, 9);
        fx_lock(t2, 9), fx_nest(t2, 2, 1), fx_unlock(t2, 9);
    }
    CU_ASSERT_EQUAL(CYCLES(), 0);
    fx_nest(t1, 1, 2);
    CU_ASSERT_EQUAL(CYCLES(), 1); /* t2's gated order does not hold the gate against t1's free one */
}

static void try_then_block_not_cached(void)
{
    begin();
    fx_lock(t1, 1), fx_lock_as(t1, 2, OBJ_MUTEX, 0, HOW_TRY, 0), fx_unlock(t1, 2), fx_unlock(t1, 1);
    fx_nest(t1, 1, 2);
    fx_nest(t2, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

UNIT_TESTS("lock order", {"abba", abba}, {"abba_single_thread", abba_single_thread}, {"abba_gate", abba_gate},
           {"abba_gate_shared", abba_gate_shared}, {"abba_create_ordered", abba_create_ordered},
           {"abba_join_ordered", abba_join_ordered}, {"abba_barrier_ordered", abba_barrier_ordered}, {"ring5", ring5},
           {"reader_reader", reader_reader}, {"reader_writer", reader_writer}, {"trylock_backoff", trylock_backoff},
           {"try_between", try_between}, {"timedlock", timedlock}, {"recursive", recursive}, {"not_lifo", not_lifo},
           {"reused_address", reused_address}, {"condition_relock", condition_relock}, {"sem_as_lock", sem_as_lock},
           {"held_10000", held_10000}, {"gate_first_then_not", gate_first_then_not},
           {"try_then_block_not_cached", try_then_block_not_cached})
