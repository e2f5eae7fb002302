/* Into libsnarl.so, for tests: rewrites the program and its libraries before main. */
#include <stdio.h>

#include "access/rewrite_arena.h"
#include "access/rewrite_start.h"
#include "access/rewrite_watch.h"
#include "start.h"

static __attribute__((constructor(101))) void first(void)
{
    arena_keep_room();
}

/* Behind start.c's, before everybody else's. */
static __attribute__((constructor)) void begin(void)
{
    if (snarl_on)
        rewrite_start();
}
