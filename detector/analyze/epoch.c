/* The table of epochs. Called by the slow path of accesses. Lock-free. */
#include "analyze/epoch.h"

#include <errno.h>

#include "base/reserve.h"
#include "base/sys.h"

struct epoch *epochs;
u32 epoch_owner[EPOCHS / EPOCH_BLOCK];
struct epoch_block epoch_blocks[EPOCH_BLOCKS];
u32 epoch_limit = EPOCH_BLOCKS_FIRST, epoch_most = EPOCH_BLOCKS;
static u32 taken, last, ages; /* how many blocks are not free; where the last one was found */

int epoch_start(void)
{
    if (!epochs)
        epochs = reserve_map((u64)EPOCHS_USED * sizeof *epochs);
    return epochs ? 0 : -ENOMEM;
}

static bool claim(u32 b)
{
    u8 free = BLOCK_FREE;
    return __atomic_load_n(&epoch_blocks[b].state, __ATOMIC_RELAXED) == BLOCK_FREE &&
           __atomic_compare_exchange_n(&epoch_blocks[b].state, &free, BLOCK_CURRENT, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

void epoch_limit_raise(void)
{
    u32 limit = __atomic_load_n(&epoch_limit, __ATOMIC_RELAXED), more = limit + limit / 4 + 1;
    more = more < epoch_most ? more : epoch_most;
    __atomic_compare_exchange_n(&epoch_limit, &limit, more, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* In turn, so that a number that was in use lately stays out of use for long. */
static u32 block_find(void)
{
    u32 b = __atomic_load_n(&last, __ATOMIC_RELAXED), limit = __atomic_load_n(&epoch_limit, __ATOMIC_RELAXED);
    for (u32 i = 0; i < limit && epoch_blocks_free(); i++) {
        b = b + 1 < limit ? b + 1 : 1;
        if (!claim(b))
            continue;
        __atomic_store_n(&last, b, __ATOMIC_RELAXED);
        return b;
    }
    return 0;
}

u32 epoch_block_take(u32 number)
{
    u32 b = block_find();
    while (!b && __atomic_load_n(&epoch_limit, __ATOMIC_RELAXED) < epoch_most) {
        epoch_limit_raise();
        b = block_find();
    }
    if (!b)
        return 0;
    __atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
    epoch_blocks[b].age = __atomic_add_fetch(&ages, 1, __ATOMIC_RELAXED);
    epoch_owner[b] = number;
    return b;
}

void epoch_block_give(u32 b)
{
    __atomic_store_n(&epoch_owner[b], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&epoch_blocks[b].state, BLOCK_FREE, __ATOMIC_RELEASE);
    __atomic_fetch_sub(&taken, 1, __ATOMIC_RELAXED);
}

u32 epoch_blocks_free(void)
{
    u32 n = __atomic_load_n(&taken, __ATOMIC_RELAXED), all = __atomic_load_n(&epoch_limit, __ATOMIC_RELAXED) - 1;
    return n < all ? all - n : 0;
}

void epoch_reset(void)
{
    __builtin_memset(epoch_owner, 0, sizeof epoch_owner);
    __builtin_memset(epoch_blocks, 0, sizeof epoch_blocks);
    taken = last = ages = 0;
    epoch_limit = epoch_most < EPOCH_BLOCKS_FIRST ? epoch_most : EPOCH_BLOCKS_FIRST;
}
