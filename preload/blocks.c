/* Live heap blocks: the tables. Called by intercept/alloc_watched.c, locate.c and the fork handlers. Takes its own spin
 * locks only; memory comes from sys_map.
 *
 * An entry is two words: where the block begins in its region, its size and state; its stack and thread. The first is
 * zero where there is no block. Open addressing, linear probing; removal closes the gap, so there are no tombstones.
 * The few blocks of more than 64 MiB stand in a list of their own, which bounds how far back a search has to go. */
#include "blocks.h"

#include "base/hash.h"
#include "base/sys.h"
#include "quarantine.h"

#define REGION_SHIFT 20
#define REGION_SLOTS (1u << 18) /* of the directory: 256 GiB of heap when full, in 8 MiB of addresses */
#define REGION_PROBES 64u
#define LOCK_BITS 6
#define LOCKS (1u << LOCK_BITS)
#define LEAST_LOG 4u
#define MOST_LOG 18u  /* a table with room for a block at each 8 bytes */
#define SMALL_LOG 12u /* tables up to 64 KiB are cut out of chunks */
#define CHUNK (1u << 18)

#define PLACE_BITS 17 /* in the region, in units of 8 bytes */
#define WAITING (1ULL << PLACE_BITS)
#define SIZE_SHIFT (PLACE_BITS + 1)
#define MOST_SIZE ((1ULL << (64 - SIZE_SHIFT)) - 2)
#define HUGE_SIZE (64ULL << 20)
#define HUGE_BACK (HUGE_SIZE >> REGION_SHIFT)
#define HUGE_MAX 1024u

struct entry {
    u64 what;   /* size + 1, state, place */
    u64 origin; /* thread, stack */
};

struct region {
    u64 number; /* + 1; 0: free slot. Set once. */
    struct entry *table;
    u32 n;
    u32 log; /* of the table's entries */
};

struct table_lock {
    u32 word;
    u32 pad[15]; /* one a cache line */
};

static struct region *directory;
static struct table_lock locks[LOCKS];
static struct table_lock memory_lock; /* taken inside the others */
static struct table_lock huge_lock;
static struct entry *spare[MOST_LOG + 1]; /* tables no longer used, linked through their first word */
static char *chunk, *chunk_end;
static u64 huge_base[HUGE_MAX];
static struct entry huge[HUGE_MAX];
static u32 huge_used; /* entries from here on were never used */
bool (*blocks_held)(u64 base);
__thread u64 blocks_ending;

/* ---- locks ---- */

static bool lock(struct table_lock *l, bool may_wait)
{
    for (u32 tries = 1;; tries++) {
        u32 free = 0;
        if (__atomic_compare_exchange_n(&l->word, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
        if (!may_wait && tries > 4096)
            return false;
        if (tries % 64)
            __builtin_ia32_pause();
        else
            sys_call3(SYS_sched_yield, 0, 0, 0);
    }
}

static void unlock(struct table_lock *l)
{
    __atomic_store_n(&l->word, 0, __ATOMIC_RELEASE);
}

/* The allocator's arenas begin at multiples of 64 regions: what most threads use is not to have one lock. */
static struct table_lock *lock_of(u64 number)
{
    return &locks[number * 0x9e3779b97f4a7c15ULL >> (64 - LOCK_BITS)];
}

void blocks_before_fork(void)
{
    for (u32 i = 0; i < LOCKS; i++)
        lock(&locks[i], true);
    lock(&huge_lock, true);
    lock(&memory_lock, true);
}

void blocks_after_fork(void)
{
    unlock(&memory_lock);
    unlock(&huge_lock);
    for (u32 i = LOCKS; i-- > 0;)
        unlock(&locks[i]);
}

/* ---- memory of tables ---- */

static u64 table_bytes(u32 log)
{
    return sizeof(struct entry) << log;
}

/* All zero, or NULL. A region's lock is held. */
static struct entry *table_new(u32 log, bool may_wait)
{
    if (!lock(&memory_lock, may_wait))
        return NULL;
    struct entry *t = spare[log];
    if (t) {
        spare[log] = (struct entry *)(uintptr_t)t->what;
        t->what = 0;
    } else if (log > SMALL_LOG) {
        t = sys_map(table_bytes(log));
    } else {
        if (table_bytes(log) > (u64)(chunk_end - chunk) && (chunk = sys_map(CHUNK)))
            chunk_end = chunk + CHUNK;
        if (chunk) {
            t = (struct entry *)(void *)chunk;
            chunk += table_bytes(log);
        } else {
            chunk_end = NULL;
        }
    }
    unlock(&memory_lock);
    return t;
}

static void table_free(struct entry *t, u32 log, bool may_wait)
{
    if (log > SMALL_LOG) {
        sys_unmap(t, table_bytes(log));
        return;
    }
    __builtin_memset(t, 0, table_bytes(log));
    if (!lock(&memory_lock, may_wait))
        return; /* lost: some bytes in a rare case of a rare case */
    t->what = (uintptr_t)spare[log];
    spare[log] = t;
    unlock(&memory_lock);
}

/* ---- entries ---- */

static u64 entry_place(const struct entry *e)
{
    return e->what & ((1ULL << PLACE_BITS) - 1);
}

static u64 place_of(u64 base)
{
    return base >> 3 & ((1ULL << PLACE_BITS) - 1);
}

static struct entry entry_make(const struct block *b)
{
    return (struct entry){(b->size + 1) << SIZE_SHIFT | (b->waiting ? WAITING : 0) | place_of(b->base),
                          (u64)b->thread << 32 | b->stack};
}

static void entry_read(const struct entry *e, u64 base, struct block *out)
{
    *out = (struct block){.base = base,
                          .size = (e->what >> SIZE_SHIFT) - 1,
                          .stack = (ref_t)e->origin,
                          .thread = (u32)(e->origin >> 32),
                          .waiting = (e->what & WAITING) != 0};
}

/* Neighbours stay neighbours, whatever the distance of blocks. More than 2^15 blocks in a region are closer together than
 * 16 bytes on average. */
static u32 slot_of(const struct region *r, u64 place)
{
    if (r->log >= PLACE_BITS)
        return (u32)(place << (r->log - PLACE_BITS));
    return (u32)((place >> 1) + (place >> (r->log + 1)) * 0x9e3779b1u) & ((1u << r->log) - 1);
}

static struct entry *entry_find(const struct region *r, u64 place)
{
    u32 mask = (1u << r->log) - 1;
    if (!r->n)
        return NULL;
    for (u32 i = slot_of(r, place); r->table[i].what; i = (i + 1) & mask)
        if (entry_place(&r->table[i]) == place)
            return &r->table[i];
    return NULL;
}

static void entry_insert(struct region *r, struct entry e)
{
    u32 mask = (1u << r->log) - 1, i = slot_of(r, entry_place(&e));
    while (r->table[i].what)
        i = (i + 1) & mask;
    r->table[i] = e;
    r->n++;
}

static void entry_remove(struct region *r, struct entry *e, bool may_wait)
{
    u32 mask = (1u << r->log) - 1, hole = (u32)(e - r->table);
    for (u32 i = (hole + 1) & mask; r->table[i].what; i = (i + 1) & mask) {
        u32 home = slot_of(r, entry_place(&r->table[i]));
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* would come before its home */
        r->table[hole] = r->table[i];
        hole = i;
    }
    r->table[hole] = (struct entry){0, 0};
    if (!--r->n) {
        table_free(r->table, r->log, may_wait);
        r->table = NULL;
        r->log = 0;
    }
}

/* The block has been freed by the program, and by us. */
static bool entry_is_over(const struct region *r, const struct entry *e, const u64 *filter)
{
    u64 base = (r->number - 1) << REGION_SHIFT | entry_place(e) << 3;
    return (e->what & WAITING) && !(blocks_held ? blocks_held(base) : quarantine_may_hold(filter, base));
}

/* Room for one more: by leaving out what is over when that is a quarter, else in a larger table. */
static bool region_grow(struct region *r, bool may_wait)
{
    struct region larger = {.number = r->number, .log = r->table ? r->log + 1 : LEAST_LOG};
    u64 filter[QUARANTINE_FILTER / 64];
    u32 over = 0;
    if (r->table && (r->n + 1) * 4ULL <= 3ULL << r->log)
        return true;
    quarantine_filter(filter);
    for (u32 i = 0; r->table && i < 1u << r->log; i++)
        over += entry_is_over(r, &r->table[i], filter);
    if (over && over >= r->n / 4)
        larger.log = r->log;
    if (larger.log > MOST_LOG || !(larger.table = table_new(larger.log, may_wait)))
        return false;
    for (u32 i = 0; r->table && i < 1u << r->log; i++)
        if (r->table[i].what && !entry_is_over(r, &r->table[i], filter))
            entry_insert(&larger, r->table[i]);
    if (r->table)
        table_free(r->table, r->log, may_wait);
    *r = larger;
    return true;
}

/* ---- regions ---- */

static struct region *directory_make(void)
{
    struct region *fresh = sys_map(REGION_SLOTS * sizeof *fresh), *none = NULL;
    if (fresh && !__atomic_compare_exchange_n(&directory, &none, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        sys_unmap(fresh, REGION_SLOTS * sizeof *fresh);
    return __atomic_load_n(&directory, __ATOMIC_ACQUIRE);
}

/* NULL when it is not there, and cannot be made where that is wanted. */
static struct region *region_of(u64 number, bool make)
{
    struct region *d = __atomic_load_n(&directory, __ATOMIC_ACQUIRE);
    if (!d && (!make || !(d = directory_make())))
        return NULL;
    u64 first = number * 0x9e3779b97f4a7c15ULL >> 32;
    for (u32 i = 0; i < REGION_PROBES; i++) {
        struct region *r = &d[(first + i) & (REGION_SLOTS - 1)];
        u64 seen = __atomic_load_n(&r->number, __ATOMIC_ACQUIRE);
        if (!seen && !make)
            return NULL;
        if (!seen &&
            __atomic_compare_exchange_n(&r->number, &seen, number + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return r;
        if (seen == number + 1)
            return r;
    }
    return NULL;
}

/* ---- blocks of more than 64 MiB ---- */

static struct entry *huge_find(u64 base)
{
    for (u32 i = 0; i < huge_used; i++)
        if (huge[i].what && huge_base[i] == base)
            return &huge[i];
    return NULL;
}

static bool huge_put(const struct block *b, bool may_wait)
{
    u32 i = 0;
    if (!lock(&huge_lock, may_wait))
        return false;
    struct entry *e = huge_find(b->base);
    if (e)
        i = (u32)(e - huge);
    else
        while (i < huge_used && huge[i].what)
            i++;
    if (i < HUGE_MAX) {
        huge_base[i] = b->base;
        huge[i] = entry_make(b);
        if (i == huge_used)
            __atomic_store_n(&huge_used, i + 1, __ATOMIC_RELAXED);
    }
    unlock(&huge_lock);
    return i < HUGE_MAX;
}

static bool huge_around(u64 addr, struct block *out, bool may_wait)
{
    bool found = false;
    if (!__atomic_load_n(&huge_used, __ATOMIC_RELAXED) || !lock(&huge_lock, may_wait))
        return false;
    for (u32 i = 0; i < huge_used && !found; i++) {
        if (!huge[i].what)
            continue;
        entry_read(&huge[i], huge_base[i], out);
        found = addr >= out->base && addr - out->base < out->size;
    }
    unlock(&huge_lock);
    return found;
}

/* ---- the door ---- */

/* A smaller block took the place of one of more than 64 MiB, or the other way round. */
static void drop_other(u64 base, bool is_huge, bool may_wait)
{
    struct region *r = is_huge ? region_of(base >> REGION_SHIFT, false) : NULL;
    struct table_lock *l = is_huge ? lock_of(base >> REGION_SHIFT) : &huge_lock;
    if ((is_huge ? !r : !__atomic_load_n(&huge_used, __ATOMIC_RELAXED)) || !lock(l, may_wait))
        return;
    struct entry *e = is_huge ? entry_find(r, place_of(base)) : huge_find(base);
    if (e && is_huge)
        entry_remove(r, e, may_wait);
    else if (e)
        e->what = 0;
    unlock(l);
}

bool blocks_put(const struct block *b, bool may_wait)
{
    bool is_huge = b->size > HUGE_SIZE, done = false;
    if (b->size > MOST_SIZE || (b->base & 7))
        return false;
    drop_other(b->base, is_huge, may_wait);
    if (is_huge)
        return huge_put(b, may_wait);
    u64 number = b->base >> REGION_SHIFT;
    struct region *r = region_of(number, true);
    if (!r || !lock(lock_of(number), may_wait))
        return false;
    struct entry *e = entry_find(r, place_of(b->base));
    if (e) {
        *e = entry_make(b);
        done = true;
    } else if (region_grow(r, may_wait)) {
        entry_insert(r, entry_make(b));
        done = true;
    }
    unlock(lock_of(number));
    return done;
}

/* Finds it, and removes it or marks it. */
static bool block_end(u64 base, struct block *out, bool remove, bool may_wait)
{
    u64 number = base >> REGION_SHIFT;
    struct region *r = region_of(number, false);
    struct entry *e = NULL;
    if (base & 7)
        return false;
    if (r && lock(lock_of(number), may_wait)) {
        if ((e = entry_find(r, place_of(base)))) {
            entry_read(e, base, out);
            if (remove)
                entry_remove(r, e, may_wait);
            else
                e->what |= WAITING;
        }
        unlock(lock_of(number));
    }
    if (e || !__atomic_load_n(&huge_used, __ATOMIC_RELAXED) || !lock(&huge_lock, may_wait))
        return e != NULL;
    if ((e = huge_find(base))) {
        entry_read(e, base, out);
        e->what = remove ? 0 : e->what | WAITING;
    }
    unlock(&huge_lock);
    return e != NULL;
}

bool blocks_take(u64 base, struct block *out, bool may_wait)
{
    return block_end(base, out, true, may_wait);
}

bool blocks_wait(u64 base, struct block *out, bool may_wait)
{
    return block_end(base, out, false, may_wait);
}

/* ---- what lies around an address ---- */

struct search {
    u64 addr, region; /* the region's beginning */
    struct block *out;
};
enum { NOTHING_YET, FOUND, NOT_THERE };
static u64 large_last; /* where one begins that was far below what was looked for */

/* Of blocks in falling order of their addresses: the first that lives decides, or one before it that has been freed,
 * but not by us. */
static u32 entry_around(const struct search *s, const struct entry *e)
{
    struct block b;
    entry_read(e, s->region | entry_place(e) << 3, &b);
    bool around = s->addr - b.base < b.size;
    if (b.waiting && (!around || (b.base != blocks_ending && !(blocks_held ? blocks_held : quarantine_holds)(b.base))))
        return NOTHING_YET;
    *s->out = b;
    return around ? FOUND : NOT_THERE;
}

/* All that begin below a place, in one pass: of those that decide the last one. */
static u32 table_search(const struct search *s, const struct region *r, u64 place)
{
    const struct entry *best = NULL;
    u32 what = NOTHING_YET;
    for (u64 i = 0; i < 1ULL << r->log; i++) {
        const struct entry *e = &r->table[i];
        if (!e->what || entry_place(e) >= place || (best && entry_place(e) < entry_place(best)))
            continue;
        u32 here = entry_around(s, e);
        best = here != NOTHING_YET ? e : best;
        what = here != NOTHING_YET ? here : what;
    }
    return what;
}

/* By trying places, or, when none is near, by going through the table. */
static u32 region_search(const struct search *s, const struct region *r, u64 place)
{
    u64 size = 1ULL << r->log, least = place >= size ? place + 1 - size : 0, p = place + 1;
    const struct entry *e;
    u32 what = NOTHING_YET;
    while (p-- > least && what == NOTHING_YET)
        what = (e = entry_find(r, p)) ? entry_around(s, e) : NOTHING_YET;
    if (what == NOTHING_YET) {
        what = table_search(s, r, least);
        if (what == FOUND)
            __atomic_store_n(&large_last, s->out->base, __ATOMIC_RELAXED);
    }
    return what;
}

/* Of a large block that holds thousands of locks one after the other is looked for. */
static bool large_again(u64 addr, struct block *out, bool may_wait)
{
    u64 base = __atomic_load_n(&large_last, __ATOMIC_RELAXED), number = base >> REGION_SHIFT;
    struct region *r = base && addr - base < HUGE_SIZE ? region_of(number, false) : NULL;
    if (!r || !lock(lock_of(number), may_wait))
        return false;
    const struct entry *e = entry_find(r, place_of(base));
    if (e)
        entry_read(e, base, out);
    unlock(lock_of(number));
    return e && !out->waiting && addr - base < out->size;
}

bool blocks_find(u64 addr, struct block *out, bool may_wait)
{
    u64 number = addr >> REGION_SHIFT;
    u32 what = NOTHING_YET;
    if (large_again(addr, out, may_wait))
        return true;
    for (u32 back = 0; back <= HUGE_BACK && back <= number && what == NOTHING_YET; back++) {
        struct region *r = region_of(number - back, false);
        struct search s = {addr, (number - back) << REGION_SHIFT, out};
        if (!r || !__atomic_load_n(&r->n, __ATOMIC_RELAXED))
            continue;
        if (!lock(lock_of(number - back), may_wait))
            return false;
        if (r->n)
            what = region_search(&s, r, back ? (1ULL << PLACE_BITS) - 1 : place_of(addr));
        unlock(lock_of(number - back));
    }
    return what == FOUND || huge_around(addr, out, may_wait);
}
