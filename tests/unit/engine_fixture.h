/* A run of the engine without threads or a preload: tests call the engine as sensors would, with made-up threads and
 * lock addresses. */
#ifndef SNARL_TESTS_ENGINE_FIXTURE_H
#define SNARL_TESTS_ENGINE_FIXTURE_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze/engine.h"
#include "analyze/hot.h"
#include "analyze/internal.h"
#include "unit.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static char fx_memory[1 << 20]; /* addresses of made-up locks */
#define LOCK(n) ((u64)&fx_memory[64 * (n)])

static u32 fx_ended; /* how often the engine asked to end processes */
static void fx_end(const ref_t *processes, u32 n)
{
    (void)processes, (void)n;
    fx_ended++;
}

static void fx_begin(u32 on_deadlock)
{
    char path[] = "/tmp/snarl-unit-XXXXXX";
    char *dir = mkdtemp(path), file[64];
    snprintf(file, sizeof file, "%s/arena", dir);
    if (arena_base)
        arena_close();
    CU_ASSERT_EQUAL_FATAL(arena_create(file, 256ULL << 20), 0);
    unlink(file);
    rmdir(dir);
    struct run_options o = {.on_deadlock = on_deadlock, .detect = DETECT_DEADLOCK | DETECT_MISUSE, .stack_depth = 64};
    CU_ASSERT_EQUAL_FATAL(engine_create_run(&o), 0);
    struct engine_hooks hooks = {.end_processes = fx_end};
    objects_after_fork(); /* twice: forget the objects of the test before */
    objects_after_fork();
    CU_ASSERT_EQUAL_FATAL(engine_start(&hooks, 0, "test"), 0);
    fx_ended = 0;
}

static struct thread *fx_main(void)
{
    struct thread *t = engine_thread_adopt(1, true);
    t->scratch[0] = 0;
    return t;
}

static struct thread *fx_spawn(struct thread *creator)
{
    struct thread *t = engine_thread_create(creator, 0, NULL);
    engine_thread_start(t, 2, 0, 0);
    return t;
}

static void fx_lock_as(struct thread *t, int n, enum object_kind kind, enum lock_mode mode, u32 how, u32 attrs)
{
    engine_acquired(t, engine_lock(t, LOCK(n), kind, attrs, NULL), mode, how, NULL);
}
static void fx_lock(struct thread *t, int n)
{
    fx_lock_as(t, n, OBJ_MUTEX, MODE_EXCLUSIVE, HOW_BLOCK, 0);
}
static int fx_unlock(struct thread *t, int n)
{
    return engine_release(t, engine_lock_peek(LOCK(n)), NULL);
}
/* t takes the locks in this order and gives them back. */
static void fx_nest(struct thread *t, int a, int b)
{
    fx_lock(t, a);
    fx_lock(t, b);
    fx_unlock(t, b);
    fx_unlock(t, a);
}

static u32 fx_count(enum finding_kind kind, enum finding_rule rule)
{
    u32 n = 0;
    for (ref_t r = run()->findings; r; r = ((struct finding_rec *)arena_at(r))->next) {
        const struct finding_rec *f = arena_at(r);
        n += f->kind == kind && f->rule == rule;
    }
    return n;
}
#define CYCLES() fx_count(FINDING_LOCK_ORDER, RULE_NONE)
#define DEADLOCKS() fx_count(FINDING_DEADLOCK, RULE_NONE)
#define STUCKS() fx_count(FINDING_STUCK, RULE_NONE)
#define MISUSES(rule) fx_count(FINDING_LOCK_MISUSE, rule)

#endif
