/* Processes: fork, their end, and waiting for children. Called by the watched program, and by the C library around each
 * fork.
 *
 * fork is recorded by handlers of pthread_atfork that are registered before anybody else's: so ours run last before the
 * fork and first after it, and no code of the program runs in between. Across the real fork RANK_PRELOAD (here) and the
 * engine's locks are held. Should somebody have come before us (an allocator that was used by the loader), what its
 * handlers do is not recorded. _Fork and clone run no handlers: recorded around the call. vfork and raw system calls
 * are left alone; their children share or copy this memory, so whatever writes our state asks start_same_process()
 * first where such children are likely to call it. Allocates nothing. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "analyze/access.h"
#include "base/sys.h"
#include "blocks.h"
#include "fiber.h"
#include "hooks.h"
#include "interceptor.h"
#include "modules.h"
#include "start.h"
#include "thread_map.h"
#include "unwind/unwind.h"
#include "watched.h"

/* ---- fork ---- */

/* Of the fork under way; guarded by the map's lock, which is held across it. */
static struct {
    u64 signals, map_mask;
    u64 inside; /* what the forking thread's state was */
    struct thread *t;
    bool begun;
    bool blocks; /* of the heap are noted */
} forking;

/* t->scratch[1]: frame of the fork call that the program made, 0 when libc forks by itself (daemon, forkpty). */
#define FORK_FP 1

static void before_fork(const u64 *fp)
{
    if (access_has_shared())
        watched_begin();
    u64 signals = sys_signals_block(),
        mask = thread_map_lock(); /* blocked: the child is not known to the trampoline yet */
    struct thread *t = (uintptr_t)snarl_thread > 1 ? snarl_thread : NULL;
    forking.signals = signals;
    forking.map_mask = mask;
    forking.t = t;
    forking.begun = true;
    if (t) {
        forking.inside = t->inside;
        t->inside = INSIDE_FORK;
        if (t->scratch[FORK_FP])
            fp = (const u64 *)t->scratch[FORK_FP];
        t->scratch[FORK_FP] = 0;
    }
    engine_fork_prepare(t, fp);
    forking.blocks = access_on;
    if (forking.blocks)
        blocks_before_fork();
}

static void after_fork(void)
{
    struct thread *t = forking.t;
    u64 signals = forking.signals, mask = forking.map_mask;
    forking.begun = false;
    if (forking.blocks)
        blocks_after_fork();
    if (t)
        t->inside = forking.inside;
    thread_map_unlock(mask);
    sys_signals_restore(signals);
}

static void fork_prepare(void)
{
    if (snarl_on && start_same_process()) {
        interceptor_first_call();
        before_fork(INTERCEPTOR_FP());
    }
}

static void fork_parent(void)
{
    if (forking.begun && start_same_process()) {
        engine_fork_parent(forking.t, 0);
        after_fork();
    }
}

static void fork_child(void)
{
    if (!snarl_on)
        return;
    start_forked();
    if (!forking.begun) { /* forked by a child that shared our memory */
        start_off();
        return;
    }
    struct thread *t = forking.t;
    ref_t parent = engine_process();
    engine_fork_child(t, sys_gettid());
    after_fork();
    if (engine_process() == parent || (t && t->rec->process == parent)) {
        start_off();
        return;
    }
    if (!t)
        snarl_thread = NULL; /* seen again at its next call */
    else
        thread_map_set(pthread_self(), t->ref);
    modules_after_fork();
    unwind_after_fork();
    thread_after_fork();
    hooks_after_fork();
    fiber_after_fork();
}

bool process_start(void)
{
    return pthread_atfork(fork_prepare, fork_parent, fork_child) == 0;
}

/* Only notes where the program forks; the handlers do the rest. */
EXPORT pid_t fork(void)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        t->scratch[FORK_FP] = (u64)fp;
        interceptor_leave(t);
    }
    pid_t pid = REAL(fork)();
    if (t)
        t->scratch[FORK_FP] = 0;
    return pid;
}
EXPORT_ALIAS(__fork, fork);

EXPORT pid_t _Fork(void)
{
    if (!REAL(_Fork) && !real_late("_Fork", (void **)&REAL(_Fork))) {
        errno = ENOSYS;
        return -1;
    }
    if (!snarl_on || !start_same_process())
        return REAL(_Fork)();
    before_fork(INTERCEPTOR_FP());
    pid_t pid = REAL(_Fork)();
    int saved = errno;
    if (pid == 0)
        fork_child();
    else
        fork_parent();
    errno = saved;
    return pid;
}

/* libc's clone. A child with memory of its own is a fork; one that shares it is a thread that we know nothing of. */
struct clone_call {
    int (*fn)(void *);
    void *arg;
};

static int clone_child(void *call)
{
    struct clone_call c = *(struct clone_call *)call; /* on the parent's stack, of which this is a copy */
    fork_child();
    return c.fn(c.arg);
}

EXPORT int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
    struct clone_call c = {fn, arg};
    va_list args;
    va_start(args, arg);
    pid_t *parent_tid = va_arg(args, pid_t *);
    void *tls = va_arg(args, void *);
    pid_t *child_tid = va_arg(args, pid_t *);
    va_end(args);
    if (!snarl_on || !start_same_process())
        return REAL(clone)(fn, stack, flags, arg, parent_tid, tls, child_tid);
    if (flags & CLONE_VM) {
        if (flags & CLONE_THREAD)
            __atomic_fetch_add(&((struct process_rec *)arena_at(engine_process()))->unseen_wakers, 1, __ATOMIC_SEQ_CST);
        return REAL(clone)(fn, stack, flags, arg, parent_tid, tls, child_tid);
    }
    before_fork(INTERCEPTOR_FP());
    int pid = REAL(clone)(clone_child, stack, flags, &c, parent_tid, tls, child_tid);
    int saved = errno;
    fork_parent();
    errno = saved;
    return pid;
}

/* ---- end ---- */

EXPORT void _exit(int status)
{
    start_process_end();
    REAL(_exit)(status);
    __builtin_unreachable();
}

EXPORT void _Exit(int status)
{
    start_process_end();
    REAL(_exit)(status);
    __builtin_unreachable();
}

/* ---- waiting for children ---- */

static void child_ended(pid_t pid, bool luck, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    if (start_same_process())
        engine_child_waited(t, (u32)pid, luck);
    interceptor_leave(t);
}

/* Who keeps SIGCHLD blocked asks for it by signalfd or sigwait. */
static bool expects_signal(void)
{
    u64 blocked = 0;
    sys_call6(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&blocked, sizeof blocked, 0, 0);
    return blocked >> (SIGCHLD - 1) & 1;
}

/* Children that had not ended when they were asked for: who asks again waits for the end in its own way. */
#define MAX_EXPECTED 64u
static u32 expected[MAX_EXPECTED], nexpected;
static bool all_expected;

static void child_not_ended(pid_t which)
{
    u32 at = which > 0 ? __atomic_fetch_add(&nexpected, 1, __ATOMIC_RELAXED) : MAX_EXPECTED;
    if (at < MAX_EXPECTED)
        __atomic_store_n(&expected[at], (u32)which, __ATOMIC_RELAXED);
    else
        __atomic_store_n(&all_expected, true, __ATOMIC_RELAXED);
}

static bool by_luck(pid_t pid, int options)
{
    if (!(options & WNOHANG) || __atomic_load_n(&all_expected, __ATOMIC_RELAXED) || expects_signal())
        return false;
    for (u32 i = 0; i < MAX_EXPECTED; i++)
        if (__atomic_load_n(&expected[i], __ATOMIC_RELAXED) == (u32)pid)
            return false;
    return true;
}

/* As the real call would: that is a write of its caller's. */
static void status_given(int *to, int status, const u64 *fp)
{
    *to = status;
    struct thread *t = access_on ? interceptor_enter(fp) : NULL;
    if (!t)
        return;
    if (watched_call(fp, false))
        access_range(t, (u64)to, sizeof *to, ACCESS_WRITE, fp);
    interceptor_leave(t);
}

static bool has_ended(int status)
{
    return WIFEXITED(status) || WIFSIGNALED(status);
}

EXPORT pid_t wait(int *status)
{
    int mine = 0;
    pid_t pid = REAL(wait)(&mine);
    if (pid > 0) {
        if (status)
            status_given(status, mine, INTERCEPTOR_FP());
        child_ended(pid, false, INTERCEPTOR_FP());
    }
    return pid;
}
EXPORT_ALIAS(__wait, wait);

EXPORT pid_t waitpid(pid_t which, int *status, int options)
{
    int mine = 0;
    pid_t pid = REAL(waitpid)(which, &mine, options);
    if (pid > 0) {
        if (status)
            status_given(status, mine, INTERCEPTOR_FP());
        if (has_ended(mine))
            child_ended(pid, by_luck(pid, options), INTERCEPTOR_FP());
    }
    if (pid == 0)
        child_not_ended(which);
    return pid;
}
EXPORT_ALIAS(__waitpid, waitpid);

EXPORT pid_t wait3(int *status, int options, struct rusage *usage)
{
    int mine = 0;
    pid_t pid = REAL(wait3)(&mine, options, usage);
    if (pid > 0) {
        if (status)
            status_given(status, mine, INTERCEPTOR_FP());
        if (has_ended(mine))
            child_ended(pid, by_luck(pid, options), INTERCEPTOR_FP());
    }
    if (pid == 0)
        child_not_ended(-1);
    return pid;
}

EXPORT pid_t wait4(pid_t which, int *status, int options, struct rusage *usage)
{
    int mine = 0;
    pid_t pid = REAL(wait4)(which, &mine, options, usage);
    if (pid > 0) {
        if (status)
            status_given(status, mine, INTERCEPTOR_FP());
        if (has_ended(mine))
            child_ended(pid, by_luck(pid, options), INTERCEPTOR_FP());
    }
    if (pid == 0)
        child_not_ended(which);
    return pid;
}

EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    siginfo_t mine;
    mine.si_pid = 0;
    int r = REAL(waitid)(type, id, &mine, options);
    if (r)
        return r;
    if (info)
        *info = mine;
    if (mine.si_pid && mine.si_code >= CLD_EXITED && mine.si_code <= CLD_DUMPED)
        child_ended(mine.si_pid, type != P_PIDFD && by_luck(mine.si_pid, options), INTERCEPTOR_FP());
    else if (!mine.si_pid)
        child_not_ended(type == P_PID ? (pid_t)id : 0);
    return 0;
}
