/* What orders the threads of an OpenMP program built by clang. LLVM's libomp tells tools of it (the OpenMP standard's tools
 * interface, OMPT): it looks for ompt_start_tool when it starts, and calls what that leads to at every event.
 *
 * Called by libomp, on the threads of the program, while accesses are watched; without them it finds no tool. Takes the
 * engine's locks in slow paths only. The state of a task comes from pages of our own, under a lock held for a few loads
 * and stores. Locks and critical sections are seen in openmp.c.
 *
 * What libomp tells after the fact (an ordered section's end) is hooked instead. Reductions are done in an order of
 * libomp's own: accesses in them are not looked at. Not told: doacross loops. */
#include "openmp_edges.h"

#include "base/sys.h"

/* The parts of omp-tools.h that are used here; the numbers are the standard's. */
typedef union {
    u64 value;
    void *ptr;
} ompt_data;
struct ompt_dependence {
    ompt_data variable;
    int type;
};
struct ompt_tool {
    int (*initialize)(void *(*lookup)(const char *), int device, ompt_data *data);
    void (*finalize)(ompt_data *data);
    ompt_data data;
};
enum { BEGIN = 1, END = 2 };
enum {
    ON_PARALLEL_BEGIN = 3,
    ON_PARALLEL_END,
    ON_TASK_CREATE,
    ON_TASK_SCHEDULE,
    ON_IMPLICIT_TASK,
    ON_DEPENDENCES = 18
};
enum { ON_SYNC_REGION = 23, ON_REDUCTION = 31 };
enum { SYNC_TASKWAIT = 5, SYNC_TASKGROUP = 6, SYNC_REDUCTION = 7 };
enum { TASK_COMPLETE = 1, TASK_CANCEL = 3, TASK_WAIT_COMPLETE = 8 };
enum { DEPEND_IN = 1 };

#define DEPENDS_MOST 16u
#define CHUNK 65536u

struct tool_task {
    struct tool_task *next; /* free */
    u64 number, parent, team, group, outer_group;
    u32 round, groups, depends;
    u64 depend[DEPENDS_MOST]; /* addresses, the lowest bit set for those that are written */
};
static u32 guard;
static struct tool_task *free_tasks;
static __thread struct tool_task *running __attribute__((tls_model("initial-exec")));

/* ---- the states of tasks ---- */

static void guard_enter(void)
{
    while (__atomic_exchange_n(&guard, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}
static void guard_leave(void)
{
    __atomic_store_n(&guard, 0, __ATOMIC_RELEASE);
}

/* NULL: no memory; what depends on the task is not told, then. */
static struct tool_task *task_new(u64 team, const struct tool_task *parent)
{
    guard_enter();
    if (!free_tasks) {
        struct tool_task *chunk = sys_map(CHUNK);
        for (u32 i = 0; chunk && i < CHUNK / sizeof *chunk; i++) {
            chunk[i].next = free_tasks;
            free_tasks = &chunk[i];
        }
    }
    struct tool_task *t = free_tasks;
    if (t)
        free_tasks = t->next;
    guard_leave();
    if (t)
        *t = (struct tool_task){.number = new_number(),
                                .team = team,
                                .parent = parent ? parent->number : 0,
                                .group = parent ? parent->group : 0};
    return t;
}

static void task_free(struct tool_task *t, const u64 *fp)
{
    forget(t->number, fp);
    guard_enter();
    t->next = free_tasks;
    free_tasks = t;
    guard_leave();
}

static struct tool_task *task_of(const ompt_data *data)
{
    return data ? data->ptr : NULL;
}

/* ---- regions ---- */

static void parallel_begin(ompt_data *maker, const void *frame, ompt_data *region, unsigned asked, int flags,
                           const void *code)
{
    (void)maker, (void)frame, (void)asked, (void)flags, (void)code;
    region->value = new_number();
    release(edge(region->value, EDGE_START), INTERCEPTOR_FP());
}

/* All members have come to the barrier at the region's end. */
static void parallel_end(ompt_data *region, ompt_data *maker, int flags, const void *code)
{
    const u64 *fp = INTERCEPTOR_FP();
    (void)flags, (void)code;
    for (enum edge e = EDGE_END; e <= EDGE_TASKS; e++)
        acquire(edge(region->value, e), fp);
    forget(region->value, fp);
    running = task_of(maker);
}

static void implicit_task(int endpoint, ompt_data *region, ompt_data *task, unsigned n, unsigned index, int flags)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct tool_task *t = task_of(task);
    (void)n, (void)index, (void)flags;
    if (endpoint == BEGIN) {
        task->ptr = running = task_new(region ? region->value : 0, NULL);
        if (region)
            acquire(edge(region->value, EDGE_START), fp);
    } else if (endpoint == END && t) {
        task->ptr = NULL;
        if (running == t)
            running = NULL;
        task_free(t, fp);
    }
}

/* ---- barriers, waits, groups ---- */

static u64 round_key(const struct tool_task *t)
{
    return edge(t->team, EDGE_ROUND + (t->round & 1));
}

static void barrier(struct tool_task *t, bool begins, const u64 *fp)
{
    if (begins) {
        release(round_key(t), fp);
        return;
    }
    acquire(round_key(t), fp);
    acquire(edge(t->team, EDGE_TASKS), fp);
    t->round++;
}

/* Groups in one task share a number: the inner one's end may tell of the outer one's tasks. */
static void group(struct tool_task *t, bool begins, const u64 *fp)
{
    if (begins && !t->groups++) {
        t->outer_group = t->group;
        t->group = t->number;
    } else if (!begins && t->groups) {
        acquire(edge(t->number, EDGE_GROUP), fp);
        if (!--t->groups)
            t->group = t->outer_group;
    }
}

static void sync_region(int kind, int endpoint, ompt_data *region, ompt_data *task, const void *code)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct tool_task *t = task_of(task);
    (void)region, (void)code;
    if (!t || (endpoint != BEGIN && endpoint != END))
        return;
    if (kind == SYNC_TASKGROUP)
        group(t, endpoint == BEGIN, fp);
    else if (kind == SYNC_TASKWAIT && endpoint == END)
        acquire(edge(t->number, EDGE_CHILDREN), fp);
    else if (kind != SYNC_TASKWAIT && kind != SYNC_REDUCTION)
        barrier(t, endpoint == BEGIN, fp);
}

static void reduction(int kind, int endpoint, ompt_data *region, ompt_data *task, const void *code)
{
    (void)kind, (void)region, (void)task, (void)code;
    if (endpoint == BEGIN || endpoint == END)
        TOUCH(access_ignore(t, ACCESS_IGNORE_READS | ACCESS_IGNORE_WRITES, endpoint == BEGIN));
}

/* ---- tasks ---- */

static void task_create(ompt_data *maker, const void *frame, ompt_data *task, int flags, int depends, const void *code)
{
    const struct tool_task *parent = task_of(maker);
    struct tool_task *t = parent ? task_new(parent->team, parent) : NULL;
    (void)frame, (void)flags, (void)depends, (void)code;
    task->ptr = t;
    if (t)
        release(edge(t->number, EDGE_START), INTERCEPTOR_FP());
}

static void dependences(ompt_data *task, const struct ompt_dependence *list, int n)
{
    struct tool_task *t = task_of(task);
    for (int i = 0; t && i < n && t->depends < DEPENDS_MOST; i++)
        t->depend[t->depends++] = (u64)list[i].variable.ptr << 1 | (list[i].type != DEPEND_IN);
}

static void task_ended(struct tool_task *t, const u64 *fp)
{
    for (u32 i = 0; i < t->depends; i++)
        release(hb_key(HB_ADDRESS, DEPENDS | t->depend[i]), fp);
    release(edge(t->parent, EDGE_CHILDREN), fp);
    release(edge(t->group, EDGE_GROUP), fp);
    release(edge(t->team, EDGE_TASKS), fp);
    task_free(t, fp);
}

/* A task that is left for another one may go on in another thread. */
static void task_schedule(ompt_data *before, int status, ompt_data *after)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct tool_task *t = task_of(before), *next = task_of(after);
    if (t && (status == TASK_COMPLETE || status == TASK_CANCEL || status == TASK_WAIT_COMPLETE)) {
        before->ptr = NULL;
        task_ended(t, fp);
    } else if (t && t->parent) {
        release(edge(t->number, EDGE_START), fp);
    }
    if (!next)
        return;
    running = next;
    if (next->parent)
        acquire(edge(next->number, EDGE_START), fp);
    for (u32 i = 0; i < next->depends; i++)
        depend_acquire(next->depend[i], fp);
}

/* The memory of a task that has ended serves again. Its arguments, which the task's maker writes, lie there. */
void *hook___kmpc_omp_task_alloc(void *place, int thread, int flags, size_t size, size_t shared, void *run)
{
    void *task = HOOKED(__kmpc_omp_task_alloc)(place, thread, flags, size, shared, run);
    if (task)
        TOUCH(access_forget(t, (u64)task, ((size + 7) & ~7ULL) + shared));
    return task;
}

struct depend_info {
    u64 address, size;
    u8 flags; /* bit 1: written */
};

static void waited_for(int n, const struct depend_info *list, const u64 *fp)
{
    for (int i = 0; i < n; i++)
        depend_acquire(list[i].address << 1 | (list[i].flags >> 1 & 1), fp);
}

/* taskwait with dependences. The list of those that do not overlap is always empty. */
void hook___kmpc_omp_wait_deps(void *place, int thread, int n, void *list, int n_apart, void *apart)
{
    HOOKED(__kmpc_omp_wait_deps)(place, thread, n, list, n_apart, apart);
    waited_for(n, list, INTERCEPTOR_FP());
}

void hook___kmpc_omp_taskwait_deps_51(void *place, int thread, int n, void *list, int n_apart, void *apart, int nowait)
{
    HOOKED(__kmpc_omp_taskwait_deps_51)(place, thread, n, list, n_apart, apart, nowait);
    waited_for(nowait ? 0 : n, list, INTERCEPTOR_FP());
}

/* ---- sections one after the other ---- */

void hook___kmpc_ordered(void *place, int thread)
{
    HOOKED(__kmpc_ordered)(place, thread);
    acquire(running ? edge(running->team, EDGE_ORDERED) : 0, INTERCEPTOR_FP());
}

void hook___kmpc_end_ordered(void *place, int thread)
{
    release(running ? edge(running->team, EDGE_ORDERED) : 0, INTERCEPTOR_FP());
    HOOKED(__kmpc_end_ordered)(place, thread);
}

/* ---- the start ---- */

static int initialize(void *(*lookup)(const char *), int device, ompt_data *data)
{
    static const struct {
        int event;
        void (*callback)(void);
    } callbacks[] = {
        {ON_PARALLEL_BEGIN, (void (*)(void))parallel_begin}, {ON_PARALLEL_END, (void (*)(void))parallel_end},
        {ON_IMPLICIT_TASK, (void (*)(void))implicit_task},   {ON_SYNC_REGION, (void (*)(void))sync_region},
        {ON_REDUCTION, (void (*)(void))reduction},           {ON_TASK_CREATE, (void (*)(void))task_create},
        {ON_DEPENDENCES, (void (*)(void))dependences},       {ON_TASK_SCHEDULE, (void (*)(void))task_schedule},
    };
    int (*set)(int, void (*)(void)) = NULL;
    void *found = lookup("ompt_set_callback");
    (void)device, (void)data;
    __builtin_memcpy(&set, &found, sizeof set);
    for (size_t i = 0; set && i < ARRAY_LEN(callbacks); i++)
        set(callbacks[i].event, callbacks[i].callback);
    return set != NULL;
}

static void finalize(ompt_data *data)
{
    (void)data;
}

EXPORT struct ompt_tool *ompt_start_tool(unsigned version, const char *runtime);
EXPORT struct ompt_tool *ompt_start_tool(unsigned version, const char *runtime)
{
    static struct ompt_tool tool = {initialize, finalize, {0}};
    (void)version, (void)runtime;
    return access_on ? &tool : NULL;
}
