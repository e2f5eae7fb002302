/* Hooks of what orders the threads of an OpenMP program built by gcc: parallel regions, barriers, worksharing, ordered
 * sections and tasks of libgomp, which synchronises by atomics and futexes of its own. (openmp.c: locks and critical
 * sections.) Called by the modules that use them while accesses are watched. Takes the engine's locks in slow paths
 * only; allocates nothing: what a region or task needs lies on the stack of who makes it, or in front of the task's
 * arguments, where libgomp copies it.
 *
 * `task` is what the thread is running.
 * Not told: doacross loops (their waits take any number of arguments), tasks that are detached or reduce, and a libgomp
 * that is loaded later than the first watched module. */
#include "openmp_edges.h"

struct omp_task {
    u64 number, team, group, outer_group;
    u32 round, groups;
};

u64 openmp_last_number;
static __thread struct omp_task *task __attribute__((tls_model("initial-exec")));

/* ---- parallel regions ---- */

struct region {
    void *reductions; /* libgomp looks for them here */
    void (*run)(void *);
    void *data;
    u64 number;
};

/* What every member runs. */
static void region_run(void *arg)
{
    const struct region *r = arg;
    const u64 *fp = INTERCEPTOR_FP();
    struct omp_task mine = {.number = new_number(), .team = r->number}, *outer = task;
    acquire(edge(r->number, EDGE_START), fp);
    task = &mine;
    r->run(r->data);
    task = outer;
    release(edge(r->number, EDGE_END), fp);
    forget(mine.number, fp);
}

static void region_begin(struct region *r, void (*run)(void *), void *data, const u64 *fp)
{
    *r = (struct region){.run = run, .data = data, .number = new_number()};
    release(edge(r->number, EDGE_START), fp);
}

static void region_end(const struct region *r, const u64 *fp)
{
    acquire(edge(r->number, EDGE_END), fp);
    acquire(edge(r->number, EDGE_TASKS), fp);
    forget(r->number, fp);
}

#define REGION(name, parameters, ...)                                                                                  \
    void hook_##name parameters                                                                                        \
    {                                                                                                                  \
        const u64 *fp = INTERCEPTOR_FP();                                                                              \
        struct region r;                                                                                               \
        region_begin(&r, run, data, fp);                                                                               \
        HOOKED(name)(region_run, &r, __VA_ARGS__);                                                                     \
        region_end(&r, fp);                                                                                            \
    }
#define LOOP_CHUNKS                                                                                                    \
    (void (*run)(void *), void *data, unsigned n, long from, long to, long by, long chunk, unsigned flags)
#define LOOP (void (*run)(void *), void *data, unsigned n, long from, long to, long by, unsigned flags)
REGION(GOMP_parallel, (void (*run)(void *), void *data, unsigned n, unsigned flags), n, flags)
REGION(GOMP_parallel_sections, (void (*run)(void *), void *data, unsigned n, unsigned count, unsigned flags), n, count,
       flags)
REGION(GOMP_parallel_loop_static, LOOP_CHUNKS, n, from, to, by, chunk, flags)
REGION(GOMP_parallel_loop_dynamic, LOOP_CHUNKS, n, from, to, by, chunk, flags)
REGION(GOMP_parallel_loop_guided, LOOP_CHUNKS, n, from, to, by, chunk, flags)
REGION(GOMP_parallel_loop_nonmonotonic_dynamic, LOOP_CHUNKS, n, from, to, by, chunk, flags)
REGION(GOMP_parallel_loop_nonmonotonic_guided, LOOP_CHUNKS, n, from, to, by, chunk, flags)
REGION(GOMP_parallel_loop_runtime, LOOP, n, from, to, by, flags)
REGION(GOMP_parallel_loop_nonmonotonic_runtime, LOOP, n, from, to, by, flags)
REGION(GOMP_parallel_loop_maybe_nonmonotonic_runtime, LOOP, n, from, to, by, flags)
REGION(GOMP_teams_reg, (void (*run)(void *), void *data, unsigned n, unsigned limit, unsigned flags), n, limit, flags)

unsigned hook_GOMP_parallel_reductions(void (*run)(void *), void *data, unsigned n, unsigned flags)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct region r;
    region_begin(&r, run, data, fp);
    r.reductions = *(void **)data;
    n = HOOKED(GOMP_parallel_reductions)(region_run, &r, n, flags);
    region_end(&r, fp);
    return n;
}

/* ---- barriers, and what ends with one ---- */

static u64 round_key(void)
{
    return task ? edge(task->team, EDGE_ROUND + (task->round & 1)) : 0;
}

static void round_left(const u64 *fp)
{
    if (!task)
        return;
    acquire(round_key(), fp);
    acquire(edge(task->team, EDGE_TASKS), fp);
    task->round++;
}

#define BARRIER(name)                                                                                                  \
    void hook_##name(void)                                                                                             \
    {                                                                                                                  \
        release(round_key(), INTERCEPTOR_FP());                                                                        \
        HOOKED(name)();                                                                                                \
        round_left(INTERCEPTOR_FP());                                                                                  \
    }
BARRIER(GOMP_barrier)
BARRIER(GOMP_loop_end)
BARRIER(GOMP_sections_end)

#define BARRIER_CANCEL(name)                                                                                           \
    bool hook_##name(void)                                                                                             \
    {                                                                                                                  \
        release(round_key(), INTERCEPTOR_FP());                                                                        \
        bool cancelled = HOOKED(name)();                                                                               \
        round_left(INTERCEPTOR_FP());                                                                                  \
        return cancelled;                                                                                              \
    }
BARRIER_CANCEL(GOMP_barrier_cancel)
BARRIER_CANCEL(GOMP_loop_end_cancel)
BARRIER_CANCEL(GOMP_sections_end_cancel)

/* NULL: the caller is to do it, and tells the others at a barrier; to them that barrier is in here. */
void *hook_GOMP_single_copy_start(void)
{
    release(round_key(), INTERCEPTOR_FP());
    void *told = HOOKED(GOMP_single_copy_start)();
    if (told)
        round_left(INTERCEPTOR_FP());
    return told;
}

void hook_GOMP_single_copy_end(void *data)
{
    release(round_key(), INTERCEPTOR_FP());
    HOOKED(GOMP_single_copy_end)(data);
    round_left(INTERCEPTOR_FP());
}

/* ---- sections one after the other ---- */

void hook_GOMP_ordered_start(void)
{
    HOOKED(GOMP_ordered_start)();
    acquire(task ? edge(task->team, EDGE_ORDERED) : 0, INTERCEPTOR_FP());
}

void hook_GOMP_ordered_end(void)
{
    release(task ? edge(task->team, EDGE_ORDERED) : 0, INTERCEPTOR_FP());
    HOOKED(GOMP_ordered_end)();
}

/* Atomic updates that the processor has no instruction for: one lock for all. */
void hook_GOMP_atomic_start(void)
{
    HOOKED(GOMP_atomic_start)();
    acquire(hb_key(HB_ADDRESS, (u64)&openmp_last_number), INTERCEPTOR_FP());
}

void hook_GOMP_atomic_end(void)
{
    release(hb_key(HB_ADDRESS, (u64)&openmp_last_number), INTERCEPTOR_FP());
    HOOKED(GOMP_atomic_end)();
}

/* ---- tasks ---- */

/* What libgomp takes for a task's arguments: this, then the arguments of the program's. Of a task of a taskloop it
 * writes the range of iterations into the first two words. */
struct task_head {
    long range[2];
    void (*run)(void *);
    void (*copy)(void *, void *);
    const void *data; /* the program's, until copied */
    u64 size, offset; /* of the arguments: how many bytes, and where behind the head */
    u64 number;
    u64 parent, team, group;
    bool is_loop;
    u32 depends;
    u64 depend[DEPENDS_MAX]; /* addresses, the lowest bit set for those that are written */
};

static void head_copy(void *to, void *from)
{
    const struct task_head *h = from;
    __builtin_memcpy(to, h, sizeof *h);
    if (h->copy)
        h->copy((char *)to + h->offset, (void *)(uintptr_t)h->data);
    else
        __builtin_memcpy((char *)to + h->offset, h->data, h->size);
}

static void task_ended(const struct task_head *h, const u64 *fp)
{
    for (u32 i = 0; i < h->depends; i++)
        release(hb_key(HB_ADDRESS, DEPENDS | h->depend[i]), fp);
    release(edge(h->parent, EDGE_CHILDREN), fp);
    release(edge(h->group, EDGE_GROUP), fp);
    release(edge(h->team, EDGE_TASKS), fp);
}

static void task_run(void *arg)
{
    struct task_head *h = arg;
    const u64 *fp = INTERCEPTOR_FP();
    struct omp_task mine = {.number = h->is_loop ? new_number() : h->number, .team = h->team, .group = h->group};
    struct omp_task *outer = task;
    acquire(edge(h->number, EDGE_START), fp);
    for (u32 i = 0; i < h->depends; i++)
        depend_acquire(h->depend[i], fp);
    if (h->is_loop)
        __builtin_memcpy((char *)arg + h->offset, h->range, sizeof h->range);
    task = &mine;
    h->run((char *)arg + h->offset);
    task = outer;
    task_ended(h, fp);
    forget(mine.number, fp);
}

/* One pointer may be meant twice: each of depend's elements in turn, the first `out` of them written. */
static u32 read_depends(void **depend, u64 *into)
{
    u64 n = (u64)depend[0], out = (u64)depend[1];
    void **at = depend + 2;
    if (!n) { /* the longer form: also mutually exclusive ones, which are writers as far as order goes */
        n = (u64)depend[1];
        out = (u64)depend[2] + (u64)depend[3];
        at = depend + 5;
    }
    n = n < DEPENDS_MAX ? n : DEPENDS_MAX;
    for (u64 i = 0; i < n; i++)
        into[i] = (u64)at[i] << 1 | (i < out);
    return (u32)n;
}

/* The arguments keep their alignment behind it. */
static void head_make(struct task_head *h, void (*run)(void *), void *data, void (*copy)(void *, void *), long size,
                      long align)
{
    u64 a = align > 16 ? (u64)align : 16;
    *h = (struct task_head){.run = run,
                            .copy = copy,
                            .data = data,
                            .size = (u64)size,
                            .offset = (sizeof *h + a - 1) / a * a,
                            .number = new_number()};
    if (task) {
        h->parent = task->number;
        h->team = task->team;
        h->group = task->group;
    }
}

#define TASK_DEPENDS (1u << 3)
#define TASK_NO_GROUP (1u << 11)
/* libgomp has a look at the arguments of these: they are left as they are. */
#define TASK_REDUCTION (1u << 12)
#define TASK_DETACH (1u << 13)

void hook_GOMP_task(void (*run)(void *), void *data, void (*copy)(void *, void *), long size, long align, bool now,
                    unsigned flags, void **depend, int priority, void *detach)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct task_head h;
    if (flags & TASK_DETACH) {
        HOOKED(GOMP_task)(run, data, copy, size, align, now, flags, depend, priority, detach);
        return;
    }
    head_make(&h, run, data, copy, size, align);
    if (flags & TASK_DEPENDS)
        h.depends = read_depends(depend, h.depend);
    size += (long)h.offset;
    align = align > 16 ? align : 16;
    release(edge(h.number, EDGE_START), fp);
    HOOKED(GOMP_task)(task_run, &h, head_copy, size, align, now, flags, depend, priority, detach);
}

void hook_GOMP_taskwait(void)
{
    HOOKED(GOMP_taskwait)();
    acquire(task ? edge(task->number, EDGE_CHILDREN) : 0, INTERCEPTOR_FP());
}

void hook_GOMP_taskwait_depend(void **depend)
{
    u64 depends[DEPENDS_MAX];
    u32 n = read_depends(depend, depends);
    HOOKED(GOMP_taskwait_depend)(depend);
    for (u32 i = 0; i < n; i++)
        depend_acquire(depends[i], INTERCEPTOR_FP());
}

/* Groups in one task share a number: the inner one's end may tell of the outer one's tasks. */
static void group_begin(struct task_head *h)
{
    if (task && !task->groups++) {
        task->outer_group = task->group;
        task->group = task->number;
    }
    if (task && h)
        h->group = task->group;
}

static void group_end(const u64 *fp)
{
    if (!task || !task->groups)
        return;
    acquire(edge(task->number, EDGE_GROUP), fp);
    if (!--task->groups)
        task->group = task->outer_group;
}

void hook_GOMP_taskgroup_start(void)
{
    HOOKED(GOMP_taskgroup_start)();
    group_begin(NULL);
}

void hook_GOMP_taskgroup_end(void)
{
    HOOKED(GOMP_taskgroup_end)();
    group_end(INTERCEPTOR_FP());
}

#define TASKLOOP(name, word)                                                                                           \
    void hook_##name(void (*run)(void *), void *data, void (*copy)(void *, void *), long size, long align,             \
                     unsigned flags, unsigned long tasks, int priority, word from, word to, word by)                   \
    {                                                                                                                  \
        const u64 *fp = INTERCEPTOR_FP();                                                                              \
        struct task_head h;                                                                                            \
        if (flags & TASK_REDUCTION) {                                                                                  \
            HOOKED(name)(run, data, copy, size, align, flags, tasks, priority, from, to, by);                          \
            return;                                                                                                    \
        }                                                                                                              \
        head_make(&h, run, data, copy, size, align);                                                                   \
        size += (long)h.offset;                                                                                        \
        align = align > 16 ? align : 16;                                                                               \
        h.is_loop = true;                                                                                              \
        release(edge(h.number, EDGE_START), fp);                                                                       \
        if (!(flags & TASK_NO_GROUP))                                                                                  \
            group_begin(&h);                                                                                           \
        HOOKED(name)(task_run, &h, head_copy, size, align, flags, tasks, priority, from, to, by);                      \
        if (!(flags & TASK_NO_GROUP)) {                                                                                \
            group_end(fp);                                                                                             \
            forget(h.number, fp);                                                                                      \
        }                                                                                                              \
    }
TASKLOOP(GOMP_taskloop, long)
TASKLOOP(GOMP_taskloop_ull, unsigned long long)
