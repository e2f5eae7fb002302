/* Hooks of what lets a signal handler, a waiting thread or a thread of libc's own go on: kill and its relatives, sigwait,
 * timers, asynchronous input and output; and of memory that comes from the system in other ways than mmap. Called by all
 * modules. Takes the engine's locks; allocates nothing.
 *
 * Who sends releases before the real call, the handler's trampoline acquires (signal.c), in whichever process. */
#include "notice.h"

#include <limits.h>

#include "mapping.h"
#include "start.h"
#include "transfer.h"

static bool is_own(pid_t pid)
{
    return pid <= 0 || (u32)pid == snarl_pid;
}

/* here: threads of this process may get it; to: another process, or many (not above 0); ONLY_HERE: none. */
#define ONLY_HERE INT_MAX
static void sends(struct thread *t, int sig, bool here, pid_t to)
{
    if (sig <= 0)
        return;
    if (here) {
        hb_release(t, notice_key(sig));
        hb_release(t, fd_key_signals(snarl_pid));
    }
    if (to == ONLY_HERE || (u32)to == snarl_pid)
        return;
    hb_release(t, notice_key_to(to > 0 ? (u32)to : 0, sig));
    if (to > 0)
        hb_release(t, fd_key_signals((u32)to));
}

void notice_taken(struct thread *t, int sig)
{
    hb_acquire(t, notice_key(sig));
    hb_acquire(t, NOTICE_ANY);
    hb_acquire(t, notice_key_to(snarl_pid, sig));
    hb_acquire(t, notice_key_to(0, sig));
    if (sig == SIGCHLD)
        access_others_ended(t);
}

#define SENDS(name, parameters, arguments, here, to)                                                                   \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        TOUCH(sends(t, sig, here, to));                                                                                \
        return HOOKED(name) arguments;                                                                                 \
    }
SENDS(kill, (pid_t pid, int sig), (pid, sig), is_own(pid), pid)
SENDS(killpg, (pid_t group, int sig), (group, sig), true, 0)
SENDS(tgkill, (pid_t pid, pid_t tid, int sig), (pid, tid, sig), is_own(pid), pid)
SENDS(sigqueue, (pid_t pid, int sig, const union sigval value), (pid, sig, value), is_own(pid), pid)
SENDS(pthread_kill, (pthread_t thread, int sig), (thread, sig), true, ONLY_HERE)
SENDS(pthread_sigqueue, (pthread_t thread, int sig, const union sigval value), (thread, sig, value), true, ONLY_HERE)

/* ---- waiting for a signal ---- */

#define TAKEN(sig) notice_taken(t, sig)

int hook_sigwait(const sigset_t *restrict set, int *restrict sig)
{
    int r = HOOKED(sigwait)(set, sig);
    if (!r)
        TOUCH(TAKEN(*sig), COUNTED(WRITES(sig, sizeof *sig)));
    return r;
}

#define WAITS(name, parameters, arguments)                                                                             \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        int r = HOOKED(name) arguments;                                                                                \
        if (r > 0)                                                                                                     \
            TOUCH(TAKEN(r), info ? COUNTED(WRITES(info, sizeof *info)) : (void)0);                                     \
        return r;                                                                                                      \
    }
WAITS(sigwaitinfo, (const sigset_t *restrict set, siginfo_t *restrict info), (set, info))
WAITS(sigtimedwait, (const sigset_t *restrict set, siginfo_t *restrict info, const struct timespec *restrict timeout),
      (set, info, timeout))

/* ---- what will come later, as a signal or as a thread of libc's ---- */

#define ANNOUNCES(type, name, parameters, arguments, ...)                                                              \
    type hook_##name parameters                                                                                        \
    {                                                                                                                  \
        TOUCH(hb_release(t, NOTICE_ANY), hb_release(t, fd_key_signals(snarl_pid)), COUNTED(__VA_ARGS__));              \
        return HOOKED(name) arguments;                                                                                 \
    }
ANNOUNCES(int, timer_settime,
          (timer_t timer, int flags, const struct itimerspec *restrict new, struct itimerspec *restrict old),
          (timer, flags, new, old), READS(new, sizeof *new))
ANNOUNCES(int, mq_notify, (mqd_t queue, const struct sigevent *event), (queue, event), (void)0)
ANNOUNCES(int, getaddrinfo_a, (int mode, struct gaicb **list, int n, struct sigevent *event), (mode, list, n, event),
          (void)0)
ANNOUNCES(int, aio_read, (struct aiocb * request), (request), READS(request, sizeof *request))
ANNOUNCES(int, aio_read64, (struct aiocb64 * request), (request), READS(request, sizeof *request))
ANNOUNCES(int, aio_write, (struct aiocb * request), (request),
          READS((const void *)(uintptr_t)request->aio_buf, request->aio_nbytes))
ANNOUNCES(int, aio_write64, (struct aiocb64 * request), (request),
          READS((const void *)(uintptr_t)request->aio_buf, request->aio_nbytes))
ANNOUNCES(int, lio_listio, (int mode, struct aiocb *const *list, int n, struct sigevent *restrict event),
          (mode, list, n, event), (void)0)
ANNOUNCES(int, lio_listio64, (int mode, struct aiocb64 *const *list, int n, struct sigevent *restrict event),
          (mode, list, n, event), (void)0)

/* Exported, since also where no access is watched who looks from outside has to know: a wait may end by the signal, and be
 * it by killing. It stays so after the signal; an exec keeps the alarm. */
static void armed(bool on)
{
    struct process_rec *p = snarl_on && start_same_process() ? arena_at(engine_process()) : NULL;
    if (p && on)
        __atomic_fetch_or(&p->flags, PROCESS_ALARM, __ATOMIC_SEQ_CST);
}

EXPORT int setitimer(__itimer_which_t which, const struct itimerval *restrict new, struct itimerval *restrict old)
{
    armed(new && (new->it_value.tv_sec || new->it_value.tv_usec));
    TOUCH(hb_release(t, NOTICE_ANY), hb_release(t, fd_key_signals(snarl_pid)),
          COUNTED(new ? READS(new, sizeof *new) : (void)0));
    return REAL(setitimer)(which, new, old);
}

EXPORT unsigned alarm(unsigned seconds)
{
    armed(seconds);
    TOUCH(hb_release(t, NOTICE_ANY), hb_release(t, fd_key_signals(snarl_pid)));
    return REAL(alarm)(seconds);
}

/* A read's buffer was written by the time its result is asked for. */
#define RESULTS(name, request_type)                                                                                    \
    ssize_t hook_##name(request_type *request)                                                                         \
    {                                                                                                                  \
        ssize_t r = HOOKED(name)(request);                                                                             \
        if (r > 0 && request->aio_lio_opcode == LIO_READ)                                                              \
            TOUCH(COUNTED(WRITES((uintptr_t)request->aio_buf, r)));                                                    \
        return r;                                                                                                      \
    }
RESULTS(aio_return, struct aiocb)
RESULTS(aio_return64, struct aiocb64)

/* ---- memory ---- */

void *hook_sbrk(intptr_t change)
{
    void *r = HOOKED(sbrk)(change);
    if (r != (void *)-1 && change > 0)
        TOUCH(access_forget(t, (u64)r, (u64)change));
    return r;
}

void *hook_shmat(int id, const void *at, int flags)
{
    struct shmid_ds s;
    void *r = HOOKED(shmat)(id, at, flags);
    if (r != (void *)-1 && sys_call3(SYS_shmctl, id, IPC_STAT, &s) == 0)
        mapping_segment(r, s.shm_segsz, !(flags & SHM_RDONLY), INTERCEPTOR_FP());
    return r;
}
