/* The course of a recycling cycle (recycle.h): who does it, and waiting for the other threads. Called by the slow path of
 * accesses. The cycle's lock is only ever tried; its holder is in a section (base/ilock.h). Maps its tables at the first
 * cycle.
 *
 * Threads say by `inside` (thread.h) that they are in the engine, without a fence; the kernel's membarrier makes up for
 * it: after it, whoever was inside before is seen inside, and whoever comes later sees what was stored before. */
#include "analyze/recycle.h"

#include <linux/membarrier.h>

#include "analyze/atomicity.h"
#include "analyze/weak.h"
#include "base/reserve.h"
#include "model/lanes.h"

#define SPINS 50
#define YIELDS 200

enum phase { IDLE, CONDEMNED, MOVED };

u32 recycle_cycle;
u64 *recycle_floor;
static u32 lock, phase;
static u32 mark = ~0u;          /* free blocks at which the next cycle begins */
static struct accesses *states; /* of all threads there have been; those in use have a number */
static u32 generation = 1;      /* of that list: a forked child has its own */
static u32 begins, begun;       /* threads */

/* ---- threads ---- */

void recycle_join(struct accesses *a)
{
    if (a->listed == generation)
        return;
    a->listed = generation;
    a->next_state = __atomic_load_n(&states, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&states, &a->next_state, a, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
}

void recycle_thread_begins(void)
{
    __atomic_fetch_add(&begins, 1, __ATOMIC_SEQ_CST);
}

void recycle_thread_begun(void)
{
    __atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST);
}

static struct accesses *states_first(void)
{
    return __atomic_load_n(&states, __ATOMIC_SEQ_CST);
}

const struct accesses *recycle_states(void)
{
    return states_first();
}

void recycle_notice(struct accesses *a)
{
    __builtin_memset(a->past, 0, sizeof a->past);
    __builtin_memset(a->sets, 0, sizeof a->sets);
    a->concurrent = 0;
    if (a->pairs)
        pairs_renew(a->pairs);
    /* The bit first, then the look: a cycle that begins meanwhile sets the bit after it has said so. */
    __atomic_fetch_and(&a->ignored, ~ACCESS_DETOUR, __ATOMIC_SEQ_CST);
    u32 now = __atomic_load_n(&recycle_cycle, __ATOMIC_SEQ_CST);
    if (now & 1)
        __atomic_fetch_or(&a->ignored, ACCESS_DETOUR, __ATOMIC_SEQ_CST);
    __atomic_store_n(&a->cycle, now, __ATOMIC_RELEASE);
}

static bool barrier(void)
{
    if (sys_call3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
        return true;
    return sys_call3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           sys_call3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* It waits for another thread, and will not look at the shadow before it has. */
static bool is_waiting(const struct thread *t)
{
    return __atomic_load_n(&t->rec->wait.seq, __ATOMIC_ACQUIRE) & 1;
}

/* The thread is outside, or has come in during this cycle. */
static bool has_left(const struct accesses *a, u32 cycle)
{
    for (u32 i = 0; i < SPINS + YIELDS; i++) {
        if (!__atomic_load_n(&a->number, __ATOMIC_ACQUIRE) || !__atomic_load_n(&a->owner->inside, __ATOMIC_ACQUIRE) ||
            __atomic_load_n(&a->cycle, __ATOMIC_ACQUIRE) == cycle || is_waiting(a->owner))
            return true;
        if (i < SPINS)
            __builtin_ia32_pause();
        else
            sys_call3(SYS_sched_yield, 0, 0, 0);
    }
    return false;
}

static bool all_have_left(const struct accesses *me)
{
    u32 cycle = recycle_cycle;
    if (!barrier())
        return false;
    for (const struct accesses *a = states_first(); a; a = a->next_state)
        if (a != me && !has_left(a, cycle))
            return false;
    return true;
}

/* A handler of the program has interrupted the engine, for who knows how long. */
static bool any_interrupted(const struct accesses *me)
{
    for (const struct accesses *a = states_first(); a; a = a->next_state)
        if (a != me && __atomic_load_n(&a->number, __ATOMIC_RELAXED) &&
            __atomic_load_n(&a->owner->inside, __ATOMIC_RELAXED) == ~0ULL)
            return true;
    return false;
}

/* ---- what all threads know ---- */

/* The one that knows less. */
static const struct clock *clock_of(const struct accesses *a)
{
    return a->weak ? &a->weak->clock : &a->clock;
}

static void floor_lower(const struct accesses *a, u32 lanes, bool first)
{
    for (u32 i = 0; i < lanes; i++) {
        u64 time = __atomic_load_n(&clock_of(a)->times[i], __ATOMIC_RELAXED);
        if (first || time < recycle_floor[i])
            recycle_floor[i] = time;
    }
}

/* A thread that begins later begins with what a living one knows. One that begins meanwhile might be missed here. */
static void floor_find(void)
{
    u32 before = __atomic_load_n(&begun, __ATOMIC_SEQ_CST), lanes = lanes_used();
    bool any = false;
    if (before == __atomic_load_n(&begins, __ATOMIC_SEQ_CST)) {
        for (const struct accesses *a = states_first(); a; a = a->next_state) {
            if (!__atomic_load_n(&a->number, __ATOMIC_SEQ_CST))
                continue;
            floor_lower(a, lanes, !any);
            any = true;
        }
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!any || before != __atomic_load_n(&begins, __ATOMIC_SEQ_CST))
        __builtin_memset(recycle_floor, 0, lanes * sizeof *recycle_floor);
    __builtin_memset(recycle_floor + lanes, 0, (CLOCK_LANES - lanes) * sizeof *recycle_floor);
}

/* ---- the cycle ---- */

static bool start(void)
{
    if (!recycle_floor)
        recycle_floor = reserve_map(CLOCK_LANES * sizeof *recycle_floor);
    return recycle_floor && move_start() && barrier();
}

static void mark_set(void)
{
    if (epoch_blocks_free() < epoch_limit / 2 || move_costs_much())
        epoch_limit_raise();
    u32 free = epoch_blocks_free(), most = epoch_limit / 4;
    mark = free * 3ULL / 4 < most ? free / 4 * 3 + free % 4 * 3 / 4 : most;
}

static bool begin(struct accesses *a)
{
    if (any_interrupted(a) || !start())
        return false;
    floor_find();
    if (!move_choose(a)) {
        mark_set();
        return false;
    }
    move_condemn();
    __atomic_add_fetch(&recycle_cycle, 1, __ATOMIC_SEQ_CST);
    for (struct accesses *o = states_first(); o; o = o->next_state)
        __atomic_fetch_or(&o->ignored, ACCESS_DETOUR, __ATOMIC_SEQ_CST);
    phase = CONDEMNED;
    return true;
}

static void sweep(struct accesses *a)
{
    recycle_notice(a);
    move_all(a);
    __atomic_add_fetch(&recycle_cycle, 1, __ATOMIC_SEQ_CST);
    phase = MOVED;
}

/* Nobody refers to a condemned number any more; what threads remember of sets is asked without a visit. */
static void finish(void)
{
    for (struct accesses *a = states_first(); a; a = a->next_state)
        for (u32 i = 0; i < SETS_KNOWN; i++)
            __atomic_store_n((u64 *)&a->frames.sets[i], 0, __ATOMIC_RELAXED);
    move_finish();
    mark_set();
    phase = IDLE;
}

static void advance(struct accesses *a)
{
    if (phase == IDLE && !begin(a))
        return;
    if (phase == CONDEMNED && all_have_left(a))
        sweep(a);
    if (phase == MOVED && all_have_left(a))
        finish();
}

bool recycle_wanted(void)
{
    u32 free = epoch_blocks_free();
    return (free <= epoch_limit / 4 && free <= mark) || phase != IDLE || readers_wanted();
}

void recycle_try(struct accesses *a)
{
    u64 mask = ilock_guard();
    if (!__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) {
        advance(a);
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
    ilock_unguard(mask);
}

void recycle_forked(void)
{
    lock = 0;
    phase = IDLE;
    mark = ~0u;
    states = NULL;
    generation++;
    begins = begun = 0;
    recycle_cycle = (recycle_cycle | 1) + 1;
    move_forked();
}
