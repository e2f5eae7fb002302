/* The list of loaded modules. Called by start.c, the fork handlers, the unwinder, locate.c and the loader
 * (modules_hook.c).
 *
 * Two sorted arrays: readers use the one that `sequence` points at, a writer fills the other one and then moves
 * `sequence` on. A reader whose sequence has changed looks again; a writer that stands still (preempted, interrupted by
 * a handler that reads) holds nobody up. So no array is ever freed, and look-ups work in signal handlers.
 *
 * Takes its own writer lock (RANK_TABLE), inside it RANK_STACKS and RANK_ARENA. Allocates arena records and, once, the
 * arrays. */
#include "modules.h"

#include "base/arena.h"
#include "base/sys.h"
#include "model/run.h"
#include "model/stack.h"
#include "modules_internal.h"

#define MAX_LOADED 8192u

struct module_array {
    u32 n;
    struct module at[MAX_LOADED];
};

bool modules_tracking;
u32 modules_epoch;
void (*modules_on_gone)(u64 lo, u64 hi);
void (*modules_on_change)(u64 lo, u64 hi);
void (*modules_on_loaded)(void);

static struct module_array *array[2], *fresh;
static u32 sequence;
static struct ilock writer = ILOCK_INIT(RANK_TABLE);
static u32 reading, unmapping; /* modules_read_enter against the loader */
static struct r_debug *loader;
static u32 mark, next_order;

/* glibc's struct dl_find_object (2.35), in case the headers are older. */
struct found_object {
    u64 flags;
    void *start, *end;
    struct link_map *map;
    void *eh_frame;
    u64 reserved[7];
};
static int (*find_object)(void *pc, struct found_object *out);

/* ---- readers ---- */

static struct module *search(struct module_array *a, u64 addr)
{
    u32 lo = 0, hi = a->n < MAX_LOADED ? a->n : MAX_LOADED;
    while (lo < hi) {
        u32 middle = (lo + hi) / 2;
        if (a->at[middle].hi <= addr)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo < a->n && lo < MAX_LOADED && a->at[lo].lo <= addr ? &a->at[lo] : NULL;
}

static bool lookup(u64 addr, struct module *out)
{
    if (!array[0])
        return false;
    for (;;) {
        u32 s = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
        const struct module *m = search(array[s & 1], addr);
        if (m)
            *out = *m;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&sequence, __ATOMIC_RELAXED) == s)
            return m != NULL;
    }
}

static bool refresh(u64 addr);

bool modules_lookup(u64 addr, struct module *out)
{
    if (snarl_unlikely(!modules_tracking) && find_object && !refresh(addr))
        return false;
    return lookup(addr, out);
}

const struct module_rec *modules_find(u64 addr)
{
    struct module m;
    return modules_lookup(addr, &m) && m.rec ? arena_at(m.rec) : NULL;
}

u64 modules_frame(u64 pc, bool exact)
{
    struct module m = {0};
    u64 mark_exact = exact ? FRAME_EXACT : 0;
    /* A call can be a module's last instruction: its return address lies behind. */
    if (!modules_lookup(exact ? pc : pc - 1, &m) || !m.id)
        return FRAME_OFFSET(pc) | mark_exact;
    return (u64)m.id << 48 | FRAME_OFFSET(pc - m.bias) | mark_exact;
}

/* The i-th module, copied whole; false at the end or when the array is being rewritten (then *stale). */
static bool copy_entry(u32 s, u32 i, struct module *out, bool *stale)
{
    const struct module_array *a = array[s & 1];
    bool there = i < a->n && i < MAX_LOADED;
    if (there)
        *out = a->at[i];
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    *stale = __atomic_load_n(&sequence, __ATOMIC_RELAXED) != s;
    return there && !*stale;
}

/* False when the list has changed meanwhile. */
static bool search_symbol(const char *name, void **best)
{
    struct module m;
    u32 s = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE), snarl = 0, best_order = 0;
    bool stale = false;
    for (u32 i = 0; copy_entry(s, i, &m, &stale); i++)
        snarl = m.is_snarl ? m.order : snarl;
    *best = NULL;
    for (u32 i = 0; !stale && copy_entry(s, i, &m, &stale); i++) {
        /* Those behind libsnarl come first, as for RTLD_NEXT; unsigned difference puts the others last. */
        u32 order = m.order - snarl;
        void *found = m.is_snarl || (*best && order > best_order) ? NULL : modules_symbol_in(&m, name);
        if (found) {
            *best = found;
            best_order = order;
        }
    }
    return !stale;
}

void *modules_symbol(const char *name)
{
    void *found = NULL;
    bool done = !array[0];
    /* Again when another thread has loaded something meanwhile. */
    for (u32 tries = 0; !done && tries < 100; tries++) {
        u64 mask;
        bool entered = modules_read_enter(&mask);
        done = entered && search_symbol(name, &found);
        modules_read_leave(entered, mask);
    }
    return found;
}

bool modules_each(void (*fn)(void *arg, const struct module *m), void *arg)
{
    struct module m;
    u64 mask;
    bool stale = false, entered = array[0] && modules_read_enter(&mask);
    u32 s = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
    for (u32 i = 0; entered && copy_entry(s, i, &m, &stale); i++)
        fn(arg, &m);
    if (entered)
        modules_read_leave(true, mask);
    return entered && !stale;
}

bool modules_read_enter(u64 *mask)
{
    for (u32 tries = 0; tries < 200; tries++) {
        *mask = ilock_guard();
        __atomic_fetch_add(&reading, 1, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&unmapping, __ATOMIC_SEQ_CST))
            return true;
        __atomic_fetch_sub(&reading, 1, __ATOMIC_SEQ_CST);
        ilock_unguard(*mask);
        sys_sleep_ns(50000);
    }
    return false;
}

void modules_read_leave(bool entered, u64 mask)
{
    if (!entered)
        return;
    __atomic_fetch_sub(&reading, 1, __ATOMIC_SEQ_CST);
    ilock_unguard(mask);
}

/* ---- the writer ---- */

/* Inserts m into a sorted array unless it overlaps one that is there. */
static bool insert(struct module_array *a, const struct module *m)
{
    u32 i = a->n;
    if (i >= MAX_LOADED)
        return false;
    for (; i && a->at[i - 1].lo >= m->lo; i--)
        a->at[i] = a->at[i - 1];
    if ((i && a->at[i - 1].hi > m->lo) || (i < a->n && a->at[i + 1].lo < m->hi)) {
        for (; i < a->n; i++)
            a->at[i] = a->at[i + 1];
        return false;
    }
    a->at[i] = *m;
    a->n++;
    return true;
}

static void forget(const struct module *m)
{
    if (m->rec)
        ((struct module_rec *)arena_at(m->rec))->gone = 1;
    if (modules_on_gone)
        modules_on_gone(m->lo, m->hi);
    if (modules_on_change)
        modules_on_change(m->lo, m->hi);
    __atomic_fetch_add(&modules_epoch, 1, __ATOMIC_SEQ_CST);
}

/* Replaces the list by those of the old one that are marked, and the fresh ones. */
static void publish(void)
{
    struct module_array *old = array[sequence & 1], *new = array[(sequence + 1) & 1];
    u32 n = 0;
    for (u32 i = 0; i < old->n; i++)
        if (old->at[i].seen == mark)
            new->at[n++] = old->at[i];
    new->n = n;
    for (u32 i = 0; i < fresh->n; i++) {
        struct module *m = &fresh->at[i];
        m->order = ++next_order;
        m->seen = mark;
        /* Look first: the loader itself stands in every namespace, and needs one record only. */
        if (!search(new, m->lo)) {
            record_register(m, m->map == (u64)loader->r_map);
            if (modules_on_change)
                modules_on_change(m->lo, m->hi);
            insert(new, m);
        }
    }
    __atomic_store_n(&sequence, sequence + 1, __ATOMIC_RELEASE);
    for (u32 i = 0; i < old->n; i++)
        if (old->at[i].seen != mark)
            forget(&old->at[i]);
}

static void add_fresh(const struct link_map *map)
{
    struct module *m = &fresh->at[fresh->n];
    if (fresh->n + 1 >= MAX_LOADED)
        return;
    *m = (struct module){.map = (u64)map};
    if (elf_describe(m, map == loader->r_map, map->l_addr, (u64)map->l_ld))
        fresh->n++;
}

static void see(const struct link_map *map)
{
    struct module *known = search(array[sequence & 1], (u64)map->l_ld);
    if (known && known->bias == map->l_addr && (known->map == (u64)map || known->seen == mark))
        known->seen = mark;
    else
        add_fresh(map);
}

/* The r_debug of each namespace; glibc chains them behind the first from version 2 on. */
static struct r_debug *next_namespace(struct r_debug *r)
{
    return r->r_version >= 2 ? *(struct r_debug **)(r + 1) : NULL;
}

/* Loader's lock held, or one thread only. */
static void synchronise(void)
{
    u64 signals = sys_signals_block(), mask = ilock_acquire(&writer); /* not inside: a handler could come back here */
    u32 steps = 0, before = array[sequence & 1]->n, kept = 0;
    mark++;
    fresh->n = 0;
    for (struct r_debug *r = loader; r; r = next_namespace(r))
        for (const struct link_map *map = r->r_map; map && steps < MAX_LOADED; map = map->l_next, steps++)
            see(map);
    for (u32 i = 0; i < before; i++)
        kept += array[sequence & 1]->at[i].seen == mark;
    if (fresh->n || kept != before)
        publish();
    ilock_release(&writer, mask);
    sys_signals_restore(signals);
}

void modules_loader_event(void)
{
    bool adding = false, removing = false;
    if (!modules_tracking)
        return;
    for (struct r_debug *r = loader; r; r = next_namespace(r)) {
        adding |= r->r_state == RT_ADD;
        removing |= r->r_state == RT_DELETE;
    }
    if (removing) {
        /* Announced before anything is unmapped: wait for those who read modules now. No handler interrupts them and
         * they wait for nothing, so this is short; the limit is for one that a debugger holds. */
        __atomic_store_n(&unmapping, 1, __ATOMIC_SEQ_CST);
        for (u32 i = 0; i < 50000 && __atomic_load_n(&reading, __ATOMIC_SEQ_CST); i++)
            sys_sleep_ns(20000);
    } else if (!adding) {
        synchronise();
        __atomic_store_n(&unmapping, 0, __ATOMIC_SEQ_CST);
        if (modules_on_loaded)
            modules_on_loaded();
    }
}

/* ---- without notifications ---- */

static bool still(const struct module *m, const struct found_object *o)
{
    const struct module_rec *r = m->rec ? arena_at(m->rec) : NULL;
    if (m->map != (u64)o->map || m->lo != (u64)o->start || m->bias != o->map->l_addr || m->eh_hdr != (u64)o->eh_frame)
        return false;
    return !r || !m->build_id_at || m->build_id_at + m->build_id_len > (u64)o->end ||
           !__builtin_memcmp((const void *)m->build_id_at, r->build_id, m->build_id_len);
}

/* Brings the entry around addr up to date; false when no module is there. Needs an address whose module stays loaded
 * meanwhile: one found on the stack. */
static bool refresh(u64 addr)
{
    struct found_object o;
    struct module m;
    if (find_object((void *)addr, &o) || !o.map)
        return false;
    if (lookup(addr, &m) && still(&m, &o))
        return true;
    u64 mask = ilock_acquire(&writer);
    struct module_array *a = array[sequence & 1];
    mark++;
    fresh->n = 0;
    for (u32 i = 0; i < a->n; i++)
        a->at[i].seen = a->at[i].hi <= (u64)o.start || a->at[i].lo >= (u64)o.end ? mark : 0;
    add_fresh(o.map);
    if (fresh->n)
        publish();
    ilock_release(&writer, mask);
    return true;
}

/* ---- start and fork ---- */

void modules_without_tracking(void)
{
    find_object = (int (*)(void *, struct found_object *))(u64)modules_symbol("_dl_find_object");
    modules_tracking = false;
}

void modules_start(void)
{
    size_t bytes = (sizeof(struct module_array) + 4095) & ~4095ULL;
    char *memory = array[0] ? NULL : sys_map(3 * bytes);
    loader = elf_r_debug();
    if (!loader)
        loader = &_r_debug;
    if (!memory || !loader->r_map)
        return;
    array[1] = (struct module_array *)(memory + bytes);
    fresh = (struct module_array *)(memory + 2 * bytes);
    __atomic_store_n(&array[0], (struct module_array *)memory, __ATOMIC_RELEASE);
    synchronise();
    modules_tracking = hook_install(loader->r_brk);
    if (!modules_tracking)
        modules_without_tracking();
}

void modules_after_fork(void)
{
    writer.word = 0;
    reading = unmapping = 0;
    record_after_fork();
}
