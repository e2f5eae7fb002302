/* Puts off signals that come while the thread is inside snarl. Called by the trampoline (signal.c), and by whoever
 * leaves snarl's code with a signal waiting (signal_deliver). Takes no lock; a thread that gets such a real-time or
 * fault signal gets some memory (sys_map).
 *
 * Nothing imitates a delivery. The trampoline sends the signal back to its own thread, with its info, and has the
 * kernel block all signals in the interrupted code (uc_sigmask). Who leaves sets the mask back, and before that system
 * call returns the kernel delivers what waits: on the right stack, with the right mask and context, in its order. Until
 * then signals wait where they always wait: a pending signal survives what it survives natively.
 *
 * - What the code's own instruction has raised runs at once. A signal of such a number that somebody sent is kept here
 *   and sent at the end, for meanwhile the number cannot be blocked.
 * - A real-time signal that is sent back stands behind others of its number: the infos are given out in the order in
 *   which the signals came.
 * - Standard signals of one number become one while they wait, as they do for any thread that the kernel lets wait.
 * - SA_RESETHAND has put the default action in place: it is undone, for the handler has not run.
 *
 * docs/decisions/0014 says why internal locks may leave signals unblocked. */
#include "signal_defer.h"

#include "base/ilock.h"
#include "interceptor.h"
#include "modules.h"
#include "start.h"

#define BIT(sig) (1ULL << ((sig)-1))
#define FAULTS (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGSYS))
/* libc blocks it never, and lets nobody else: in the mask of interrupted code it says that we have put it there. */
#define LIBC_CANCEL 32
#define LIBC_SETXID 33
#define FIRST_REALTIME 34
#define QUEUE 24

struct kernel_action {
    void *handler;
    u64 flags;
    void *restorer;
    u64 mask;
};

/* What tells one queued signal from another: number, code, sender, value. */
struct short_info {
    u64 word[4];
};

/* Real-time signals sent back in this thread. As many infos in order as copies that are still to come. */
struct queue {
    u32 n;
    int sig[QUEUE];
    siginfo_t info[QUEUE];
    struct short_info copy[QUEUE]; /* of the same number as sig, in no order */
};

struct kept {
    u64 faults, with_info; /* sets of numbers */
    u64 fault_pc;          /* where the last one came, without info */
    siginfo_t fault_info[32];
    struct queue queue;
};

static __thread u64 mask_outside __attribute__((tls_model("initial-exec")));
static __thread struct kept *kept __attribute__((tls_model("initial-exec")));
static void *trampolines[2];
static struct module own; /* libsnarl */

static u64 *mask_of(ucontext_t *c)
{
    return (u64 *)&c->uc_sigmask; /* the kernel's part of it */
}

static struct kernel_action action_get(int sig)
{
    struct kernel_action a = {0};
    sys_call6(SYS_rt_sigaction, sig, 0, (long)&a, sizeof(u64), 0, 0);
    return a;
}

static struct kept *kept_make(void)
{
    if (!kept)
        kept = sys_map(sizeof *kept);
    return kept;
}

static void set_waiting(struct thread *t, bool waits)
{
    ilock_signals_wait = waits;
    if ((uintptr_t)t > 1)
        t->signals_wait = waits;
}

/* ---- order of real-time signals ---- */

static struct short_info shorten(const siginfo_t *info)
{
    struct short_info s;
    __builtin_memcpy(&s, info, sizeof s);
    return s;
}

static bool queue_add_copy(struct queue *q, int sig, const siginfo_t *info)
{
    if (q->n == QUEUE)
        return false;
    q->sig[q->n] = sig;
    q->info[q->n] = *info;
    q->copy[q->n] = shorten(info);
    q->n++;
    return true;
}

static void queue_remove(struct queue *q, u32 info, u32 copy)
{
    q->copy[copy] = q->copy[info];
    q->n--;
    for (u32 i = info; i < q->n; i++) {
        q->sig[i] = q->sig[i + 1];
        q->info[i] = q->info[i + 1];
        q->copy[i] = q->copy[i + 1];
    }
}

void defer_in_order(int sig, siginfo_t *info)
{
    if (snarl_likely(!kept || !kept->queue.n))
        return;
    struct queue *q = &kept->queue;
    struct short_info s = shorten(info);
    siginfo_t came = *info;
    u32 first = QUEUE, last = QUEUE, copy = QUEUE;
    for (u32 i = 0; i < q->n; i++) {
        if (q->sig[i] != sig)
            continue;
        first = first == QUEUE ? i : first;
        last = i;
        copy = copy == QUEUE && !__builtin_memcmp(&q->copy[i], &s, sizeof s) ? i : copy;
    }
    if (first == QUEUE)
        return;
    *info = q->info[first];
    if (copy != QUEUE) {
        queue_remove(q, first, copy);
        return;
    }
    /* One that came later, or stood in the kernel's queue then: it takes the last place. */
    for (u32 i = first, next; i < last; i = next) {
        for (next = i + 1; q->sig[next] != sig; next++)
            continue;
        q->info[i] = q->info[next];
    }
    q->info[last] = came;
}

/* ---- putting off ---- */

/* The frame that is inside is gone when the stack pointer has been above it (by more than a word: its return address may
 * already be the next thing on the stack). But not because it is on another stack now: the interrupted code may be the
 * trampoline, which another signal has just entered. */
static bool is_above(u64 inside, const ucontext_t *c)
{
    u64 sp = (u64)c->uc_mcontext.gregs[REG_RSP], pc = (u64)c->uc_mcontext.gregs[REG_RIP];
    u64 lo = (u64)c->uc_stack.ss_sp, size = c->uc_stack.ss_size;
    if (sp <= inside + 8 || (pc >= own.lo && pc < own.hi))
        return false;
    return !(c->uc_stack.ss_flags & SS_ONSTACK) || inside - lo < size;
}

bool defer_is_inside(const struct thread *t, const ucontext_t *c)
{
    u64 inside = (uintptr_t)t > 1 ? t->inside : 0;
    return inside && !(inside & INSIDE_QUIET) && !is_above(inside, c);
}

/* A signal whose number cannot be blocked. False: the code's own instruction has raised it, or it is not known. */
static bool keep_fault(int sig, const siginfo_t *info, const ucontext_t *c, bool has_info)
{
    u64 pc = (u64)c->uc_mcontext.gregs[REG_RIP];
    if (has_info ? info->si_code > 0 : !ilock_guarded())
        return false;
    if (!kept_make())
        return false;
    if (!has_info && (kept->faults & BIT(sig)) && kept->fault_pc == pc) {
        kept->faults &= ~BIT(sig); /* it comes again and again: it was a fault, in a section */
        return false;
    }
    if (kept->faults & BIT(sig))
        return true;
    kept->fault_pc = has_info ? 0 : pc;
    kept->with_info = has_info ? kept->with_info | BIT(sig) : kept->with_info & ~BIT(sig);
    if (has_info)
        kept->fault_info[sig] = *info;
    kept->faults |= BIT(sig);
    return true;
}

static bool send_back(int sig, siginfo_t *info, bool has_info)
{
    u32 pid = sys_getpid(), tid = sys_gettid();
    return has_info ? sys_call6(SYS_rt_tgsigqueueinfo, pid, tid, sig, (long)info, 0, 0) == 0
                    : sys_call3(SYS_tgkill, pid, tid, sig) == 0;
}

/* The kernel's queue is full. */
static bool send_bare(int sig, const siginfo_t *info)
{
    siginfo_t bare = *info;
    bare.si_code = SI_USER; /* never refused: what does not fit is only marked as pending */
    return send_back(sig, &bare, true);
}

static void undo_reset(int sig, struct kernel_action now)
{
    if (!(now.flags & (u32)SA_RESETHAND) || now.handler)
        return;
    now.handler = trampolines[0];
    sys_call6(SYS_rt_sigaction, sig, (long)&now, 0, sizeof(u64), 0, 0);
}

bool defer_signal(struct thread *t, int sig, siginfo_t *info, ucontext_t *c)
{
    bool guarded = ilock_guarded();
    if (snarl_likely(!guarded && !defer_is_inside(t, c)))
        return false;
    struct kernel_action now = action_get(sig);
    bool has_info = (now.flags & SA_SIGINFO) && info->si_signo == sig;
    u64 mask = sys_signals_block(); /* with SA_NODEFER it would come at once */
    bool done;
    if (BIT(sig) & FAULTS)
        done = keep_fault(sig, info, c, has_info);
    else
        done = send_back(sig, info, has_info) || (guarded && send_bare(sig, info));
    if (!done) {
        sys_signals_restore(mask);
        return false;
    }
    if (sig >= FIRST_REALTIME && has_info && kept_make() && !queue_add_copy(&kept->queue, sig, info))
        run_lost(LOSS_handler_events);
    undo_reset(sig, now);
    /* Of handlers that were entered at once, one on top of the other, the outermost comes last and knows the mask. */
    if (!(*mask_of(c) & BIT(LIBC_CANCEL)) || !ilock_signals_wait)
        mask_outside = *mask_of(c);
    *mask_of(c) |= ~FAULTS;
    set_waiting(t, true);
    return true;
}

/* ---- delivery ---- */

static void send_faults(void)
{
    u64 faults = kept ? kept->faults : 0;
    for (int sig = 1; faults; sig++) {
        if (!(faults & BIT(sig)))
            continue;
        faults &= ~BIT(sig);
        kept->faults &= ~BIT(sig);
        send_back(sig, &kept->fault_info[sig], kept->with_info & BIT(sig));
    }
}

/* Everything that was sent back has been delivered, but what this mask blocks. */
static void forget_delivered(u64 mask)
{
    struct queue *q = kept ? &kept->queue : NULL;
    for (u32 i = q ? q->n : 0; i-- > 0;)
        if (!(mask & BIT(q->sig[i])))
            queue_remove(q, i, i);
}

SNARL_COLD void signal_deliver(void)
{
    struct thread *t = snarl_thread;
    if (ilock_guarded() || ((uintptr_t)t > 1 && t->inside && !(t->inside & INSIDE_QUIET)))
        return;
    sys_signals_block(); /* faults as well, from here to the end */
    u64 mask = mask_outside;
    set_waiting(t, false);
    send_faults();
    sys_signals_restore(mask);
    if (snarl_unlikely(kept && kept->queue.n))
        forget_delivered(mask);
}

void defer_give_up(int sig, ucontext_t *c)
{
    if (!ilock_signals_wait || ilock_guarded())
        return;
    u64 mask = mask_outside; /* what came in the trampoline itself found the handler's mask */
    if (*mask_of(c) & BIT(LIBC_CANCEL)) {
        struct kernel_action now = action_get(sig);
        *mask_of(c) = mask;
        mask |= now.mask | (now.flags & SA_NODEFER ? 0 : BIT(sig));
    }
    sys_signals_block();
    set_waiting(snarl_thread, false);
    send_faults();
    sys_signals_restore(mask);
}

/* ---- start and end ---- */

/* A handler that somebody has given to the kernel behind our back would run in the middle of a section. */
static void check(void)
{
    for (int sig = 1; sig < SIGNALS; sig++) {
        if (sig == SIGKILL || sig == SIGSTOP || sig == LIBC_CANCEL || sig == LIBC_SETXID)
            continue;
        void *h = action_get(sig).handler;
        if ((uintptr_t)h > (uintptr_t)SIG_IGN && h != trampolines[0] && h != trampolines[1])
            ilock_signals_block();
    }
}

void defer_start(void *trampoline, void *other)
{
    trampolines[0] = trampoline;
    trampolines[1] = other;
    modules_lookup((u64)trampoline, &own);
    ilock_signals = (struct ilock_signals){true, signal_deliver, check};
}

void defer_thread_end(void)
{
    sys_unmap(kept, kept ? sizeof *kept : 0);
    kept = NULL;
}
