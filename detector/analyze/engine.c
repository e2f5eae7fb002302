/* Making a run and joining it. Called by the CLI (creation) and the start code (joining). Takes no lock; allocates the
 * run's head. */
#include "analyze/internal.h"

#include <errno.h>

#include "base/ticks.h"

struct engine_hooks engine_hooks;
ref_t engine_process_ref;

ref_t engine_process(void)
{
    return engine_process_ref;
}

int engine_create_run(const struct run_options *options)
{
    struct arena_header *h = arena_header();
    ref_t r = arena_blob(sizeof(struct run_state));
    ref_t nobody = r ? arena_alloc(POOL_LOCK, sizeof(struct lock_rec)) : 0;
    if (!nobody)
        return -ENOMEM;
    struct run_state *rs = arena_at(r);
    rs->threads_lock.rank = RANK_THREADS;
    rs->graph_lock.rank = RANK_GRAPH;
    rs->stacks_lock.rank = RANK_STACKS;
    rs->findings_lock.rank = RANK_FINDINGS;
    rs->options = *options;
    if (!rs->options.stack_depth || rs->options.stack_depth > STACK_MAX_FRAMES)
        rs->options.stack_depth = STACK_MAX_FRAMES;
    rs->start_ns = sys_now();
    rs->tick_rate = rs->options.detect & DETECT_CONTENTION ? ticks_calibrate() : 0;
    rs->nobody = nobody;
    LOCK_AT(nobody)->head.attrs = ATTR_UNTRACKED;
    __atomic_store_n(&h->run, r, __ATOMIC_RELEASE);
    return 0;
}
