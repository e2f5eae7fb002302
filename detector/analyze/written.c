/* Lost updates: who has written what under locks, and which life of some memory it was in. Called by atomicity.c, and by
 * whatever ends the life of memory. Takes no lock; maps memory: tables per process, one per lane.
 *
 * A thread writes to the table of its lane, nobody else does: so what it writes often stays in its own core's cache,
 * and it takes no atomic operation. Others look there only when they have found the two halves of a pair. */
#include "analyze/atomicity.h"

#include <sys/mman.h>

#define TURNS 16u

u32 *pair_generations;
static struct written_lane *tables[TAKEN_LANES];
static u32 ntables; /* there is none from here on */

/* By threads on lanes beyond: only that there was a write, tag << 32 | number. */
static struct beyond {
    u64 last, other; /* other: of another thread than last */
} * beyond;

/* ---- memory that is given back ---- */

SNARL_COLD bool written_start(void)
{
    u32 *none = NULL, *n = sys_map((GENERATIONS + LARGE_GENERATIONS) * sizeof *n);
    struct beyond *b = sys_map(WRITTEN * sizeof *b);
    if (!n || !b || !writing_begin())
        return false;
    beyond = b; /* of two threads that come here at once, one loses some mappings */
    __atomic_compare_exchange_n(&pair_generations, &none, n, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    return true;
}

void atomicity_forget(u64 addr, u64 size)
{
    u32 *counts = __atomic_load_n(&pair_generations, __ATOMIC_ACQUIRE);
    if (!size || !counts)
        return;
    bool large = size >> LARGE_BITS;
    counts += large ? GENERATIONS : 0;
    u32 n = large ? LARGE_GENERATIONS : GENERATIONS, bits = large ? LARGE_BITS : GENERATION_BITS;
    u64 first = addr >> bits, last = (addr + size - 1) >> bits;
    for (u64 i = 0, left = last - first < n ? last - first + 1 : n; left; i++) {
        u32 *part = counts + (i ? 0 : first % n);
        u64 room = (u64)(counts + n - part), now = left < room ? left : room;
        for (u64 k = 0; k < now; k++)
            part[k]++;
        left -= now;
    }
}

void atomicity_forked(void)
{
    if (!pair_generations)
        return;
    for (u32 i = 0; i < TAKEN_LANES; i++)
        if (tables[i]) {
            sys_call3(SYS_madvise, tables[i]->writes, WRITTEN * sizeof *tables[i]->writes, MADV_DONTNEED);
            tables[i]->nowners = 0;
        }
    sys_call3(SYS_madvise, beyond, WRITTEN * sizeof *beyond, MADV_DONTNEED);
    writing_forget();
}

/* ---- who writes what ---- */

/* By who has the lane. */
static SNARL_COLD struct written_lane *table_begin(u32 lane)
{
    struct written_lane *t = sys_map(sizeof *t);
    struct written *w = sys_map(WRITTEN * sizeof *w);
    struct written_more *more = sys_map(WRITTEN * sizeof *more);
    if (!t || !w || !more)
        return NULL;
    t->writes = w;
    t->more = more;
    __atomic_store_n(&tables[lane], t, __ATOMIC_RELEASE);
    u32 n = __atomic_load_n(&ntables, __ATOMIC_RELAXED);
    while (n <= lane && !__atomic_compare_exchange_n(&ntables, &n, lane + 1, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    return t;
}

struct written_lane *written_table(u32 lane, u32 number, ref_t thread, u64 time)
{
    if (lane >= TAKEN_LANES)
        return NULL;
    struct written_lane *t = tables[lane] ? tables[lane] : table_begin(lane);
    if (!t || (t->nowners && t->owners[(t->nowners - 1) % WRITTEN_OWNERS].number == number))
        return t;
    t->owners[t->nowners % WRITTEN_OWNERS] = (struct written_owner){time, number, thread};
    __atomic_store_n(&t->nowners, t->nowners + 1, __ATOMIC_RELEASE);
    return t;
}

/* Who had the lane at that time. */
static void owner_at(const struct written_lane *t, u64 time, struct writer *out)
{
    out->number = 0;
    out->thread = 0;
    for (u32 n = __atomic_load_n(&t->nowners, __ATOMIC_ACQUIRE), i = 1; i <= n && i < WRITTEN_OWNERS; i++) {
        const struct written_owner *o = &t->owners[(n - i) % WRITTEN_OWNERS];
        if (o->since > time)
            continue;
        out->number = o->number;
        out->thread = o->thread;
        return;
    }
}

void written_beyond(u64 key, u32 generation, u32 number)
{
    u64 hash = pair_hash(key), now = (u64)written_tag(hash, generation) << 32 | number;
    struct beyond *b = &beyond[written_index(hash)];
    u64 last = __atomic_load_n(&b->last, __ATOMIC_RELAXED);
    if (last == now)
        return;
    __atomic_store_n(&b->other, last, __ATOMIC_RELAXED);
    __atomic_store_n(&b->last, now, __ATOMIC_RELAXED);
}

static bool beyond_by_others(u64 hash, u32 tag, u32 number)
{
    const struct beyond *b = &beyond[written_index(hash)];
    u64 last = __atomic_load_n(&b->last, __ATOMIC_RELAXED), other = __atomic_load_n(&b->other, __ATOMIC_RELAXED);
    return (last && last >> 32 == tag && (u32)last != number) || (other && other >> 32 == tag && (u32)other != number);
}

/* What stands in t of these bytes. */
static bool writer_read(const struct written_lane *t, u64 hash, u32 tag, struct writer *out)
{
    const struct written *w = &t->writes[written_index(hash)];
    const struct written_more *more = &t->more[written_index(hash)];
    for (u32 i = 0; i < TURNS && __atomic_load_n(&w->tag, __ATOMIC_RELAXED) == tag; i++) {
        u32 turn = __atomic_load_n(&w->turn, __ATOMIC_ACQUIRE);
        const struct written now = *(const volatile struct written *)w;
        *out = (struct writer){.time = now.time, .hold = now.hold, .stack = now.stack, .lock = {now.lock}};
        if ((turn & TURN_MORE) && __atomic_load_n(&more->turn, __ATOMIC_RELAXED) == turn)
            for (u32 k = 1; k < PAIR_LOCKS; k++)
                out->lock[k] = ((const volatile struct written_more *)more)->lock[k - 1];
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (turn && turn == __atomic_load_n(&w->turn, __ATOMIC_RELAXED))
            return now.tag == tag;
        __builtin_ia32_pause();
    }
    return false;
}

bool written_by_others(u64 key, u32 generation, u32 lane, u32 number)
{
    u64 hash = pair_hash(key);
    u32 tag = written_tag(hash, generation);
    for (u32 i = 0, n = __atomic_load_n(&ntables, __ATOMIC_ACQUIRE); i < n; i++) {
        const struct written_lane *t = __atomic_load_n(&tables[i], __ATOMIC_ACQUIRE);
        const struct written *w = t ? &t->writes[written_index(hash)] : NULL;
        if (w && i != lane && __atomic_load_n(&w->tag, __ATOMIC_RELAXED) == tag &&
            __atomic_load_n(&w->time, __ATOMIC_RELAXED))
            return true;
    }
    return beyond_by_others(hash, tag, number);
}

bool written_last(u64 key, u32 generation, u32 lane, u32 uid, struct writer *out)
{
    u64 hash = pair_hash(key);
    u32 tag = written_tag(hash, generation), last = 0;
    bool found = false;
    for (u32 i = 0, n = __atomic_load_n(&ntables, __ATOMIC_ACQUIRE); i < n; i++) {
        const struct written_lane *t = __atomic_load_n(&tables[i], __ATOMIC_ACQUIRE);
        struct writer w;
        if (!t || i == lane || !writer_read(t, hash, tag, &w))
            continue;
        int k = section_index(w.lock, uid);
        if (k < 0 || (found && w.lock[k].number <= last))
            continue;
        found = true;
        last = w.lock[k].number;
        *out = w;
        out->lane = i;
        owner_at(t, w.time, out);
    }
    return found;
}
