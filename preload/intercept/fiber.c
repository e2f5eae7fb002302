/* Fibers. Called by the watched program through annotations (annotate.c) and by the compilers' interface
 * (access/tsan_fiber.c). Takes no lock of its own, the engine's when a fiber begins or ends; memory comes from sys_map.
 *
 * A fiber's state (struct thread) goes with it from kernel thread to kernel thread: locks held, past, running handlers.
 * The stack's bounds are known only if the program tells; else the unwinder asks for each page beyond the present one.
 * Between the switch that the program tells of and the one it makes, the new fiber runs on the old one's stack, so
 * nothing here relies on where the stack pointer is. */
#include "fiber.h"

#include "analyze/access.h"
#include "interceptor.h"
#include "locate.h"
#include "start.h"
#include "unwind/safe.h"
#include "watched.h"

#define CHUNK 4096u
#define CHUNKS 4096u
#define FIBER_UNWATCHED (~0ULL)
#define INDEX_BITS 24u /* of a handle: index + 1; the generation is above */

struct fiber {
    struct thread *t;              /* as snarl_thread */
    struct handler_frames *frames; /* while it does not run */
    u64 generation;
    u32 process; /* pid */
    u32 running; /* atomic: some kernel thread runs it, or it is being destroyed */
    u32 next_free;
    bool live, own; /* own: stands for a kernel thread */
};

static struct fiber *chunks[CHUNKS];
static u32 nfibers;   /* entries handed out so far */
static u64 free_head; /* index + 1 of the first free entry, above it a count of changes */
static long live;     /* those that are no kernel thread's own */

/* Of this kernel thread; all zero as long as it knows no fibers. */
static __thread struct {
    u64 current, own; /* handles */
    u32 tid;
} here __attribute__((tls_model("initial-exec")));

/* ---- the table ---- */

static struct fiber *entry(u32 index)
{
    struct fiber *c = index / CHUNK < CHUNKS ? __atomic_load_n(&chunks[index / CHUNK], __ATOMIC_ACQUIRE) : NULL;
    return c ? &c[index % CHUNK] : NULL;
}

static u64 handle_of(u32 index)
{
    return entry(index)->generation << INDEX_BITS | (index + 1);
}

static struct fiber *find(u64 fiber)
{
    u32 index = (u32)(fiber & ((1u << INDEX_BITS) - 1));
    struct fiber *f = index ? entry(index - 1) : NULL;
    return f && f->live && f->generation == fiber >> INDEX_BITS && f->process == snarl_pid ? f : NULL;
}

static bool chunk_make(u32 index)
{
    struct fiber *none = NULL, *c = index / CHUNK < CHUNKS ? sys_map(CHUNK * sizeof *c) : NULL;
    if (c && !__atomic_compare_exchange_n(&chunks[index / CHUNK], &none, c, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        sys_unmap(c, CHUNK * sizeof *c);
    return c != NULL;
}

/* Index of an unused entry, or ~0. */
static u32 entry_take(void)
{
    u64 head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE);
    while ((u32)head) {
        u64 next = ((head >> 32) + 1) << 32 | __atomic_load_n(&entry((u32)head - 1)->next_free, __ATOMIC_RELAXED);
        if (__atomic_compare_exchange_n(&free_head, &head, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return (u32)head - 1;
    }
    u32 index = __atomic_fetch_add(&nfibers, 1, __ATOMIC_RELAXED);
    if (entry(index) || chunk_make(index))
        return index;
    __atomic_fetch_sub(&nfibers, 1, __ATOMIC_RELAXED);
    return ~0u;
}

static void entry_give(u32 index)
{
    struct fiber *f = entry(index);
    f->live = false;
    f->t = NULL;
    f->frames = NULL;
    f->generation++;
    u64 head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE), now;
    do {
        __atomic_store_n(&f->next_free, (u32)head, __ATOMIC_RELAXED);
        now = ((head >> 32) + 1) << 32 | (index + 1);
    } while (!__atomic_compare_exchange_n(&free_head, &head, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

static void give(u64 fiber)
{
    entry_give((u32)(fiber & ((1u << INDEX_BITS) - 1)) - 1);
}

/* A handle for t, or 0. */
static u64 entry_new(struct thread *t, bool own)
{
    u32 index = entry_take();
    if (index == ~0u)
        return 0;
    struct fiber *f = entry(index);
    f->t = t;
    f->frames = NULL;
    f->process = snarl_pid;
    f->own = own;
    f->live = true;
    __atomic_store_n(&f->running, own, __ATOMIC_RELEASE);
    return handle_of(index);
}

static bool claim(struct fiber *f)
{
    return __atomic_exchange_n(&f->running, 1, __ATOMIC_ACQ_REL) == 0;
}

/* ---- what the program calls ---- */

/* From the first use of fibers on, the thread itself is one. Inside, or not watched. */
static void own_known(void)
{
    if (here.current)
        return;
    here.tid = sys_gettid();
    here.own = here.current = entry_new(snarl_thread, true);
}

u64 fiber_current(const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (t) {
        own_known();
        interceptor_leave(t);
    }
    return here.current;
}

u64 fiber_create(u64 lo, u64 size, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return snarl_on ? FIBER_UNWATCHED : 0;
    own_known();
    watched_begin();
    struct thread *child = engine_thread_create(t, 0, fp);
    u64 fiber = child ? entry_new(child, false) : 0, hi = lo + size;
    bool known = lo && hi > lo && safe_readable((hi - 1) & ~7ULL);
    if (child && !fiber) {
        engine_thread_create_failed(child);
    } else if (child) {
        __atomic_fetch_add(&live, 1, __ATOMIC_SEQ_CST);
        locate_thread_created(child, fp);
        child->rec->detached = 1;
        thread_set_name(child->rec, "fiber");
        if (known) {
            engine_memory_gone(t, lo, size, fp);
            access_forget(t, lo, size);
        }
        engine_thread_start(child, 0, known ? lo : 0, known ? hi : 0);
        access_thread_switched(t); /* that was for whoever starts, which is not this one here */
    }
    interceptor_leave(t);
    return fiber ? fiber : FIBER_UNWATCHED;
}

/* What runs here now stops doing so; its state is complete for whoever goes on with it. */
static void leave_current(struct handler_frames *next_frames)
{
    struct fiber *f = find(here.current);
    struct handler_frames *frames = signal_swap(next_frames);
    if (!f) {
        signal_free(frames);
        return;
    }
    f->t = snarl_thread;
    f->frames = frames;
    __atomic_store_n(&f->running, 0, __ATOMIC_RELEASE);
}

/* f: claimed; NULL to go on unwatched. */
static void switch_to(u64 fiber, struct fiber *f, bool ordered, const u64 *fp)
{
    leave_current(f ? f->frames : NULL);
    snarl_thread = f ? f->t : SNARL_THREAD_ENDED;
    here.current = f ? fiber : FIBER_UNWATCHED;
    access_thread_switched((uintptr_t)snarl_thread > 1 ? snarl_thread : NULL);
    if ((uintptr_t)snarl_thread <= 1)
        return;
    snarl_thread->rec->tid = here.tid;
    struct thread *t = ordered ? interceptor_enter(fp) : NULL;
    if (t) {
        hb_acquire(t, hb_key(HB_ADDRESS, (u64)f));
        interceptor_leave(t);
    }
}

void fiber_switch(u64 fiber, bool ordered, const u64 *fp)
{
    if (!snarl_on)
        return;
    struct thread *t = interceptor_enter(fp); /* NULL also in a handler that has interrupted us: it may switch, too */
    if ((uintptr_t)snarl_thread > 1)
        own_known();
    bool other = here.current && fiber != here.current;
    struct fiber *f = other ? find(fiber) : NULL;
    if (f && !claim(f))
        f = NULL;
    if (t) {
        if (f && ordered)
            hb_release(t, hb_key(HB_ADDRESS, (u64)f));
        interceptor_leave(t);
    }
    if (other)
        switch_to(fiber, f, ordered, fp);
}

void fiber_destroy(u64 fiber, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    struct fiber *f = t ? find(fiber) : NULL;
    if (f && !f->own && claim(f)) {
        struct thread *gone = f->t;
        signal_free(f->frames);
        hb_forget(t, hb_key(HB_ADDRESS, (u64)f));
        give(fiber);
        __atomic_fetch_sub(&live, 1, __ATOMIC_SEQ_CST);
        u64 lo = gone->rec->stack_lo, hi = gone->rec->stack_hi;
        if (lo < hi && !gone->rec->nheld)
            engine_memory_gone(t, lo, hi - lo, fp);
        engine_wait_end(gone);
        engine_thread_end(gone);
        access_thread_switched(t);
    }
    if (t)
        interceptor_leave(t);
}

void fiber_name(u64 fiber, const char *name, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    struct fiber *f = t ? find(fiber) : NULL;
    if (f && (uintptr_t)f->t > 1)
        thread_set_name(f->t->rec, name);
    if (t)
        interceptor_leave(t);
}

/* ---- threads and processes ---- */

long fiber_count(void)
{
    return __atomic_load_n(&live, __ATOMIC_SEQ_CST);
}

struct thread *fiber_thread_end(void)
{
    if (!here.current)
        return snarl_thread;
    struct fiber *own = find(here.own);
    if (here.current != here.own) {
        leave_current(own ? own->frames : NULL);
        snarl_thread = own ? own->t : SNARL_THREAD_ENDED;
    }
    if (own)
        give(here.own);
    here.current = here.own = 0;
    return snarl_thread;
}

void fiber_after_fork(void)
{
    struct fiber *f = here.current ? entry((u32)(here.current & ((1u << INDEX_BITS) - 1)) - 1) : NULL;
    live = 0;
    if (!f || here.current == FIBER_UNWATCHED)
        return;
    f->process = snarl_pid;
    f->own = true;
    here.own = here.current;
    here.tid = sys_gettid();
}
