/* The table of epochs. Called by the slow path of accesses. Lock-free. */
#include "analyze/epoch.h"

#include <errno.h>

#include "base/sys.h"

struct epoch *epochs;
u32 epoch_owner[EPOCHS / EPOCH_BLOCK];
static u32 next_block = 1; /* number 0 is "no access" */

int epoch_start(void)
{
    if (!epochs)
        epochs = sys_map((u64)EPOCHS_USED * sizeof *epochs);
    return epochs ? 0 : -ENOMEM;
}

u32 epoch_block(u32 number)
{
    u32 b = __atomic_load_n(&next_block, __ATOMIC_RELAXED);
    do
        if (b >= EPOCHS_USED / EPOCH_BLOCK)
            return 0;
    while (!__atomic_compare_exchange_n(&next_block, &b, b + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    epoch_owner[b] = number;
    return b * EPOCH_BLOCK;
}

void epoch_reset(void)
{
    __builtin_memset(epoch_owner, 0, sizeof epoch_owner);
    next_block = 1;
}
