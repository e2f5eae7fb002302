/* The queue of freed blocks. Called by intercept/alloc_watched.c and blocks.c. Takes no lock, allocates nothing. */
#include "quarantine.h"

#include "base/hash.h"

/* Three lists by size, each bounded by the number of its slots alone. Of the list of small blocks there are a few, which
 * threads take in turn: else each would free for good what another one had, and the allocator would mix their memory. */
#define SMALL (1u << 10)
#define MIDDLE (16u << 10)
#define SMALL_LISTS 4u
#define SMALL_SLOTS 256u
#define MIDDLE_SLOTS 32u
#define LARGE_SLOTS 2u
#define OTHERS (SMALL_LISTS * SMALL_SLOTS) /* where the slots of the others begin */
#define SLOTS (OTHERS + MIDDLE_SLOTS + LARGE_SLOTS)

static u64 slot[SLOTS] __attribute__((aligned(64))); /* 0: empty */
static u32 nthreads;
/* Where this thread puts the next one: in turn, so a list that only one thread fills is a queue. */
static __thread struct {
    u8 small, middle, large;
    u8 list; /* of small ones, + 1; 0: none yet */
} next __attribute__((tls_model("initial-exec")));

u64 quarantine_put(u64 addr, u64 size)
{
    u32 i = OTHERS;
    if (snarl_unlikely(!next.list))
        next.list = (u8)(__atomic_fetch_add(&nthreads, 1, __ATOMIC_RELAXED) % SMALL_LISTS + 1);
    if (snarl_likely(size <= SMALL))
        i = (next.list - 1) * SMALL_SLOTS + next.small++ % SMALL_SLOTS;
    else if (size <= MIDDLE)
        i += next.middle++ % MIDDLE_SLOTS;
    else
        i += MIDDLE_SLOTS + next.large++ % LARGE_SLOTS;
    return __atomic_exchange_n(&slot[i], addr, __ATOMIC_ACQ_REL);
}

bool quarantine_holds(u64 addr)
{
    for (u32 i = 0; i < SLOTS; i++)
        if (__atomic_load_n(&slot[i], __ATOMIC_RELAXED) == addr)
            return true;
    return false;
}

static u32 filter_bit(u64 addr)
{
    return (u32)(hash_mix64(addr) % QUARANTINE_FILTER);
}
void quarantine_filter(u64 bits[QUARANTINE_FILTER / 64])
{
    __builtin_memset(bits, 0, QUARANTINE_FILTER / 8);
    for (u32 i = 0; i < SLOTS; i++) {
        u32 bit = filter_bit(__atomic_load_n(&slot[i], __ATOMIC_RELAXED));
        bits[bit / 64] |= 1ULL << bit % 64;
    }
}
bool quarantine_may_hold(const u64 *filter, u64 addr)
{
    return filter[filter_bit(addr) / 64] >> filter_bit(addr) % 64 & 1;
}

bool quarantine_take(u64 addr)
{
    for (u32 i = 0; i < SLOTS; i++) {
        u64 seen = addr;
        if (__atomic_load_n(&slot[i], __ATOMIC_RELAXED) == addr &&
            __atomic_compare_exchange_n(&slot[i], &seen, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

u64 quarantine_any(void)
{
    for (u32 i = 0; i < SLOTS; i++) {
        u64 addr = __atomic_exchange_n(&slot[i], 0, __ATOMIC_ACQ_REL);
        if (addr)
            return addr;
    }
    return 0;
}
