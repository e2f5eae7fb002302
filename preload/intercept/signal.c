/* Signal handlers of the program: run through a trampoline, so that snarl knows when a handler runs, that none runs in
 * the middle of snarl's own code, and whether a handler may post a semaphore. Called by the watched program and by the
 * kernel (the trampoline). Takes no lock; a thread in which a handler runs gets one page (sys_map).
 *
 * The kernel's flags and mask are exactly the program's, and the handler gets all three arguments as the kernel gave
 * them; what the program reads back is what it has set. A signal that comes while the thread is inside snarl waits
 * until it leaves (signal_defer.c). A fault cannot wait: its handler runs, and what it does is not recorded.
 *
 * A handler may be left by longjmp, so nothing counts on its return: frames of handlers are kept per thread with the
 * stack they are on, and the next interceptor that is called from a shallower frame takes the stale ones away
 * (interceptor_unusual). */
#include "copies.h"
#include "fault.h"
#include "interceptor.h"
#include "modules.h"
#include "notice.h"
#include "signal_defer.h"
#include "start.h"

typedef void handler_fn(int, siginfo_t *, void *);

/* The program's handlers by signal, while the kernel knows the trampoline. */
static void *handlers[SIGNALS];

struct handler_frame {
    u64 fp;
    u64 alt_lo, alt_hi; /* the alternate stack it runs on, or 0 */
    u64 inside;         /* of the interrupted code */
    u32 accesses;       /* when that was snarl's: what access_resume wants */
    u16 depth;
    bool interrupts; /* that was snarl's */
};
#define FRAMES_MAX 64
struct handler_frames {
    u32 n;
    struct handler_frame frame[FRAMES_MAX];
};
static __thread struct handler_frames *frames __attribute__((tls_model("initial-exec")));

/* ---- running ---- */

static void set_depth(struct thread *t, u16 depth)
{
    t->handler_depth = depth;
    t->rec->in_handler = depth != 0;
}

static bool frame_live(const struct handler_frame *f, u64 fp)
{
    if (f->alt_hi)
        return fp >= f->alt_lo && fp < f->fp;
    return fp < f->fp;
}

/* Takes away the frames of handlers that have been left, seen from a frame of the program's. */
static void frames_mend(struct thread *t, u64 fp)
{
    struct handler_frames *s = frames;
    while (s && s->n && !frame_live(&s->frame[s->n - 1], fp)) {
        const struct handler_frame *f = &s->frame[--s->n];
        if (f->interrupts)
            access_resume_new(f->accesses);
        t->inside = f->inside;
        set_depth(t, f->depth);
    }
}

void signal_jump(struct thread *t, u64 sp)
{
    frames_mend(t, sp);
    if (sp > t->inside) {
        t->inside = 0;
        if (t->signals_wait)
            signal_deliver();
    }
}

struct thread *interceptor_unusual(struct thread *t, u64 fp)
{
    if (ilock_guarded()) /* in a handler that is not entered through the trampoline */
        return NULL;
    frames_mend(t, fp);
    if (t->inside && fp < t->inside) {
        if ((t->inside & INSIDE_QUIET) && t->inside != INSIDE_INTERRUPTED)
            return NULL;
        run_lost(LOSS_handler_events);
        __atomic_fetch_add(&((struct process_rec *)arena_at(engine_process()))->dropped_in_handler, 1,
                           __ATOMIC_RELAXED);
        return NULL;
    }
    return t;
}

static struct handler_frame *frame_push(void)
{
    if (!frames)
        frames = sys_map(sizeof *frames);
    return frames && frames->n < FRAMES_MAX ? &frames->frame[frames->n++] : NULL;
}

static void alternate_stack(struct handler_frame *f, const ucontext_t *context)
{
    u64 lo = (u64)context->uc_stack.ss_sp, hi = lo + context->uc_stack.ss_size;
    bool on_it = !(context->uc_stack.ss_flags & SS_DISABLE) && f->fp >= lo && f->fp < hi;
    f->alt_lo = on_it ? lo : 0;
    f->alt_hi = on_it ? hi : 0;
}

/* What was done before the signal was sent, or its handler set, happened before what the handler does. */
static void sent(struct thread *t, int sig, u64 fp)
{
    t->inside = fp;
    notice_taken(t, sig);
    interceptor_leave(t);
}

/* What the handler finds. Interrupting a quiet call is interrupting the program. */
static void frame_begin(struct handler_frame *f, struct thread *t, int sig, ucontext_t *context)
{
    f->inside = t->inside;
    f->depth = t->handler_depth;
    f->interrupts = defer_is_inside(t, context) || t->inside == INSIDE_INTERRUPTED;
    alternate_stack(f, context);
    if (f->interrupts) {
        t->inside = INSIDE_INTERRUPTED;
        f->accesses = access_pause(); /* what orders them cannot be told now */
        defer_give_up(sig, context);
    } else {
        t->inside = 0;
    }
    set_depth(t, f->depth + 1);
    if (access_on && !f->interrupts)
        sent(t, sig, f->fp);
}

/* By then the handler's frame is in place, or there is none. */
static void run_handler(handler_fn *handler, int sig, siginfo_t *info, void *context)
{
    struct copies_shown shown;
    if (snarl_likely(!copies)) {
        handler(sig, info, context);
        return;
    }
    copies->show(&shown, context);
    handler(sig, info, context);
    copies->hide(&shown, context);
}

static void trampoline(int sig, siginfo_t *info, void *context)
{
    struct thread *t = snarl_thread;
    if (fault_resume(sig, context) || defer_signal(t, sig, info, context))
        return;
    fault_once_used(sig);
    defer_in_order(sig, info);
    handler_fn *handler = (handler_fn *)(uintptr_t)__atomic_load_n(&handlers[sig], __ATOMIC_ACQUIRE);
    struct handler_frame *f = (uintptr_t)t > 1 ? frame_push() : NULL;
    if (!f) {
        run_handler(handler, sig, info, context);
        return;
    }
    u32 level = frames->n - 1;
    f->fp = (u64)INTERCEPTOR_FP();
    frame_begin(f, t, sig, context);

    run_handler(handler, sig, info, context);

    if (snarl_thread != t)
        return;
    if (f->interrupts)
        access_resume(f->accesses);
    t->inside = f->inside;
    set_depth(t, f->depth);
    frames->n = level;
}

void signal_start(void)
{
    defer_start((void *)(uintptr_t)trampoline, fault_default_function());
}

struct handler_frames *signal_swap(struct handler_frames *now)
{
    struct handler_frames *before = frames;
    frames = now;
    return before;
}

void signal_free(struct handler_frames *s)
{
    sys_unmap(s, s ? sizeof *s : 0);
}

void signal_thread_end(void)
{
    signal_free(signal_swap(NULL));
    defer_thread_end();
}

/* ---- setting ---- */

static bool is_function(const void *handler)
{
    return (uintptr_t)handler > (uintptr_t)SIG_HOLD && handler != (void *)(uintptr_t)SIG_ERR;
}

static bool is_trampoline(const void *handler)
{
    return handler == (void *)(uintptr_t)trampoline;
}

/* A handler of the interpreter only notes that the signal came. */
static bool may_wake(const void *handler)
{
    const struct module_rec *m = modules_find((u64)handler);
    return !(m && m->is_python);
}

static void count_handler(int sig, bool wakes)
{
    static u8 counted[SIGNALS];
    u8 was = __atomic_exchange_n(&counted[sig], wakes, __ATOMIC_RELAXED);
    struct process_rec *p = arena_at(engine_process());
    if (was != wakes)
        __atomic_fetch_add(&p->handlers, wakes ? 1u : ~0u, __ATOMIC_SEQ_CST);
}

static bool watched(int sig)
{
    return snarl_on && sig > 0 && sig < SIGNALS;
}

/* handler is about to be set for sig: what to give to the real call instead. *before: what the trampoline stood for so
 * far. */
static void *handler_in(int sig, void *handler, void **before)
{
    *before = __atomic_load_n(&handlers[sig], __ATOMIC_RELAXED);
    if (!start_same_process()) /* a vfork child has signal actions of its own, but our table is its parent's */
        return is_trampoline(handler) ? *before : handler;
    if (!is_function(handler) || is_trampoline(handler))
        return fault_default_in(sig, handler);
    struct thread *t = access_on ? interceptor_enter(INTERCEPTOR_FP()) : NULL;
    if (t) {
        hb_release(t, notice_key(sig));
        interceptor_leave(t);
    }
    /* First the table, then the kernel: the trampoline always finds a handler. */
    __atomic_store_n(&handlers[sig], handler, __ATOMIC_RELEASE);
    return (void *)(uintptr_t)trampoline;
}

static void handler_set(int sig, void *handler, bool success, void *before)
{
    if (!start_same_process())
        return;
    if (!success)
        __atomic_store_n(&handlers[sig], before, __ATOMIC_RELEASE);
    else
        count_handler(sig, is_function(handler) && may_wake(is_trampoline(handler) ? before : handler));
    fault_once_keep(sig);
}

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    if (!watched(sig))
        return REAL(sigaction)(sig, act, old);
    struct sigaction mine;
    void *before = __atomic_load_n(&handlers[sig], __ATOMIC_RELAXED), *wanted = NULL;
    bool sets = act != NULL, once = fault_once_of(sig);
    if (sets) {
        mine = *act; /* may be the same memory as old */
        wanted = (void *)(uintptr_t)mine.sa_sigaction;
        mine.sa_sigaction = (handler_fn *)(uintptr_t)handler_in(sig, wanted, &before);
    }
    int r = REAL(sigaction)(sig, sets ? &mine : NULL, old);
    if (sets)
        handler_set(sig, wanted, r == 0, before);
    if (r == 0 && old) {
        void *was = (void *)(uintptr_t)old->sa_sigaction;
        old->sa_sigaction = (handler_fn *)(uintptr_t)(is_trampoline(was) ? before : was);
        old->sa_flags |= once ? (int)SA_RESETHAND : 0;
        fault_default_restore(old);
    }
    return r;
}
EXPORT_ALIAS(__sigaction, sigaction);

static sighandler_t set_simple(sighandler_t (*real)(int, sighandler_t), int sig, sighandler_t handler)
{
    if (!watched(sig))
        return real(sig, handler);
    void *before, *wanted = (void *)(uintptr_t)handler;
    sighandler_t r = real(sig, (sighandler_t)(uintptr_t)handler_in(sig, wanted, &before));
    if (handler != SIG_HOLD) /* that one changes the mask only */
        handler_set(sig, wanted, r != SIG_ERR, before);
    void *was = (void *)(uintptr_t)r;
    return (sighandler_t)(uintptr_t)(is_trampoline(was) ? before : fault_default_of(was));
}

EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
    return set_simple(REAL(signal), sig, handler);
}
EXPORT_ALIAS(bsd_signal, signal);
EXPORT_ALIAS(ssignal, signal);

EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
    return set_simple(REAL(sysv_signal), sig, handler);
}
EXPORT_ALIAS(__sysv_signal, sysv_signal);

EXPORT sighandler_t sigset(int sig, sighandler_t disposition)
{
    return set_simple(REAL(sigset), sig, disposition);
}

/* ---- timers ---- */

/* A timer that starts a thread may wake anybody, as long as the process lives. */
EXPORT int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
    int r = REAL(timer_create)(clock, event, timer);
    if (r == 0 && snarl_on && event && event->sigev_notify == SIGEV_THREAD && start_same_process())
        __atomic_fetch_add(&((struct process_rec *)arena_at(engine_process()))->unseen_wakers, 1, __ATOMIC_SEQ_CST);
    return r;
}
