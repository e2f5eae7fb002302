/* Into libsnarl.so, for tests: rewrites the program and its libraries before main, with the engine behind the checks. Of
 * those, REWRITE names some: "exe", and parts of paths of libraries, with commas between; without it all are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/rewrite_watch.h"
#include "analyze/access.h"
#include "base/arena.h"
#include "intercept/fault.h"
#include "interceptor.h"
#include "model/run.h"
#include "model/stack.h"
#include "start.h"

static char **environment;

static const char *setting(const char *name)
{
    size_t n = strlen(name);
    for (char **e = environment; *e; e++)
        if (!strncmp(*e, name, n) && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

static bool wanted(const struct module_rec *m)
{
    const char *list = setting("REWRITE"), *path = string_text(m->path);
    if (m->is_snarl || m->is_libc || strstr(path, "ld-linux") || strstr(path, "vdso") || !path[0])
        return false;
    for (const char *next; list; list = next) {
        char word[256];
        size_t n = strcspn(list, ",");
        next = list[n] ? list + n + 1 : NULL;
        snprintf(word, sizeof word, "%.*s", (int)n, list);
        if (m->is_main ? !strcmp(word, "exe") : strstr(path, word) != NULL)
            return true;
        if (!next)
            return false;
    }
    return true;
}

static struct module found[REWRITE_MODULES];
static u32 nfound;

static void take(void *unused, const struct module *m)
{
    (void)unused;
    if (m->rec && wanted(arena_at(m->rec)) && nfound < REWRITE_MODULES)
        found[nfound++] = *m;
}

static void turn_on(void)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    int r = access_turn_on(t);
    __atomic_store_n(&run()->accesses, ACCESSES_COMPILED, __ATOMIC_RELAXED);
    interceptor_leave(t);
    if (r || !rewrite_watch_start())
        abort();
    fault_watch();
}

static __attribute__((constructor(101))) void first(void)
{
    arena_keep_room();
}

/* Behind start.c's, before everybody else's. */
static __attribute__((constructor)) void begin(int argc, char **argv, char **envp)
{
    (void)argc, (void)argv;
    environment = envp;
    if (!snarl_on)
        return;
    turn_on();
    modules_each(take, NULL);
    for (u32 i = 0; i < nfound; i++) {
        enum rewrite_result r = rewrite_watch_module(&found[i]);
        const char *path = string_text(((const struct module_rec *)arena_at(found[i].rec))->path);
        if (r > REWRITE_NOTHING)
            dprintf(2, "rewriting: %s: result %d\n", path, (int)r);
    }
}
