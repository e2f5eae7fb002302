/* When accesses are watched, and for which threads and memory. Called by the sensor that turns watching on, by thread
 * and process events, and by allocators. Takes RANK_THREADS (model/clock.c). Maps memory: the shadow's address space, a
 * state per thread.
 *
 * While a process has had one thread only, everything it does is before everything that can follow: nothing is recorded
 * (access_now is 0) until it makes a second one. */
#include <errno.h>

#include "analyze/access_hot.h"
#include "analyze/accesses.h"
#include "analyze/atomicity.h"
#include "analyze/cap.h"
#include "analyze/lives.h"
#include "analyze/recycle.h"
#include "analyze/runs.h"
#include "analyze/shared.h"
#include "analyze/site.h"
#include "analyze/weak.h"

bool access_on;

/* ---- threads ---- */

static struct accesses *state_of(struct thread *t)
{
    if (!t->accesses)
        t->accesses = sys_map(sizeof *t->accesses);
    return t->accesses;
}

/* What a last owner of the state knew is not true for this one. */
static void state_reset(struct thread *t, struct accesses *a)
{
    __builtin_memset(a->reported, 0, sizeof a->reported);
    __builtin_memset(a->places, 0, sizeof a->places);
    a->first = a->epoch = a->next = a->block_first = a->block_end = 0;
    __atomic_store_n(&a->ignored, ACCESS_DETOUR, __ATOMIC_SEQ_CST);
    a->ignored_reads = a->ignored_writes = a->ignored_order = 0;
    a->nread = 0;
    a->npending = 0;
    a->set_credit = SET_CREDIT;
    a->locked = 0;
    if (a->pairs) {
        a->pairs->task++;
        pairs_renew(a->pairs);
        a->pairs->busy = false;
        a->pairs->found.mask = 0;
    }
    __builtin_memset(a->pending, 0, sizeof a->pending);
    __builtin_memset(a->instructions, 0, sizeof a->instructions);
    a->barrier = 0;
    a->fence = (struct sync_clock){0};
    a->frames.fenced = false;
    a->over = false;
    a->open_first = 0;
    a->ticked = true;
    a->owner = t;
    access_sets_forget(&a->frames);
    a->shared_changes = 0;
    __builtin_memset(a->shared, 0, sizeof a->shared);
    lives_begin(a);
    recycle_notice(a);
    __atomic_store_n(&a->number, t->rec->number, __ATOMIC_SEQ_CST);
    recycle_join(a);
}

/* The clocks in both orders. */
static int clocks_start(struct accesses *a, const struct accesses *creator)
{
    struct weak *w = weak_state(a);
    const struct clock *known = creator ? &creator->clock : NULL;
    if (!w)
        return clock_start(&a->clock, known);
    return clock_start_twins(&a->clock, &w->clock, known, known && creator->weak ? &creator->weak->clock : known);
}

struct accesses *accesses_start(struct thread *t, const struct accesses *creator)
{
    struct accesses *a = state_of(t);
    recycle_thread_begins();
    bool ok = a && clocks_start(a, creator) == 0;
    if (ok)
        state_reset(t, a);
    recycle_thread_begun();
    if (!ok)
        run_lost(LOSS_threads_unwatched);
    return ok ? a : NULL;
}

void accesses_end(struct accesses *a)
{
    lives_end(a);
    sync_clock_clear(&a->clock, &a->fence);
    if (a->weak)
        weak_end(a);
    clock_end(&a->clock);
    __atomic_store_n(&a->number, 0, __ATOMIC_SEQ_CST);
    if (a->block_end)
        epoch_block_full(a->block_first / EPOCH_BLOCK);
    a->block_first = a->block_end = a->next = 0;
}

/* A thread that was there before watching began, or that nobody has seen being made. */
SNARL_COLD struct accesses *accesses_begin(struct thread *t)
{
    bool may = t->rec->state == THREAD_RUNNING && !(t->accesses && t->accesses->over);
    struct accesses *a = may ? accesses_start(t, NULL) : NULL;
    if (!a)
        return NULL;
    for (u32 i = 0; i < t->rec->nheld; i++)
        t->held[i].how |= HOW_CLOCKED;
    access_frames = &a->frames;
    if (process()->nthreads_ever == 1) /* somebody may have made the process who is not watched */
        lives_learn(a, LIVES_ALL);
    if (process()->nthreads_ever > 1 || shared_active)
        access_now = ACCESS_NO_EPOCH;
    return a;
}

void access_thread_switched(struct thread *t)
{
    bool on = access_on && t && t->accesses && t->accesses->number;
    access_now = on ? ACCESS_NO_EPOCH : 0;
    access_frames = on ? &t->accesses->frames : NULL;
}

void access_ignore(struct thread *t, u32 what, bool begin)
{
    struct accesses *a = access_on ? accesses_of(t) : NULL;
    u32 step = begin ? 1 : ~0u;
    if (!a)
        return;
    if ((what & ACCESS_IGNORE_READS) && (begin || a->ignored_reads))
        a->ignored_reads += step;
    if ((what & ACCESS_IGNORE_WRITES) && (begin || a->ignored_writes))
        a->ignored_writes += step;
    if ((what & ACCESS_IGNORE_ORDER) && (begin || a->ignored_order))
        a->ignored_order += step;
    __atomic_fetch_and(&a->ignored, ACCESS_DETOUR, __ATOMIC_RELAXED);
    __atomic_fetch_or(&a->ignored, a->ignored_reads || a->ignored_writes, __ATOMIC_RELAXED);
}

u32 access_pause(void)
{
    u32 before = access_now;
    access_now = 0;
    return before;
}

void access_resume(u32 before)
{
    access_now = before;
}

void access_resume_new(u32 before)
{
    access_now = before ? ACCESS_NO_EPOCH : 0;
}

/* ---- the process ---- */

/* Locks made before: their next acquires and releases order accesses, too. */
static void clock_locks(void)
{
    struct arena_cursor c = {0};
    for (ref_t r; (r = arena_next(POOL_LOCK, &c)) != 0;)
        if (LOCK_AT(r)->head.uid)
            __atomic_fetch_or(&LOCK_AT(r)->head.attrs, ATTR_CLOCKED, __ATOMIC_RELAXED);
}

int access_turn_on(struct thread *t)
{
    static u32 begun; /* 1: being done, 2: done */
    u32 none = 0;
    if (!__atomic_compare_exchange_n(&begun, &none, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
        return access_on ? 0 : -EBUSY;
    int r = shadow_start();
    r = r ? r : epoch_start();
    r = r ? r : site_start();
    r = r ? r : crowd_start();
    r = r ? r : readers_start();
    r = r ? r : hb_start();
    r = r ? r : weak_start();
    if (r)
        return r;
    cap_start();
    __atomic_store_n(&access_on, true, __ATOMIC_RELEASE);
    clock_locks();
    accesses_of(t);
    return 0;
}

/* In a forked child: its memory is its own, and what the parent's threads did to it is past. */
void accesses_forked(struct thread *t)
{
    if (!access_on)
        return;
    shadow_clear_all();
    crowd_reset();
    epoch_reset();
    readers_reset();
    recycle_forked();
    cap_start();
    hb_forked();
    weak_forked();
    atomicity_forked();
    access_now = 0;
    struct accesses *a = t->accesses;
    if (!a || !a->number)
        return;
    if (clock_forked(&a->clock) < 0) {
        run_lost(LOSS_threads_unwatched);
        t->accesses = NULL;
        return;
    }
    if (a->weak)
        weak_forked_thread(a);
    state_reset(t, a);
    a->crowds.n = 0;
}

/* ---- memory ---- */

#define PAGE 4096u
#define BLOCK_AS_WRITTEN 65536u /* larger ones are fresh from the system, or cost too much to fill */

void crowds_end(struct accesses *a, u64 addr, u64 size)
{
    u64 end = addr + size;
    unsigned char resident;
    for (u64 at = addr & ~7ULL; at < end; at += GRANULE) {
        u64 *cell = shadow_cell(at);
        if ((u64)cell % PAGE == 0 && end - at >= PAGE && sys_call3(SYS_mincore, cell, PAGE, &resident) == 0 &&
            !(resident & 1)) {
            at += PAGE - GRANULE;
            continue;
        }
        u64 seen = __atomic_load_n(cell, __ATOMIC_RELAXED);
        if (!cell_is_crowd(seen) || seen == CELL_BUSY || cell_is_shared(seen) || !crowd_enter(cell, seen))
            continue;
        __atomic_store_n(cell, 0, __ATOMIC_RELAXED);
        crowd_leave(crowd_number(seen));
        crowd_give(&a->crowds, crowd_number(seen));
    }
}

void access_forget(struct thread *t, u64 addr, u64 size)
{
    struct accesses *a = access_on ? accesses_of(t) : NULL;
    if (!a || !size || !shadow_covers(addr, size))
        return;
    accesses_flush(t, a);
    if (crowd_exists())
        crowds_end(a, addr, size);
    intended_forget(addr, size);
    if (snarl_unlikely(shared_active) && shared_forget(addr, size))
        return;
    shadow_clear(addr, size);
    atomicity_forget(addr, size);
    hb_memory_gone(a, addr, size);
}

#define BY_STRING 128u /* cells, from which on the string instructions are quicker */

static void fill(u64 *at, u64 n, u64 value)
{
    u64 i = 0;
    if (n >= BY_STRING) {
        __asm__ volatile("rep stosq" : "+D"(at), "+c"(n) : "a"(value) : "memory");
        return;
    }
    for (; i + 2 <= n; i += 2)
        run_store(at + i, run_pair(value));
    if (i < n)
        __atomic_store_n(at + i, value, __ATOMIC_RELAXED);
}

/* Nobody can know of the block yet: its cells need not be looked at. */
void access_block_new(struct thread *t, u64 addr, u64 size, ref_t stack, const u64 *fp)
{
    u64 record = 0;
    if (!access_now)
        return;
    if (size > BLOCK_AS_WRITTEN || !(shadow_surely_covers(addr, size) || shadow_covers(addr, size)) ||
        !(record = access_as_written(t, stack, fp))) {
        access_forget(t, addr, size);
        return;
    }
    if (crowd_exists())
        crowds_end(t->accesses, addr, size);
    intended_forget(addr, size);
    atomicity_forget(addr, size);
    hb_memory_gone(t->accesses, addr, size);
    for (u64 end = (addr + size + GRANULE - 1) & ~(u64)(GRANULE - 1), next; addr < end; addr = next) {
        next = (addr | (SHADOW_REGION - 1)) + 1;
        next = next < end ? next : end;
        shadow_touch(addr);
        fill(shadow_cell(addr), (next - addr) / GRANULE, record);
    }
}

void access_block_gone(struct thread *t, u64 addr, u64 size, bool call, const u64 *fp)
{
    if (!access_now)
        return;
    access_range_from(t, addr, size < BLOCK_AS_WRITTEN ? (size + 7) & ~7ULL : BLOCK_AS_WRITTEN,
                      ACCESS_WRITE | ACCESS_FREE, call, fp);
    if (size && t->accesses && t->accesses->number)
        hb_memory_gone(t->accesses, addr, size);
}
