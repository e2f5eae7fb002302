/* Makes a unit test's own process one that the preload's parts can work in: an arena, a run, the module list. */
#ifndef SNARL_TESTS_WATCHED_PROCESS_H
#define SNARL_TESTS_WATCHED_PROCESS_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "analyze/engine.h"
#include "base/arena.h"
#include "base/sys.h"
#include "modules.h"
#include "unwind/unwind.h"

static inline void process_begin_for_test(void)
{
    char folder[] = "/tmp/snarl-unit-XXXXXX", file[64];
    struct engine_hooks hooks = {0};
    struct run_options o = {.stack_depth = 64};
    if (!mkdtemp(folder))
        abort();
    snprintf(file, sizeof file, "%s/arena", folder);
    if (arena_create(file, 256ULL << 20) || engine_create_run(&o) || engine_start(&hooks, 0, "test"))
        abort();
    unlink(file);
    rmdir(folder);
    modules_start();
    unwind_start();
}

static inline struct thread *process_thread_for_test(void)
{
    return engine_thread_adopt(sys_gettid(), sys_gettid() == sys_getpid());
}

#endif
