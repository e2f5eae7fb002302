/* Wild pointers. Called by the kernel, for a fault, and by signal.c.
 *
 * A hook looks at the shadow before the program makes its access. Where a pointer is wild there is none, and the hook
 * would fault in the place of the program. Each such load has an entry that says where to go on (access_hot.h): the hook
 * returns, and the program makes its access and faults, or not. So SIGSEGV and SIGBUS need a handler all the time: the
 * program's own comes through signal.c; in the place of the default action stands the one here, which puts the default
 * back for a fault that is the program's: it happens again, and the core shows it.
 *
 * Rewritten code (copies.h) may fault for reasons of its own, too, also by SIGILL.
 *
 * SA_RESETHAND would put the default action in place for a fault that is not the program's, and a second thread that faults
 * meanwhile would end the process. So the kernel does not hear of it: the handler is taken away when it is to run.
 *
 * While the program blocks or ignores the signal, a fault ends the process, as ever, but in the hook. */
#include "fault.h"

#include "analyze/access_hot.h"
#include "copies.h"
#include "interceptor.h"
#include "start.h"

extern const struct fault_entry __start_snarl_faults[] __attribute__((visibility("hidden")));
extern const struct fault_entry __stop_snarl_faults[] __attribute__((visibility("hidden")));

#define SA_RESTORER 0x04000000 /* the kernel's */

#define FAULT_SIGNALS 32
static bool watching;
static bool once[FAULT_SIGNALS]; /* SA_RESETHAND is asked for */
const struct copies *copies;

static void action_get(int sig, struct sigaction *a)
{
    REAL(sigaction)(sig, NULL, a);
}

static void *handler_of(const struct sigaction *a)
{
    return (void *)(uintptr_t)a->sa_sigaction;
}

static void handler_put(int sig, struct sigaction a, void *handler)
{
    a.sa_sigaction = (void (*)(int, siginfo_t *, void *))(uintptr_t)handler;
    REAL(sigaction)(sig, &a, NULL);
}

static u64 resume_at(u64 pc)
{
    // cppcheck-suppress comparePointers ; the bounds of one section
    for (const struct fault_entry *e = __start_snarl_faults; e < __stop_snarl_faults; e++)
        if ((u64)&e->load + (u64)e->load == pc)
            return (u64)&e->resume + (u64)e->resume;
    return 0;
}

/* Bytes of code that have been replaced are invalid, or may not be executed by a program. */
static bool is_watched(int sig)
{
    return sig == SIGSEGV || sig == SIGBUS || (sig == SIGILL && copies);
}

bool fault_resume(int sig, void *context)
{
    if (!is_watched(sig))
        return false;
    ucontext_t *c = context;
    u64 to = resume_at((u64)c->uc_mcontext.gregs[REG_RIP]);
    if (!to && copies)
        to = copies->fault((u64)c->uc_mcontext.gregs[REG_RIP]);
    if (!to)
        return false;
    c->uc_mcontext.gregs[REG_RIP] = (greg_t)to;
    return true;
}

bool fault_once_of(int sig)
{
    return sig < FAULT_SIGNALS && __atomic_load_n(&once[sig], __ATOMIC_RELAXED);
}

void fault_once_keep(int sig)
{
    struct sigaction now;
    if (!watching || !is_watched(sig) || !start_same_process())
        return;
    action_get(sig, &now);
    __atomic_store_n(&once[sig], now.sa_flags & SA_RESETHAND, __ATOMIC_RELAXED);
    if (!(now.sa_flags & SA_RESETHAND))
        return;
    now.sa_flags &= ~SA_RESETHAND;
    REAL(sigaction)(sig, &now, NULL);
}

void fault_once_used(int sig)
{
    if (sig >= FAULT_SIGNALS || !__atomic_exchange_n(&once[sig], false, __ATOMIC_RELAXED))
        return;
    struct sigaction now;
    action_get(sig, &now);
    now.sa_flags |= SA_SIGINFO;
    handler_put(sig, now, fault_default_function());
}

/* The program wants the default action. */
static void by_default(int sig, siginfo_t *info, void *context)
{
    if (fault_resume(sig, context))
        return;
    struct sigaction now;
    action_get(sig, &now);
    handler_put(sig, now, (void *)(uintptr_t)SIG_DFL);
    /* Sent by somebody it does not come again by itself; without the flag nothing tells. */
    if (!(now.sa_flags & SA_SIGINFO) || info->si_code <= 0)
        sys_call3(SYS_tgkill, sys_getpid(), sys_gettid(), sig);
}

void *fault_default_function(void)
{
    return (void *)(uintptr_t)by_default;
}

void *fault_default_in(int sig, void *handler)
{
    bool ours = watching && is_watched(sig) && handler == (void *)(uintptr_t)SIG_DFL;
    return ours && start_same_process() ? (void *)(uintptr_t)by_default : handler;
}

void *fault_default_of(void *handler)
{
    return handler == (void *)(uintptr_t)by_default ? (void *)(uintptr_t)SIG_DFL : handler;
}

void fault_default_restore(struct sigaction *old)
{
    if (old->sa_handler != (sighandler_t)(uintptr_t)by_default)
        return;
    old->sa_handler = SIG_DFL;
    old->sa_flags &= ~(SA_RESTORER | SA_SIGINFO); /* the C library's addition, and ours */
}

void fault_watch(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL};
    watching = true;
    for (u32 i = 0; i < ARRAY_LEN(signals); i++) {
        struct sigaction now;
        if (!is_watched(signals[i]))
            continue;
        action_get(signals[i], &now);
        now.sa_flags |= SA_SIGINFO;
        if (handler_of(&now) == (void *)(uintptr_t)SIG_DFL)
            handler_put(signals[i], now, (void *)(uintptr_t)by_default);
        fault_once_keep(signals[i]);
    }
}
