/* Threads: create, names, and the end of a thread; C11's the same. (join.c: join, detach, cancel.)
 *
 * Called by the watched program, and by the C library at thread start and end. Takes RANK_PRELOAD and the engine's
 * locks; memory for births comes from sys_map.
 *
 * Birth: the child's state exists, ordered after what the creator did, before the real thread does. Both sides then
 * know the handle (pthread_t): whoever comes first stores it for the program and into the map. It cannot be read from
 * the program's variable later: the child may have freed that. The child is born with all signals blocked, for a
 * pending one would otherwise have its handler run before the thread is known.
 *
 * End: a thread-specific key whose destructor re-arms itself until the last round, so that it runs after C++
 * thread_local destructors and after the destructors of the program's own keys. Then the thread's state is gone for
 * good (SNARL_THREAD_ENDED). */
#include <limits.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "analyze/access.h"
#include "blocking.h"
#include "fiber.h"
#include "locate.h"
#include "notice.h"
#include "ready.h"
#include "start.h"
#include "thread_map.h"
#include "watched.h"

#define SMALL_STACK (256u << 10)
#define STACK_EXTRA (64u << 10)
#define MAIN_STACK_MAX (64ULL << 20) /* when its limit is larger or none */
#define BIRTHS_AT_ONCE 64

extern void *__libc_stack_end;

static pthread_key_t end_key;

/* ---- the memory of a birth ---- */

struct birth {
    void *(*start)(void *);
    int (*start_c11)(void *);
    void *arg;
    struct thread *child;
    pthread_t *out; /* valid until the second of the two is here */
    u64 stack_lo;   /* known stack of the caller's, or 0 */
    u64 stack_size;
    u64 signals;      /* blocked in the creator, and by the program's will in the child */
    bool own_signals; /* the attributes say which are blocked in the child */
    bool parent_done, child_done;
    struct birth *next_free;
};

static struct birth *free_births; /* guarded by the map's lock */

static struct birth *birth_new(void)
{
    u64 mask = thread_map_lock();
    struct birth *b = free_births;
    if (!b && (b = sys_map(BIRTHS_AT_ONCE * sizeof *b))) {
        for (u32 i = 0; i + 1 < BIRTHS_AT_ONCE; i++)
            b[i].next_free = &b[i + 1];
    }
    if (b)
        free_births = b->next_free;
    thread_map_unlock(mask);
    return b;
}

static void birth_free_locked(struct birth *b)
{
    b->next_free = free_births;
    free_births = b;
}

/* ---- stacks ---- */

static u64 main_stack_low(u64 hi)
{
    struct rlimit r = {MAIN_STACK_MAX, MAIN_STACK_MAX};
    sys_call6(SYS_prlimit64, 0, RLIMIT_STACK, 0, (long)&r, 0, 0);
    u64 size = r.rlim_cur < MAIN_STACK_MAX ? r.rlim_cur : MAIN_STACK_MAX;
    return size < hi ? hi - size : 0;
}

/* The C library puts a thread's descriptor, which pthread_t points to, and its thread-locals at the top of its stack.
 * Within a page of the true lower end, on the safe side: what lies below may belong to others. */
static u64 stack_low(u64 hi, const struct birth *b)
{
    return b->stack_lo ? b->stack_lo : b->stack_size + 4096 < hi ? hi - b->stack_size + 4096 : hi;
}

/* Objects on a stack that was in use before, or is going out of use, are dead. */
static void stack_unused(struct thread *t)
{
    u64 lo = t->rec->stack_lo, hi = t->rec->stack_hi;
    if (lo && lo < hi)
        engine_memory_gone(t, lo, hi - lo, NULL);
}

/* ---- end ---- */

/* Threads that have said goodbye to the engine and may still be seen in /proc for a moment. */
#define ENDING 256
static u32 ending[ENDING], ending_next;
static bool main_ended; /* stays visible until the process ends */

static void ending_note(u32 tid)
{
    u32 i = __atomic_fetch_add(&ending_next, 1, __ATOMIC_RELAXED) % ENDING;
    __atomic_store_n(&ending[i], tid, __ATOMIC_RELEASE);
}

/* A new thread has this id now. */
static void ending_forget(u32 tid)
{
    for (u32 i = 0; i < ENDING; i++) {
        if (__atomic_load_n(&ending[i], __ATOMIC_RELAXED) == tid)
            __atomic_store_n(&ending[i], 0, __ATOMIC_RELAXED);
    }
}

bool thread_unknown(void)
{
    struct stat st;
    if (sys_call6(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/task", (long)&st, 0, 0, 0) < 0)
        return true;
    const struct process_rec *p = arena_at(engine_process());
    long seen = (long)st.st_nlink - 2,
         known = (long)__atomic_load_n(&p->nthreads_live, __ATOMIC_SEQ_CST) - fiber_count() + main_ended;
    for (u32 i = 0; i < ENDING && seen > known; i++) {
        u32 tid = __atomic_load_n(&ending[i], __ATOMIC_ACQUIRE);
        known += tid && tid != snarl_pid && sys_call3(SYS_tgkill, snarl_pid, tid, 0) == 0;
    }
    return seen > known;
}

void thread_after_fork(void)
{
    __builtin_memset(ending, 0, sizeof ending);
    main_ended = false;
}

static void thread_end(void)
{
    u64 mask = sys_signals_block();
    struct thread *t = fiber_thread_end();
    if ((uintptr_t)t <= 1) {
        sys_signals_restore(mask);
        return;
    }
    u32 tid = t->rec->tid;
    snarl_thread = SNARL_THREAD_ENDED;
    if (start_same_process()) {
        if (t->rec->detached)
            thread_map_drop(pthread_self(), t->ref);
        if (t->rec->is_main)
            main_ended = true;
        else if (!t->rec->nheld)
            stack_unused(t);
        ending_note(tid);
        engine_thread_end(t);
    }
    signal_thread_end();
    sys_signals_restore(mask);
}

/* round: the value of the key, 1 in the first round of destructors. */
static void end_round(void *round)
{
    uintptr_t n = (uintptr_t)round;
    if (n == 1 && snarl_unlikely(access_on))
        ready_thread_ends();
    if (n >= PTHREAD_DESTRUCTOR_ITERATIONS || pthread_setspecific(end_key, (void *)(n + 1)))
        thread_end();
}

static void arm_end(void)
{
    pthread_setspecific(end_key, (void *)(uintptr_t)1);
}

bool thread_start(void)
{
    return pthread_key_create(&end_key, end_round) == 0;
}

void thread_adopted(struct thread *t, bool is_main)
{
    if (is_main) {
        t->rec->stack_hi = (u64)__libc_stack_end;
        t->rec->stack_lo = main_stack_low(t->rec->stack_hi);
    } else {
        ending_forget(t->rec->tid);
        t->rec->detached = 1; /* nobody who could join it is known */
        hb_acquire(t, NOTICE_ANY);
    }
    thread_map_set(pthread_self(), t->ref);
    arm_end();
}

/* ---- start ---- */

static void born(struct birth *b)
{
    struct birth copy = *b;
    struct thread *t = copy.child;
    u64 mask = sys_signals_block();
    if ((uintptr_t)snarl_thread > 1)
        engine_thread_end(snarl_thread); /* a signal handler was faster and has had the thread adopted */
    u64 map_mask = thread_map_lock();
    b->child_done = true;
    if (b->parent_done) {
        birth_free_locked(b);
    } else {
        *copy.out = pthread_self();
        thread_map_set_locked(pthread_self(), t->ref);
    }
    thread_map_unlock(map_mask);
    u32 tid = sys_gettid();
    u64 hi = (u64)pthread_self();
    ending_forget(tid);
    snarl_thread = t;
    engine_thread_start(t, tid, stack_low(hi, &copy), hi);
    stack_unused(t);
    /* Its last owner, if it had one, is not in anybody's way. The thread's own storage lies at the end of its stack. */
    if (access_on)
        access_forget(t, t->rec->stack_lo, hi - t->rec->stack_lo);
    arm_end();
    sys_signals_restore(copy.own_signals ? mask : copy.signals);
}

static void *thread_main(void *birth)
{
    struct birth *b = birth;
    void *(*start)(void *) = b->start;
    void *arg = b->arg;
    born(b);
    return start(arg);
}

static int thread_main_c11(void *birth)
{
    struct birth *b = birth;
    int (*start)(void *) = b->start_c11;
    void *arg = b->arg;
    born(b);
    return start(arg);
}

/* After the real create: tells the handle unless the child has done so. */
static void created(struct birth *b, pthread_t id, ref_t child)
{
    u64 mask = thread_map_lock();
    b->parent_done = true;
    if (b->child_done) {
        birth_free_locked(b);
    } else {
        *b->out = id;
        thread_map_set_locked(id, child);
    }
    thread_map_unlock(mask);
}

static void not_created(struct birth *b)
{
    engine_thread_create_failed(b->child);
    u64 mask = thread_map_lock();
    birth_free_locked(b);
    thread_map_unlock(mask);
}

/* What the attributes say of the stack. Small ones get room for our frames in a copy of the attributes. */
static const pthread_attr_t *read_attr(struct birth *b, const pthread_attr_t *attr, pthread_attr_t *copy)
{
    pthread_attr_t defaults;
    void *lo = NULL;
    size_t size = 0;
    int detach = PTHREAD_CREATE_JOINABLE;
    sigset_t signals;
    if (!attr) {
        b->stack_size = pthread_getattr_default_np(&defaults) == 0 ? 0 : PTHREAD_STACK_MIN;
        if (!b->stack_size) {
            pthread_attr_getstacksize(&defaults, &b->stack_size);
            pthread_attr_destroy(&defaults);
        }
        return NULL;
    }
    pthread_attr_getdetachstate(attr, &detach);
    b->child->rec->detached = detach == PTHREAD_CREATE_DETACHED;
    b->own_signals = pthread_attr_getsigmask_np(attr, &signals) == 0;
    pthread_attr_getstacksize(attr, &b->stack_size);
    pthread_attr_getstack(attr, &lo, &size);
    if ((u64)lo + size) { /* else it is not set: the end is address 0 */
        b->stack_lo = (u64)lo;
        return attr;
    }
    if (b->stack_size >= SMALL_STACK)
        return attr;
    *copy = *attr; /* shares what it points to, is never destroyed */
    if (pthread_attr_setstacksize(copy, b->stack_size + STACK_EXTRA))
        return attr;
    b->stack_size += STACK_EXTRA;
    return copy;
}

static struct birth *birth_begin(struct thread *t, u64 start_pc, const u64 *fp)
{
    struct birth *b = birth_new();
    if (!b)
        return NULL;
    watched_begin();
    *b = (struct birth){.child = engine_thread_create(t, start_pc, fp)};
    if (b->child) {
        locate_thread_created(b->child, fp);
        return b;
    }
    u64 mask = thread_map_lock();
    birth_free_locked(b);
    thread_map_unlock(mask);
    return NULL;
}

EXPORT int pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return REAL(pthread_create)(out, attr, start, arg);
    struct birth *b = birth_begin(t, (u64)(uintptr_t)start, fp);
    interceptor_leave(t);
    if (!b)
        return REAL(pthread_create)(out, attr, start, arg);
    pthread_attr_t copy;
    pthread_t id;
    ref_t child = b->child->ref;
    b->start = start;
    b->arg = arg;
    b->out = out;
    attr = read_attr(b, attr, &copy);
    u64 signals = b->signals = sys_signals_block();
    int r = REAL(pthread_create)(&id, attr, thread_main, b);
    if (r)
        not_created(b);
    else
        created(b, id, child);
    sys_signals_restore(signals);
    return r;
}

EXPORT int thrd_create(thrd_t *out, thrd_start_t start, void *arg)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return REAL(thrd_create)(out, start, arg);
    struct birth *b = birth_begin(t, (u64)(uintptr_t)start, fp);
    interceptor_leave(t);
    if (!b)
        return REAL(thrd_create)(out, start, arg);
    thrd_t id;
    ref_t child = b->child->ref;
    b->start_c11 = start;
    b->arg = arg;
    b->out = out;
    read_attr(b, NULL, NULL);
    u64 signals = b->signals = sys_signals_block();
    int r = REAL(thrd_create)(&id, thread_main_c11, b);
    if (r != thrd_success)
        not_created(b);
    else
        created(b, id, child);
    sys_signals_restore(signals);
    return r;
}

/* ---- names ---- */

void thread_set_name(struct thread_rec *r, const char *name)
{
    size_t i = 0;
    for (; i + 1 < sizeof r->name && name[i]; i++)
        r->name[i] = name[i];
    r->name[i] = 0;
}

EXPORT int pthread_setname_np(pthread_t id, const char *name)
{
    int r = REAL(pthread_setname_np)(id, name);
    struct thread *t = r == 0 ? interceptor_enter(INTERCEPTOR_FP()) : NULL;
    if (t) {
        ref_t target = thread_map_get(id);
        if (target)
            thread_set_name(arena_at(target), name);
        interceptor_leave(t);
    }
    return r;
}

/* In the strict sandbox any system call but read and write ends the thread, ours too: it is watched no longer. */
static struct thread *enter_strict(int option, unsigned long mode)
{
    struct thread *t = snarl_thread;
    if (option == PR_SET_SECCOMP && mode == SECCOMP_MODE_STRICT)
        snarl_thread = SNARL_THREAD_ENDED;
    return t;
}

EXPORT int prctl(int option, ...)
{
    unsigned long a[4];
    va_list args;
    va_start(args, option);
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(args, unsigned long); /* as libc does: the kernel ignores what the option does not take */
    va_end(args);
    struct thread *before = enter_strict(option, a[0]);
    int r = REAL(prctl)(option, a[0], a[1], a[2], a[3]);
    if (r && snarl_thread != before)
        snarl_thread = before;
    struct thread *t = r == 0 && option == PR_SET_NAME ? interceptor_enter(INTERCEPTOR_FP()) : NULL;
    if (t) {
        thread_set_name(t->rec, (const char *)a[0]);
        interceptor_leave(t);
    }
    return r;
}
