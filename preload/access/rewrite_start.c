/* Which modules are rewritten, and when: the program and its libraries when accesses begin to matter (watched.h), later
 * what dlopen brings, before its constructors run. Called by the start code, before threads are made, and on the loader's
 * thread after each change of its list. Takes no lock; memory from the system.
 *
 * Until there are two threads, or another process has the same memory, no access can be part of a race, and most processes
 * never get there. Those that do are inside a call then: it returns to an entry (rewrite_entries.c). Where a signal's handler makes the thread, what it has
 * interrupted goes on at an instruction's start, which is as it was or leads to the copy (rewrite_patch.c).
 *
 * Left as they are: what --modules does not name, the C library and the loader (their functions are intercepted instead), snarl itself, and what was
 * built by `snarl cc`, which tells of its accesses already. */
#include "rewrite_start.h"

#include <link.h>
#include <time.h>

#include "analyze/access.h"
#include "intercept/fault.h"
#include "interceptor.h"
#include "model/options.h"
#include "model/run.h"
#include "model/stack.h"
#include "modules_internal.h"
#include "rewrite_arena.h"
#include "rewrite_cache.h"
#include "rewrite_watch.h"
#include "start.h"
#include "watched.h"

/* For tests, from $SNARL_TEST_REWRITE: "pause=MILLISECONDS" before the work, "break=ADDRESS" of a function whose copy is
 * to be wrong. For `snarl bisect`, $SNARL_REWRITE_BELOW=MODULES:ADDRESS, the modules that are rewritten as a whole, and how
 * much of the next one is. All that only where what is built in part is accepted. */
static u64 test_pause_ns, next_module, whole_modules = ~0ULL, part_below;

static const char *take_number(const char *s, u32 base, u64 *out)
{
    for (*out = 0;; s++) {
        u32 digit = *s >= '0' && *s <= '9' ? (u32)(*s - '0') : *s >= 'a' && *s <= 'f' ? (u32)(*s - 'a') + 10 : base;
        if (digit >= base)
            return s;
        *out = *out * base + digit;
    }
}

static bool take_hooks(char **envp)
{
    const char *s = options_unfinished ? start_env(envp, "SNARL_TEST_REWRITE") : NULL;
    const char *below = options_unfinished ? start_env(envp, "SNARL_REWRITE_BELOW") : NULL;
    if (s && !__builtin_strncmp(s, "pause=", 6)) {
        take_number(s + 6, 10, &test_pause_ns);
        test_pause_ns *= 1000000;
    } else if (s && !__builtin_strncmp(s, "break=", 6)) {
        take_number(s + 6, 16, &rewrite_broken);
    }
    if (below && *(below = take_number(below, 10, &whole_modules)) == ':')
        take_number(below + 1, 16, &part_below);
    return below || rewrite_broken;
}

/* The module that comes next is beyond the limit. */
static bool beyond(void)
{
    u64 i = next_module++;
    rewrite_below = i == whole_modules ? part_below : 0;
    return i > whole_modules || (i == whole_modules && !part_below);
}

struct found {
    struct module module[REWRITE_MODULES];
    u32 slot[REWRITE_MODULES];
    bool done[REWRITE_MODULES];
    u32 n;
};

static bool is_loader(const struct module *m)
{
    return _r_debug.r_ldbase >= m->lo && _r_debug.r_ldbase < m->hi;
}

/* Virtual machines make code while they run. What that accesses, and how it orders what their own code does, is not seen,
 * and from it their functions are called with stacks that no table describes. */
#define MACHINES "libjvm,libcoreclr,libclrjit,libmonosgen*,libj9*"

/* What these order, or hand out and take back, is known from the calls of their functions. Their own code does it by ways
 * that moves and futexes do not show, and with memory that is nobody's. */
#define RUNTIMES "libgomp,libomp*,libiomp*,libjemalloc*,libtcmalloc*,libmimalloc*"

static bool machine_told;

static bool is_named(const char *list, u32 met)
{
    size_t n;
    for (u32 i = 0; met; i++, met >>= 1) {
        const char *word = patterns_word(list, i, &n);
        if (met & 1 && !(n == 3 && !__builtin_memcmp(word, "all", 3)))
            return true;
    }
    return false;
}

/* As asked for; if nothing was: the program, and what does not come with the system. */
static bool is_chosen(const struct module_rec *r, const char *path)
{
    const char *list = run()->options.modules;
    u32 met = list[0] ? patterns_match(list, path) : r->is_main || !r->is_system;
    if (list[0])
        __atomic_fetch_or(&run()->modules_met, met | RUN_MODULES_ASKED, __ATOMIC_RELAXED);
    bool machine = patterns_match(MACHINES, path), runtime = patterns_match(RUNTIMES, path);
    if (!met || !(machine || runtime) || (list[0] && is_named(list, met)))
        return met != 0;
    if (machine && !machine_told)
        run_lost(LOSS_machines_unwatched);
    machine_told |= machine;
    return false;
}

static bool is_wanted(const struct module *m)
{
    const struct module_rec *r = m->rec ? arena_at(m->rec) : NULL;
    const char *path = r ? string_text(r->path) : "";
    return r && path[0] == '/' && !m->is_snarl && !r->is_libc && !is_loader(m) && !watched_is_compiled(m) &&
           is_chosen(r, path);
}

static void take(void *found, const struct module *m)
{
    struct found *f = found;
    if (f->n < REWRITE_MODULES && is_wanted(m) && !rewrite_is_known(m))
        f->module[f->n++] = *m;
}

/* By the loader's order, so that each has the same number in every run: that is in its checks, and in the cache. */
static void sort(struct found *f)
{
    for (u32 i = 1; i < f->n; i++)
        for (u32 k = i; k && f->module[k].order < f->module[k - 1].order; k--) {
            struct module swap = f->module[k];
            f->module[k] = f->module[k - 1];
            f->module[k - 1] = swap;
        }
}

static u64 code_bytes(const struct module *m)
{
    const ElfW(Phdr) *p = (const ElfW(Phdr) *)m->headers;
    u64 bytes = 0;
    for (u32 i = 0; i < m->nheaders; i++)
        bytes += p[i].p_type == PT_LOAD && (p[i].p_flags & PF_X) ? p[i].p_memsz : 0;
    return bytes;
}

/* `snarl run` says so when it takes long. */
static void progress_begin(const struct found *f)
{
    u64 bytes = 0;
    for (u32 i = 0; i < f->n; i++)
        bytes += code_bytes(&f->module[i]);
    __atomic_store_n(&run()->rewriting_bytes, bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&run()->rewriting_done, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&run()->rewriting_pid, snarl_pid, __ATOMIC_RELAXED);
    __atomic_store_n(&run()->rewriting_since, sys_now(), __ATOMIC_RELEASE);
    if (test_pause_ns)
        sys_sleep_ns(test_pause_ns);
}

static u64 cpu_time(void)
{
    struct timespec t;
    sys_call3(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &t, 0);
    return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

/* First those that the cache has: their copies want a certain place, the others take what is left.
 * The list stands still: the loader's lock is held, or there is one thread. */
static void rewrite_new(void)
{
    u64 cpu = cpu_time(), cached = rewrite_from_cache;
    u64 bytes = (sizeof(struct found) + 4095) & ~4095ULL;
    struct found *f = sys_map(bytes);
    if (!f)
        return;
    modules_each(take, f);
    sort(f);
    if (f->n)
        progress_begin(f);
    for (u32 i = 0; i < f->n; i++)
        f->done[i] = rewrite_watch_cached(&f->module[i], &f->slot[i]);
    for (u32 i = 0; i < f->n; i++) {
        if (!f->done[i] && !beyond() && rewrite_watch_module(&f->module[i], f->slot[i]) > REWRITE_NOTHING)
            run_lost(LOSS_modules_unwatched);
        __atomic_fetch_add(&run()->rewriting_done, code_bytes(&f->module[i]), __ATOMIC_RELAXED);
    }
    __atomic_store_n(&run()->rewriting_since, 0, __ATOMIC_RELEASE);
    __atomic_fetch_add(&run()->rewritten_bytes, f->n ? run()->rewriting_done : 0, __ATOMIC_RELAXED);
    __atomic_fetch_add(&run()->rewritten_cached, rewrite_from_cache - cached, __ATOMIC_RELAXED);
    __atomic_fetch_add(&run()->rewritten_cpu_ns, cpu_time() - cpu, __ATOMIC_RELAXED);
    sys_unmap(f, bytes);
}

/* The program's and our own record. */
static void name(void *both, const struct module *m)
{
    const struct module_rec **r = both;
    const struct module_rec *rec = m->rec ? arena_at(m->rec) : NULL;
    if (rec && rec->is_main)
        r[0] = rec;
    if (rec && m->is_snarl)
        r[1] = rec;
}

static void begin(void)
{
    const struct module_rec *both[2] = {NULL, NULL};
    u64 mask = sys_signals_block(); /* a handler may run what is half patched */
    watched_first = NULL;
    arena_give_room();
    modules_each(name, both);
    rewrite_watch_name(both[0], both[1]);
    rewrite_keeps = true;
    rewrite_new();
    rewrite_keeps = false;
    sys_signals_restore(mask);
}

/* Programs with OpenMP make their threads inside the call that begins a region, which is to be seen itself. */
static bool begins(const char *name, const char *with)
{
    while (*with && *name == *with) {
        name++;
        with++;
    }
    return !*with;
}

static void is_region(void *found, const struct module *m, const char *name, u64 *slot, bool jump)
{
    (void)m, (void)slot, (void)jump;
    if (begins(name, "GOMP_") || begins(name, "__kmpc_"))
        *(bool *)found = true;
}

static void look_for_regions(void *found, const struct module *m)
{
    if (is_wanted(m) && !*(bool *)found)
        elf_each_import(m, is_region, found);
}

static bool has_regions(void)
{
    bool found = false;
    modules_each(look_for_regions, &found);
    return found;
}

static void loaded(void)
{
    if (!access_on || !start_same_process())
        return;
    if (watched_first && has_regions()) {
        begin();
    } else if (!watched_first) {
        rewrite_forget_gone();
        rewrite_new();
    }
}

void rewrite_start(char **envp)
{
    struct thread *t = interceptor_enter(INTERCEPTOR_FP());
    if (!t)
        return;
    int r = access_turn_on(t);
    interceptor_leave(t);
    if (r || !rewrite_watch_start()) {
        run_lost(LOSS_accesses_unwatched);
        start_say("not watching memory accesses: ",
                  r ? "no room for what has to be kept of them" : "this processor cannot save its state");
        return;
    }
    __atomic_store_n(&run()->accesses, ACCESSES_REWRITE, __ATOMIC_RELAXED);
    if (!take_hooks(envp))
        cache_start(start_env(envp, "XDG_CACHE_HOME"), start_env(envp, "HOME"));
    fault_watch();
    modules_on_loaded = loaded;
    watched_first = begin;
    if (has_regions())
        begin();
}
