/* Changes the slots through which modules call functions (hooks.h). Called by watched.c when accesses begin to be
 * watched and for each watched module, on the loader's thread when modules come and go, and from hooks later.
 *
 * A module that has just been loaded is not relocated yet, so its slots do not lead anywhere: they are looked at again
 * when the next hook runs. A slot is changed by compare-and-swap, so the loader's own late binding of the same slot is
 * lost or loses. Slots that are read-only after relocation are changed only when they are read-only: then the loader is
 * done with them.
 *
 * One thread at a time (a flag, nobody waits). Modules stay mapped meanwhile (modules_each). Allocates nothing. */
#include "hooks.h"

#include <link.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "base/sys.h"
#include "maps.h"
#include "model/run.h"
#include "model/stack.h"
#include "modules_internal.h"

#define PAGE 4096ULL
#define INDEX 2048u /* a power of two, well above the number of rows */
#define MODULES 8192u
#define RETRY_NS 50000u

enum { SLOTS_EVERYWHERE = 1, SLOTS_WATCHED = 2 };

union hooked_functions hooked_functions;
bool hooks_pending;

static const struct row {
    const char *name;
    void (*hook)(void);
    u8 kind;
} rows[HOOKED_ROWS] = {
#define WATCHED(name) {#name, (void (*)(void))hook_##name, SLOTS_WATCHED},
#define EVERYWHERE(name) {#name, (void (*)(void))hook_##name, SLOTS_EVERYWHERE},
    HOOKED_FUNCTIONS(WATCHED, EVERYWHERE)
#undef EVERYWHERE
#undef WATCHED
};
_Static_assert(HOOKED_ROWS * 3 <= INDEX, "room in the index");

static u16 row_at[INDEX]; /* number + 1 */
/* A module in front of us defines the function, too: where a slot that is not bound yet leads to is not known. */
static bool unsure[HOOKED_ROWS];

static struct {
    u64 lo; /* 0: free */
    u8 done;
} known[MODULES];
static u32 nknown;
static u32 busy;
static u64 next_try;

/* ---- rows ---- */

static u32 name_slot(const char *name)
{
    u32 n = 0;
    while (name[n])
        n++;
    return (u32)hash_mix64(hash_bytes(name, n, 0)) & (INDEX - 1);
}

static int row_of(const char *name)
{
    for (u32 i = name_slot(name); row_at[i]; i = (i + 1) & (INDEX - 1))
        if (!__builtin_strcmp(rows[row_at[i] - 1].name, name))
            return row_at[i] - 1;
    return -1;
}

static bool in_front(const struct module *m, u32 own)
{
    const struct module_rec *r = m->rec ? arena_at(m->rec) : NULL;
    return m->order < own && r && __builtin_strncmp(string_text(r->path), "linux-vdso", 10) != 0;
}

static void find_own(void *order, const struct module *m)
{
    if (m->is_snarl)
        *(u32 *)order = m->order;
}

static void find_unsure(void *own, const struct module *m)
{
    for (u32 i = 0; in_front(m, *(u32 *)own) && i < HOOKED_ROWS; i++)
        unsure[i] |= modules_symbol_in(m, rows[i].name) != NULL;
}

/* ---- one slot ---- */

struct patch {
    u8 kinds;
    bool unfinished;           /* not relocated yet */
    bool sealed, sealed_known; /* what is read-only after relocation is so */
};

/* Changes a slot in memory that may be read-only. */
static bool slot_write(struct patch *p, const struct module *m, u64 *slot, u64 old, u64 new)
{
    struct maps_entry map;
    if (!elf_is_relro(m, (u64)slot))
        return __atomic_compare_exchange_n(slot, &old, new, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    if (!p->sealed_known) {
        p->sealed = maps_find((u64)slot, &map) && !map.writable;
        p->sealed_known = true;
    }
    u64 page = (u64)slot & ~(PAGE - 1);
    if (!p->sealed)
        return false;
    if (sys_call3(SYS_mprotect, page, PAGE, PROT_READ | PROT_WRITE)) {
        run_lost(LOSS_slots_closed);
        return true;
    }
    __atomic_compare_exchange_n(slot, &old, new, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    sys_call3(SYS_mprotect, page, PAGE, PROT_READ);
    return true;
}

static void slot_seen(void *arg, const struct module *m, const char *name, u64 *slot, bool jump)
{
    struct patch *p = arg;
    int i = row_of(name);
    if (i < 0 || !(rows[i].kind & p->kinds) || !hooked_functions.slot[i])
        return;
    u64 value = __atomic_load_n(slot, __ATOMIC_ACQUIRE), real = (u64)hooked_functions.slot[i];
    bool unbound = jump && value >= m->lo && value < m->hi && !unsure[i];
    if (m->bias && value < m->hi - m->lo)
        p->unfinished = true; /* as in the file */
    else if (value == real || unbound)
        p->unfinished |= !slot_write(p, m, slot, value, (u64)(uintptr_t)rows[i].hook);
}

/* ---- modules ---- */

static u8 *done_for(u64 lo)
{
    u32 free = nknown;
    for (u32 i = 0; i < nknown; i++) {
        if (known[i].lo == lo)
            return &known[i].done;
        if (!known[i].lo)
            free = i;
    }
    if (free == MODULES)
        return NULL;
    nknown += free == nknown;
    known[free].done = 0;
    __atomic_store_n(&known[free].lo, lo, __ATOMIC_RELEASE);
    return &known[free].done;
}

/* libc calls itself by other ways, and the loader is not to be called back. */
static bool is_left_alone(const struct module *m)
{
    const struct module_rec *r = m->rec ? arena_at(m->rec) : NULL;
    return !r || m->is_snarl || r->is_libc || (_r_debug.r_ldbase >= m->lo && _r_debug.r_ldbase < m->hi);
}

static void module_seen(void *unfinished, const struct module *m)
{
    u8 *done = is_left_alone(m) ? NULL : done_for(m->lo);
    struct patch p = {.kinds = SLOTS_EVERYWHERE};
    if (!done)
        return;
    if (watched_code(m->lo) == CODE_WATCHED)
        p.kinds |= SLOTS_WATCHED;
    if (!(p.kinds &= (u8) ~*done))
        return;
    elf_each_import(m, slot_seen, &p);
    if (p.unfinished)
        *(bool *)unfinished = true;
    else
        *done |= p.kinds;
}

void hooks_update(void)
{
    bool unfinished = false;
    u64 now = sys_now();
    if (now < __atomic_load_n(&next_try, __ATOMIC_RELAXED) || __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
        return;
    __atomic_store_n(&hooks_pending, false, __ATOMIC_SEQ_CST);
    if (!modules_each(module_seen, &unfinished) || unfinished) {
        __atomic_store_n(&next_try, now + RETRY_NS, __ATOMIC_RELAXED);
        __atomic_store_n(&hooks_pending, true, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

void hooks_change(u64 lo, u64 hi)
{
    for (u32 i = 0; i < nknown; i++) {
        u64 at = __atomic_load_n(&known[i].lo, __ATOMIC_ACQUIRE);
        if (at >= lo && at < hi)
            known[i].done = 0;
    }
    __atomic_store_n(&next_try, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&hooks_pending, true, __ATOMIC_SEQ_CST);
}

void hooks_after_fork(void)
{
    if (!busy)
        return;
    busy = 0;
    hooks_pending = true;
}

void hooks_start(void)
{
    u32 own = 0;
    for (u32 i = 0; i < HOOKED_ROWS; i++) {
        u32 at = name_slot(rows[i].name);
        while (row_at[at])
            at = (at + 1) & (INDEX - 1);
        row_at[at] = (u16)(i + 1);
        hooked_functions.slot[i] = modules_symbol(rows[i].name);
    }
    while (!modules_each(find_own, &own) || !modules_each(find_unsure, &own))
        sys_sleep_ns(RETRY_NS);
    hooks_update();
}
