/* The watched modules, and what is turned on with the first of them. Called by the constructors of compiled modules
 * (through __tsan_init), by modules.c on the loader's thread, and by interceptors. Takes no lock of its own; turning on
 * takes the engine's. Memory comes from the engine's sys_map. */
#include "watched.h"

#include <link.h>

#include "analyze/access.h"
#include "base/sys.h"
#include "hooks.h"
#include "intercept/alloc.h"
#include "interceptor.h"
#include "modules_internal.h"
#include "start.h"
#include "unwind/unwind.h"

#define MODULES 1024u
#define FRAMES 16u
#define PATIENCE 200u /* tries, while other threads load modules */
#define RETRY_NS 50000u

void (*watched_first)(void);

/* A slot is free when hi is 0; lo is valid when hi is set. */
static struct {
    u64 lo, hi;
    bool rewritten;
} ranges[MODULES];
static u32 nranges; /* slots from here on were never used */
static u32 surrounded;

static SNARL_HOT u32 range_of(u64 pc)
{
    u32 n = __atomic_load_n(&nranges, __ATOMIC_ACQUIRE);
    for (u32 i = 0; i < n; i++)
        if (pc < __atomic_load_n(&ranges[i].hi, __ATOMIC_ACQUIRE) && pc >= ranges[i].lo)
            return i;
    return MODULES;
}
static SNARL_HOT bool is_watched(u64 pc)
{
    return range_of(pc) < MODULES;
}

/* A module has gone, or another one has come to these addresses: on the loader's thread. */
static void change(u64 lo, u64 hi)
{
    u32 n = __atomic_load_n(&nranges, __ATOMIC_ACQUIRE);
    for (u32 i = 0; i < n; i++) {
        if (ranges[i].lo >= hi || __atomic_load_n(&ranges[i].hi, __ATOMIC_ACQUIRE) <= lo)
            continue;
        __atomic_store_n(&ranges[i].hi, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&ranges[i].lo, 0, __ATOMIC_RELEASE);
    }
    hooks_change(lo, hi);
    struct thread *t = access_on ? interceptor_enter(INTERCEPTOR_FP()) : NULL;
    if (!t)
        return;
    access_forget(t, lo, hi - lo);
    interceptor_leave(t);
}

static void surround(void)
{
    u32 not_yet = 0;
    if (!__atomic_compare_exchange_n(&surrounded, &not_yet, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return;
    modules_on_change = change;
    alloc_watch();
    hooks_start();
}

static void watch(const struct module *m, bool rewritten)
{
    if (is_watched(m->lo))
        return;
    for (u32 i = 0; i < MODULES; i++) {
        u64 none = 0;
        if (!__atomic_compare_exchange_n(&ranges[i].lo, &none, m->lo, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        ranges[i].rewritten = rewritten;
        __atomic_store_n(&ranges[i].hi, m->hi, __ATOMIC_RELEASE);
        u32 n = __atomic_load_n(&nranges, __ATOMIC_RELAXED);
        while (n <= i && !__atomic_compare_exchange_n(&nranges, &n, i + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        break;
    }
    hooks_change(m->lo, m->hi); /* its calls count from now on */
}

static void is_start(void *found, const struct module *m, const char *name, u64 *slot, bool jump)
{
    (void)m, (void)slot, (void)jump;
    if (!__builtin_strcmp(name, "__tsan_init"))
        *(bool *)found = true;
}

bool watched_is_compiled(const struct module *m)
{
    bool found = false;
    elf_each_import(m, is_start, &found);
    return found;
}

static void watch_compiled(void *unused, const struct module *m)
{
    (void)unused;
    if (watched_is_compiled(m) && !m->is_snarl)
        watch(m, false);
}

/* Those who call constructors. */
static bool is_loader(const struct module *m)
{
    const struct module_rec *r = m->rec ? arena_at(m->rec) : NULL;
    return (r && r->is_libc) || (_r_debug.r_ldbase >= m->lo && _r_debug.r_ldbase < m->hi);
}

void watched_module(u64 pc)
{
    struct module m;
    if (!access_on || is_watched(pc) || !modules_lookup(pc, &m))
        return;
    surround();
    if (is_loader(&m)) /* the constructor has jumped to __tsan_init and is not to be seen: gcc with -fno-plt */
        for (u32 i = 0; i < PATIENCE && !modules_each(watch_compiled, NULL); i++)
            sys_sleep_ns(RETRY_NS);
    else
        watch(&m, false);
    hooks_update();
}

void watched_rewritten(u64 pc)
{
    struct module m;
    if (!access_on || is_watched(pc) || !modules_lookup(pc, &m))
        return;
    surround();
    watch(&m, true);
    hooks_update();
}

enum code watched_code(u64 pc)
{
    if (is_watched(pc))
        return CODE_WATCHED;
    const struct module_rec *m = modules_find(pc);
    return m && m->is_runtime ? CODE_RUNTIME : CODE_FOREIGN;
}

/* Not inlined: the frames' array is for the rare case. */
static __attribute__((noinline)) bool runtime_call(const u64 *fp)
{
    struct unwind_frame frames[FRAMES];
    u32 n = unwind_frames(fp, frames, FRAMES);
    for (u32 i = 0; i < n; i++) {
        enum code c = watched_code(frames[i].pc - 1);
        if (c != CODE_RUNTIME)
            return c == CODE_WATCHED;
    }
    return false;
}

bool watched_directly(const u64 *fp)
{
    u32 i = range_of(fp[1] - 1);
    return i < MODULES && !ranges[i].rewritten;
}

bool watched_call(const u64 *fp, bool or_runtime)
{
    u64 pc = fp[1] - 1; /* a call can be a module's last instruction */
    if (snarl_likely(is_watched(pc)))
        return true;
    return or_runtime && watched_code(pc) == CODE_RUNTIME && runtime_call(fp);
}

bool watched_caller(u64 pc, const u64 *fp)
{
    return fp ? watched_call(fp, true) : watched_code(pc - 1) != CODE_FOREIGN;
}
