/* Deadlocks, stuck programs and misuse on made-up threads. */
#include <errno.h>
#include <pthread.h>

#include "engine_fixture.h"

static struct thread *m, *t1, *t2;

static void begin(u32 on_deadlock)
{
    fx_begin(on_deadlock);
    m = fx_main();
    t1 = fx_spawn(m);
    t2 = fx_spawn(m);
}

static int waits(struct thread *t, int n, enum lock_mode mode, u32 how)
{
    return engine_lock_wait(t, engine_lock_peek(LOCK(n)), mode, how, NULL);
}

static void abba(void)
{
    begin(ON_DEADLOCK_REPORT);
    fx_lock(t1, 1), fx_lock(t2, 2);
    CU_ASSERT_EQUAL(waits(t1, 2, MODE_EXCLUSIVE, 0), 0);
    CU_ASSERT_EQUAL(DEADLOCKS(), 0);
    CU_ASSERT_EQUAL(waits(t2, 1, MODE_EXCLUSIVE, 0), 0);
    CU_ASSERT_EQUAL(DEADLOCKS(), 1);
    CU_ASSERT_EQUAL(run()->urgent, 1);
}

static void abba_abort(void)
{
    begin(ON_DEADLOCK_ABORT);
    fx_lock(t1, 1), fx_lock(t2, 2);
    waits(t1, 2, MODE_EXCLUSIVE, 0), waits(t2, 1, MODE_EXCLUSIVE, 0);
    CU_ASSERT_EQUAL(fx_ended, 1);
}

static void abba_break(void)
{
    begin(ON_DEADLOCK_BREAK);
    fx_lock(t1, 1), fx_lock(t2, 2);
    CU_ASSERT_EQUAL(waits(t1, 2, MODE_EXCLUSIVE, 0), 0);
    CU_ASSERT_EQUAL(waits(t2, 1, MODE_EXCLUSIVE, 0), EDEADLK);
    /* The victim ignores the error: its unlock of what it never had is swallowed. */
    CU_ASSERT_EQUAL(fx_unlock(t2, 1), 1);
    CU_ASSERT_EQUAL(fx_unlock(t2, 2), 0);
    engine_wait_end(t1);
    fx_lock(t1, 2);
    CU_ASSERT_EQUAL(fx_unlock(t1, 2), 0);
    CU_ASSERT_EQUAL(fx_unlock(t1, 1), 0);
    CU_ASSERT_EQUAL(run()->nfindings, 1);
}

static void break_phantom_condition(void)
{
    begin(ON_DEADLOCK_BREAK);
    fx_lock(t1, 1), fx_lock(t2, 2);
    waits(t1, 2, MODE_EXCLUSIVE, 0);
    CU_ASSERT_EQUAL(waits(t2, 1, MODE_EXCLUSIVE, 0), EDEADLK);
    CU_ASSERT_EQUAL(engine_cond_wait_begin(t2, LOCK(30), engine_lock_peek(LOCK(1)), false, 0, NULL),
                    ENGINE_COND_SWALLOW);
}

static void abba_timed(void)
{
    begin(ON_DEADLOCK_REPORT);
    fx_lock(t1, 1), fx_lock(t2, 2);
    waits(t1, 2, MODE_EXCLUSIVE, HOW_TIMED), waits(t2, 1, MODE_EXCLUSIVE, 0);
    CU_ASSERT_EQUAL(DEADLOCKS(), 0);
}

static void ring5(void)
{
    begin(ON_DEADLOCK_REPORT);
    struct thread *t[5];
    for (int i = 0; i < 5; i++)
        fx_lock(t[i] = fx_spawn(m), i);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(DEADLOCKS(), 0);
        waits(t[i], (i + 1) % 5, MODE_EXCLUSIVE, 0);
    }
    CU_ASSERT_EQUAL(DEADLOCKS(), 1);
    CU_ASSERT_EQUAL(((struct finding_rec *)arena_at(run()->findings))->nlocks, 5);
}

static void join_while_holding(void)
{
    begin(ON_DEADLOCK_REPORT);
    fx_lock(m, 1);
    waits(t1, 1, MODE_EXCLUSIVE, 0);
    engine_join_begin(m, t1->ref, false, NULL);
    CU_ASSERT_EQUAL(DEADLOCKS(), 1);
}

static void writer_waits_for_reader(void)
{
    begin(ON_DEADLOCK_REPORT);
    fx_lock_as(t1, 1, OBJ_RWLOCK, MODE_SHARED, 0, 0);
    fx_lock(t2, 2);
    waits(t2, 1, MODE_EXCLUSIVE, 0);
    waits(t1, 2, MODE_EXCLUSIVE, 0);
    CU_ASSERT_EQUAL(DEADLOCKS(), 1);
}

static void recursive_read_behind_writer(void)
{
    for (int queue = 0; queue < 2; queue++) {
        begin(ON_DEADLOCK_REPORT);
        fx_lock_as(t1, 1, OBJ_RWLOCK, MODE_SHARED, 0, queue ? ATTR_WRITER_NONRECURSIVE : 0);
        waits(t2, 1, MODE_EXCLUSIVE, 0);
        waits(t1, 1, MODE_SHARED, 0);
        CU_ASSERT_EQUAL(DEADLOCKS(), (u32)queue);
    }
}

static void owner_ended(void)
{
    begin(ON_DEADLOCK_REPORT);
    fx_lock(t1, 1);
    engine_thread_end(t1);
    CU_ASSERT_EQUAL(MISUSES(RULE_LOCK_LEFT_AT_THREAD_EXIT), 1);
    waits(t2, 1, MODE_EXCLUSIVE, 0);
    CU_ASSERT_EQUAL(DEADLOCKS(), 1);
}

static void condition_needs_its_mutex(void)
{
    begin(ON_DEADLOCK_REPORT); /* t1 waits for a condition of 2 while holding 1; t2 has 2 and wants 1 */
    fx_lock(t1, 1), fx_lock(t1, 2);
    engine_cond_wait_begin(t1, LOCK(30), engine_lock_peek(LOCK(2)), true, 0, NULL);
    fx_lock(t2, 2);
    CU_ASSERT_EQUAL(DEADLOCKS(), 0);
    waits(t2, 1, MODE_EXCLUSIVE, 0);
    CU_ASSERT_EQUAL(DEADLOCKS(), 1);
}

static void lost_wakeup(void)
{
    begin(ON_DEADLOCK_REPORT);
    engine_thread_end(t2);
    fx_lock(t1, 1);
    engine_cond_signal(m, LOCK(30), false, NULL); /* nobody waits yet */
    engine_cond_wait_begin(t1, LOCK(30), engine_lock_peek(LOCK(1)), false, 0, NULL);
    CU_ASSERT_EQUAL(STUCKS(), 0);
    engine_join_begin(m, t1->ref, false, NULL);
    CU_ASSERT_EQUAL(STUCKS(), 1);
}

static void wakeup_on_its_way(void)
{
    begin(ON_DEADLOCK_REPORT);
    engine_thread_end(t2);
    fx_lock(t1, 1);
    engine_cond_wait_begin(t1, LOCK(30), engine_lock_peek(LOCK(1)), false, 0, NULL);
    engine_cond_signal(m, LOCK(30), false, NULL);
    engine_join_begin(m, t1->ref, false, NULL);
    CU_ASSERT_EQUAL(STUCKS(), 0);
}

static void timed_waiter_keeps_all_alive(void)
{
    begin(ON_DEADLOCK_REPORT);
    engine_thread_end(t2);
    fx_lock(t1, 1);
    engine_cond_wait_begin(t1, LOCK(30), engine_lock_peek(LOCK(1)), true, 0, NULL);
    engine_join_begin(m, t1->ref, false, NULL);
    CU_ASSERT_EQUAL(STUCKS() + DEADLOCKS(), 0);
}

static void semaphore_never_posted(void)
{
    for (int posted = 0; posted < 2; posted++) {
        begin(ON_DEADLOCK_REPORT);
        engine_thread_end(t2);
        engine_lock_init(m, LOCK(1), OBJ_SEM, 0, 0, NULL);
        if (posted)
            engine_sem_post(m, engine_lock_peek(LOCK(1)), NULL);
        engine_sem_wait(t1, engine_lock_peek(LOCK(1)), 0, NULL);
        engine_join_begin(m, t1->ref, false, NULL);
        CU_ASSERT_EQUAL(STUCKS(), (u32)!posted);
    }
}

static void semaphore_handler_may_post(void)
{
    begin(ON_DEADLOCK_REPORT);
    engine_thread_end(t2), engine_thread_end(t1);
    process()->handlers = 1;
    engine_lock_init(m, LOCK(1), OBJ_SEM, 0, 0, NULL);
    engine_sem_wait(m, engine_lock_peek(LOCK(1)), 0, NULL);
    CU_ASSERT_EQUAL(STUCKS(), 0);
}

static void semaphores_as_locks(void)
{
    begin(ON_DEADLOCK_REPORT);
    engine_lock_init(m, LOCK(1), OBJ_SEM, 0, 1, NULL), engine_lock_init(m, LOCK(2), OBJ_SEM, 0, 1, NULL);
    struct lock_rec *a = engine_lock_peek(LOCK(1)), *b = engine_lock_peek(LOCK(2));
    engine_sem_taken(t1, a, 0, NULL), engine_sem_taken(t2, b, 0, NULL);
    engine_sem_wait(t1, b, 0, NULL), engine_sem_wait(t2, a, 0, NULL);
    CU_ASSERT_EQUAL(DEADLOCKS(), 0); /* main could still post */
    engine_join_begin(m, t1->ref, false, NULL);
    CU_ASSERT_EQUAL(DEADLOCKS(), 1);
}

static void wait_on_own_semaphore(void)
{
    /* CPython's Condition.wait: takes a lock, then takes it again; another thread releases it */
    begin(ON_DEADLOCK_REPORT);
    engine_lock_init(m, LOCK(1), OBJ_SEM, 0, 1, NULL);
    struct lock_rec *s = engine_lock_peek(LOCK(1));
    engine_sem_taken(t1, s, 0, NULL);
    CU_ASSERT_EQUAL(engine_sem_wait(t1, s, 0, NULL), 0);
    engine_sem_post(t2, s, NULL);
    engine_wait_end(t1);
    engine_sem_taken(t1, s, 0, NULL);
    CU_ASSERT_EQUAL(run()->nfindings, 0);
}

static void barrier_cannot_fill(void)
{
    begin(ON_DEADLOCK_REPORT);
    engine_thread_end(t2);
    engine_barrier_init(m, LOCK(20), 3, 0, NULL);
    engine_barrier_arrive(t1, LOCK(20), NULL);
    CU_ASSERT_EQUAL(STUCKS(), 0);
    engine_barrier_arrive(m, LOCK(20), NULL);
    CU_ASSERT_EQUAL(STUCKS(), 1);
}

static void last_runner_ends(void)
{
    begin(ON_DEADLOCK_REPORT);
    fx_lock(t1, 1);
    engine_cond_wait_begin(t1, LOCK(30), engine_lock_peek(LOCK(1)), false, 0, NULL);
    engine_join_begin(m, t1->ref, false, NULL);
    CU_ASSERT_EQUAL(STUCKS(), 0);
    engine_thread_end(t2);
    CU_ASSERT_EQUAL(STUCKS(), 1);
}

static void relock(void)
{
    begin(ON_DEADLOCK_BREAK);
    fx_lock(t1, 1);
    CU_ASSERT_EQUAL(waits(t1, 1, MODE_EXCLUSIVE, 0), EDEADLK);
    CU_ASSERT_EQUAL(MISUSES(RULE_RELOCK), 1);
    fx_lock_as(t2, 2, OBJ_MUTEX, 0, 0, ATTR_ERRORCHECK);
    CU_ASSERT_EQUAL(waits(t2, 2, MODE_EXCLUSIVE, 0), 0);
    CU_ASSERT_EQUAL(MISUSES(RULE_RELOCK), 1);
    fx_lock_as(t2, 3, OBJ_RWLOCK, MODE_SHARED, 0, 0);
    waits(t2, 3, MODE_EXCLUSIVE, 0);
    CU_ASSERT_EQUAL(MISUSES(RULE_RWLOCK_UPGRADE), 1);
}

static void unlocks(void)
{
    begin(ON_DEADLOCK_REPORT);
    fx_lock(t1, 1);
    fx_unlock(t2, 1);
    CU_ASSERT_EQUAL(MISUSES(RULE_UNLOCK_NOT_OWNER), 1);
    fx_unlock(t1, 1); /* gone already */
    CU_ASSERT_EQUAL(MISUSES(RULE_UNLOCK_NOT_LOCKED), 1);
    fx_lock(t2, 1);
    CU_ASSERT_EQUAL(fx_unlock(t2, 1), 0);
    CU_ASSERT_EQUAL(run()->nfindings, 2);
}

static void destroys(void)
{
    begin(ON_DEADLOCK_REPORT);
    pthread_mutex_t *real = (pthread_mutex_t *)fx_memory; /* LOCK(0): use-destroyed looks at its type field */
    pthread_mutex_init(real, NULL);
    fx_lock(t1, 0), fx_unlock(t1, 0);
    engine_lock_destroy(t1, LOCK(0), OBJ_MUTEX, NULL);
    CU_ASSERT_EQUAL(run()->nfindings, 0);
    fx_lock(t1, 0), fx_unlock(t1, 0); /* revived by a static initialiser, as far as its type field tells */
    CU_ASSERT_EQUAL(run()->nfindings, 0);
    engine_lock_destroy(t1, LOCK(0), OBJ_MUTEX, NULL);
    pthread_mutex_destroy(real);
    fx_lock(t1, 0);
    CU_ASSERT_EQUAL(MISUSES(RULE_USE_DESTROYED), 1);
    engine_lock_destroy(t2, LOCK(0), OBJ_MUTEX, NULL);
    CU_ASSERT_EQUAL(MISUSES(RULE_DESTROY_LOCKED), 1);
}

static void condition_rules(void)
{
    begin(ON_DEADLOCK_REPORT);
    fx_lock(t1, 1), fx_lock(t2, 2);
    u32 d1 = engine_cond_wait_begin(t1, LOCK(30), engine_lock_peek(LOCK(1)), false, 0, NULL);
    u32 d2 = engine_cond_wait_begin(t2, LOCK(30), engine_lock_peek(LOCK(2)), false, 0, NULL);
    CU_ASSERT_EQUAL(MISUSES(RULE_WAIT_TWO_MUTEXES), 1);
    engine_cond_wait_end(t1, LOCK(30), engine_lock_peek(LOCK(1)), d1, NULL);
    engine_cond_wait_end(t2, LOCK(30), engine_lock_peek(LOCK(2)), d2, NULL);
    fx_unlock(t1, 1);
    engine_cond_wait_begin(t1, LOCK(30), engine_lock_peek(LOCK(1)), false, 0, NULL);
    CU_ASSERT_EQUAL(MISUSES(RULE_WAIT_WITHOUT_LOCK), 1);
}

static void fork_left_locked(void)
{
    begin(ON_DEADLOCK_REPORT);
    fx_lock(t1, 1), fx_lock(m, 2);
    engine_fork_prepare(m, NULL);
    run()->threads_lock.word = 0; /* the parent's to release */
    engine_fork_child(m, 77);
    CU_ASSERT_EQUAL(m->rec->nheld, 1); /* its own lock came along */
    CU_ASSERT_EQUAL(fx_unlock(m, 2), 0);
    struct lock_rec *l = engine_lock(m, LOCK(1), OBJ_MUTEX, 0, NULL);
    engine_lock_wait(m, l, MODE_EXCLUSIVE, 0, NULL);
    CU_ASSERT_EQUAL(MISUSES(RULE_FORK_WHILE_LOCKED), 1);
    CU_ASSERT_EQUAL(DEADLOCKS(), 1);
    CU_ASSERT_EQUAL(run()->nfindings, 2);
}

UNIT_TESTS("waits and misuse", {"abba", abba}, {"abba_abort", abba_abort}, {"abba_break", abba_break},
           {"break_phantom_condition", break_phantom_condition}, {"abba_timed", abba_timed}, {"ring5", ring5},
           {"join_while_holding", join_while_holding}, {"writer_waits_for_reader", writer_waits_for_reader},
           {"recursive_read_behind_writer", recursive_read_behind_writer}, {"owner_ended", owner_ended},
           {"condition_needs_its_mutex", condition_needs_its_mutex}, {"lost_wakeup", lost_wakeup},
           {"wakeup_on_its_way", wakeup_on_its_way}, {"timed_waiter_keeps_all_alive", timed_waiter_keeps_all_alive},
           {"semaphore_never_posted", semaphore_never_posted},
           {"semaphore_handler_may_post", semaphore_handler_may_post}, {"semaphores_as_locks", semaphores_as_locks},
           {"wait_on_own_semaphore", wait_on_own_semaphore}, {"barrier_cannot_fill", barrier_cannot_fill},
           {"last_runner_ends", last_runner_ends}, {"relock", relock}, {"unlocks", unlocks}, {"destroys", destroys},
           {"condition_rules", condition_rules}, {"fork_left_locked", fork_left_locked})
