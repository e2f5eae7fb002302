/* The queue of freed blocks. Called by intercept/alloc_watched.c. Takes no lock, allocates nothing. */
#include "quarantine.h"

#define SLOTS 256u
#define MOST_BYTES (1u << 20)
#define ADDRESS_BITS 47
#define UNIT 16u /* sizes are counted in units, rounded up */

/* Units << 47 | address; 0: empty. */
static u64 slot[SLOTS];
static u32 next;
static u64 units;

static u64 word_of(u64 addr, u64 size)
{
    return (size + UNIT - 1) / UNIT << ADDRESS_BITS | addr;
}

static u64 address_in(u64 word)
{
    return word & ((1ULL << ADDRESS_BITS) - 1);
}

static u64 leave(u64 word)
{
    __atomic_fetch_sub(&units, word >> ADDRESS_BITS, __ATOMIC_RELAXED);
    return address_in(word);
}

/* What was in the slot that is the oldest now; *now: units inside afterwards. */
static u64 replace_oldest(u64 word, u64 *now)
{
    u32 i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % SLOTS;
    u64 old = __atomic_exchange_n(&slot[i], word, __ATOMIC_ACQ_REL);
    *now = __atomic_add_fetch(&units, (word >> ADDRESS_BITS) - (old >> ADDRESS_BITS), __ATOMIC_RELAXED);
    return address_in(old);
}

u32 quarantine_put(u64 addr, u64 size, u64 out[QUARANTINE_OUT])
{
    u64 now;
    u32 n = 0;
    if ((out[0] = replace_oldest(word_of(addr, size), &now)))
        n++;
    for (u32 i = 1; i < SLOTS && n < QUARANTINE_OUT && now > MOST_BYTES / UNIT; i++)
        if ((out[n] = replace_oldest(0, &now)))
            n++;
    return n;
}

bool quarantine_take(u64 addr)
{
    for (u32 i = 0; i < SLOTS; i++) {
        u64 word = __atomic_load_n(&slot[i], __ATOMIC_RELAXED);
        if (word && address_in(word) == addr &&
            __atomic_compare_exchange_n(&slot[i], &word, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            leave(word);
            return true;
        }
    }
    return false;
}

u64 quarantine_any(void)
{
    for (u32 i = 0; i < SLOTS; i++) {
        u64 word = __atomic_exchange_n(&slot[i], 0, __ATOMIC_ACQ_REL);
        if (word)
            return leave(word);
    }
    return 0;
}
