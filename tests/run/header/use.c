/* Calls every function of <snarl/snarl.h>. Compiled as C and as C++ by header_test.py. Says whether snarl watches; ends
 * with 1 when a function does what it should not. */
#include <snarl/snarl.h>

#include <errno.h>
#include <stdio.h>

static struct {
    char byte, lock;
} locks;
static char pool[64];

int use(void);
int use(void)
{
    void *fiber, *self;
    int watching = snarl_watching() != 0;
    errno = 77;
    snarl_lock_name(&locks.lock, "lock");
    snarl_lock_level(&locks.lock, 1u);
    snarl_lock_created(&locks.lock, SNARL_RECURSIVE);
    snarl_lock_acquiring(&locks.lock, SNARL_EXCLUSIVE | SNARL_TIMED);
    snarl_lock_failed(&locks.lock);
    snarl_lock_acquiring(&locks.lock, SNARL_SHARED);
    snarl_lock_acquired(&locks.lock, SNARL_SHARED);
    snarl_lock_released(&locks.lock);
    snarl_lock_acquired(&locks.lock, SNARL_TRY);
    snarl_lock_released(&locks.lock);
    snarl_lock_destroyed(&locks.lock);
    snarl_happens_before(pool);
    snarl_happens_after(pool);
    snarl_intended_race(pool, sizeof pool, "made for this");
    snarl_ignore_reads_begin();
    snarl_ignore_reads_end();
    snarl_ignore_writes_begin();
    snarl_ignore_writes_end();
    snarl_block_new(pool, sizeof pool);
    snarl_block_gone(pool, sizeof pool);
    fiber = snarl_fiber_create(pool, sizeof pool);
    self = snarl_fiber_current();
    snarl_fiber_name(fiber, "fiber");
    snarl_fiber_switch(fiber, SNARL_UNORDERED);
    snarl_fiber_switch(self, 0);
    snarl_fiber_destroy(fiber);
    if (errno != 77 || (watching && (!fiber || !self)) || (!watching && (fiber || self)))
        return 1;
    puts(watching ? "watched" : "not watched");
    return 0;
}

#ifndef MODULE
int main(void)
{
    return use();
}
#endif
