/* Ends one system call of a thread that waits for ever. Called by hang.c. Takes no locks; allocates nothing.
 *
 * A stop by PTRACE_INTERRUPT leaves the call with one of the kernel's own errors, by which it would begin anew when the
 * thread goes on. In the place of that it gets EDEADLK, and no call to begin again. Waits at futexes are left alone: the C
 * library does not know what to do with that error. */
#include "release.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

/* include/linux/errno.h of the kernel */
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516

int release_choose(const struct snapshot *s, const bool *part)
{
    int chosen = -1;
    for (u32 i = 0; i < s->nthreads; i++) {
        const struct still_thread *t = &s->thread[i];
        if (part[i] && t->wait >= WAIT_FOR_DATA && (chosen < 0 || t->rec.number > s->thread[chosen].rec.number))
            chosen = (int)i;
    }
    return chosen;
}

static void fail_call(u32 tid)
{
    struct user_regs_struct r;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &r) < 0)
        return;
    long result = (long)r.rax;
    bool again = result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK;
    if ((long)r.orig_rax < 0 || !(again || result == -EINTR))
        return;
    r.rax = (unsigned long long)-EDEADLK;
    r.orig_rax = ~0ULL;
    ptrace(PTRACE_SETREGS, tid, NULL, &r);
}

void release_thread(const struct still_thread *t)
{
    int status = 0, signal = 0; /* one that was about to be delivered is handed on */
    if (ptrace(PTRACE_SEIZE, t->tid, NULL, NULL) < 0)
        return;
    if (ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) == 0 && waitpid((pid_t)t->tid, &status, __WALL) >= 0 &&
        WIFSTOPPED(status)) {
        fail_call(t->tid);
        signal = status >> 16 ? 0 : WSTOPSIG(status);
    }
    ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(uintptr_t)signal);
}
