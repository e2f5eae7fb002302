/* What a recycling cycle condemns, and what becomes of it (recycle.h). Called by recycle.c under the cycle's lock;
 * recycle_record by every visitor while a cycle is under way. Lock-free; maps its tables at the first cycle. */
#include "analyze/recycle.h"

#include "analyze/granule.h"
#include "analyze/site.h"
#include "analyze/weak.h"
#include "base/sys.h"
#include "model/run.h"

/* In the tables of what is called what now: not yet known is 0. */
#define GONE 1u

static struct {
    u32 *moved;      /* by condemned epoch: its new number; itself, when it stays after all */
    u32 *moved_sets; /* by condemned set: its new slot */
    u64 *met, *met_sets;
} tables;
static struct block {
    bool candidate, evicted, kept;
    u16 alive;
} blocks[EPOCH_BLOCKS];
static u32 dest[EPOCH_BLOCKS], ndest, dest_next; /* blocks for new numbers */
static u32 limit;                                /* epoch_limit when the cycle began */
static u32 pages;                                /* of the shadow, in use */
static bool known_ends;                          /* what sections order is of interest (weak.h) */

bool move_start(void)
{
    if (tables.met_sets)
        return true;
    tables.moved = sys_map(EPOCHS_USED * sizeof *tables.moved);
    tables.moved_sets = sys_map(READERS_SETS * sizeof *tables.moved_sets);
    tables.met = sys_map(EPOCHS_USED / 8);
    tables.met_sets = tables.moved && tables.moved_sets && tables.met ? sys_map(READERS_SETS / 8) : NULL;
    return tables.met_sets;
}

static bool is_dead(u32 epoch)
{
    const struct epoch *e = &epochs[epoch];
    u64 end = e->hold && known_ends ? __atomic_load_n(&e->end, __ATOMIC_ACQUIRE) : e->time;
    return end && recycle_floor[e->lane] >= end;
}

/* ---- what is referred to ---- */

static bool meet_first(u64 *met, u32 i)
{
    bool first = !(met[i / 64] >> i % 64 & 1);
    met[i / 64] |= 1ULL << i % 64;
    return first;
}

static void count_epoch(u32 epoch)
{
    struct block *b = &blocks[epoch / EPOCH_BLOCK];
    if (b->candidate && meet_first(tables.met, epoch) && !is_dead(epoch))
        b->alive++;
}

static void count_slot(u32 slot)
{
    u32 epoch = slot_epoch(slot);
    if (snarl_likely(epoch < READERS_FIRST)) {
        count_epoch(epoch);
        return;
    }
    if (!meet_first(tables.met_sets, epoch - READERS_FIRST))
        return;
    const struct readers *r = readers_at(epoch);
    for (u32 i = 0; i < r->n; i++)
        count_epoch(slot_epoch((u32)r->member[i]));
}

static void count_page(u64 addr, u32 n, void *arg)
{
    const u64 *cells = shadow_cell(addr);
    u64 last = 0;
    (void)arg;
    pages++;
    for (u32 i = 0; i < n; i++) {
        u64 cell = __atomic_load_n(&cells[i], __ATOMIC_RELAXED);
        if (cell & CELL_MORE)
            count_slot((u32)__atomic_load_n(shadow_older(addr + i * GRANULE), __ATOMIC_RELAXED));
        if ((u32)cell == (u32)last || cell_is_crowd(cell))
            continue;
        last = cell;
        count_slot((u32)cell);
    }
}

static void count_all(void)
{
    pages = 0;
    shadow_each_page(count_page, NULL);
    for (u32 c = 1, used = crowd_used(); c < used; c++)
        for (u32 i = 0; i < CROWD_RECORDS && i < __atomic_load_n(&crowd_at(c)->n, __ATOMIC_RELAXED); i++)
            count_slot((u32)__atomic_load_n(&crowd_at(c)->records[i], __ATOMIC_RELAXED));
}

/* ---- the choice ---- */

static void candidates_find(void)
{
    __builtin_memset(tables.met, 0, limit * EPOCH_BLOCK / 8);
    __builtin_memset(tables.met_sets, 0, READERS_SETS / 8);
    for (u32 b = 1; b < limit; b++)
        blocks[b] =
            (struct block){.candidate = __atomic_load_n(&epoch_blocks[b].state, __ATOMIC_ACQUIRE) == BLOCK_FULL};
}

/* The age up to which `n` candidates are older than the rest. */
static u32 oldest(u32 n)
{
    u32 lo = 0, hi = ~0u;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2, older = 0;
        for (u32 b = 1; b < limit; b++)
            older += blocks[b].candidate && epoch_blocks[b].age <= mid;
        if (older >= n)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static void condemn(u32 b, bool evicted)
{
    epoch_blocks[b].state = BLOCK_CONDEMNED;
    blocks[b].candidate = false;
    blocks[b].evicted = evicted;
}

static u32 choose_oldest(u32 n)
{
    u32 age = oldest(n), chosen = 0;
    for (u32 b = 1; b < limit && chosen < n; b++) {
        if (!blocks[b].candidate || epoch_blocks[b].age > age)
            continue;
        condemn(b, true);
        chosen++;
    }
    return chosen;
}

/* Those with the fewest that are alive, `room` of them in all. */
static u32 choose_emptiest(u32 room)
{
    u32 with[EPOCH_BLOCK + 1] = {0}, most = 0, chosen = 0;
    for (u32 b = 1; b < limit; b++)
        with[blocks[b].alive] += blocks[b].candidate;
    for (u32 left = room; most < EPOCH_BLOCK && with[most] * most <= left; most++)
        left -= with[most] * most;
    for (u32 b = 1; b < limit; b++) {
        if (!blocks[b].candidate || blocks[b].alive > most || blocks[b].alive == EPOCH_BLOCK || blocks[b].alive > room)
            continue;
        room -= blocks[b].alive;
        condemn(b, false);
        chosen++;
    }
    return chosen;
}

bool move_choose(struct accesses *a)
{
    u32 free = epoch_blocks_free(), want = free - free / 4;
    limit = epoch_limit;
    known_ends = a->weak;
    candidates_find();
    count_all();
    for (ndest = dest_next = 0; ndest < want; ndest++)
        if (!(dest[ndest] = epoch_block_take(EPOCH_MIXED)))
            break;
    u32 capacity = ndest * EPOCH_BLOCK, chosen = 0;
    if (free <= limit / 64 && limit == epoch_most)
        chosen = choose_oldest(limit / 16 ? limit / 16 : 1);
    chosen += choose_emptiest(capacity - capacity / 16); /* visitors may take some in vain */
    if (chosen || readers_wanted())
        return true;
    while (ndest)
        epoch_block_give(dest[--ndest]);
    return false;
}

void move_condemn(void)
{
    readers_switch();
}

/* ---- what is called what ---- */

static u32 publish(u32 *place, u32 value)
{
    u32 none = 0;
    return __atomic_compare_exchange_n(place, &none, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ? value : none;
}

static u32 epoch_move(u32 epoch)
{
    u32 *place = &tables.moved[epoch], i;
    struct block *b = &blocks[epoch / EPOCH_BLOCK];
    if (is_dead(epoch))
        return publish(place, GONE);
    if (b->evicted) {
        accesses_lost();
        return publish(place, GONE);
    }
    i = __atomic_load_n(&dest_next, __ATOMIC_RELAXED) < ndest * EPOCH_BLOCK
            ? __atomic_fetch_add(&dest_next, 1, __ATOMIC_RELAXED)
            : ~0u;
    if (i >= ndest * EPOCH_BLOCK) {
        __atomic_store_n(&b->kept, true, __ATOMIC_RELEASE);
        return publish(place, epoch);
    }
    u32 now = dest[i / EPOCH_BLOCK] * EPOCH_BLOCK + i % EPOCH_BLOCK;
    epochs[now] = epochs[epoch];
    return publish(place, now);
}

/* Re-interned in the other half. */
static u32 set_move(struct accesses *a, u32 slot)
{
    const struct readers *r = readers_at(slot_epoch(slot));
    u64 *m = a->moved;
    u32 n = 0;
    for (u32 i = 0; i < r->n; i++) {
        u64 now = recycle_record(a, r->member[i]);
        if (now)
            m[n++] = now;
    }
    u32 now = n ? (u32)readers_intern(m, n) : GONE;
    if (!now)
        accesses_lost();
    return publish(&tables.moved_sets[slot_epoch(slot) - READERS_FIRST], now ? now : GONE);
}

static u64 set_record(struct accesses *a, u64 record)
{
    u32 epoch = slot_epoch((u32)record);
    if (!readers_condemned(epoch))
        return record;
    u32 now = __atomic_load_n(&tables.moved_sets[epoch - READERS_FIRST], __ATOMIC_ACQUIRE);
    now = now ? now : set_move(a, (u32)record);
    return now == GONE ? 0 : now;
}

u64 recycle_record(struct accesses *a, u64 record)
{
    u32 epoch = slot_epoch((u32)record);
    if (epoch >= READERS_FIRST)
        return set_record(a, record);
    if (__atomic_load_n(&epoch_blocks[epoch / EPOCH_BLOCK].state, __ATOMIC_RELAXED) != BLOCK_CONDEMNED)
        return record;
    u32 now = __atomic_load_n(&tables.moved[epoch], __ATOMIC_ACQUIRE);
    now = now ? now : epoch_move(epoch);
    return now == GONE ? 0 : (record & ~(u64)SLOT_SAME_EPOCH) | now << SLOT_EPOCH_SHIFT;
}

/* ---- all over the shadow ---- */

static void crowd_record_move(struct accesses *a, u64 *place)
{
    u64 seen = __atomic_load_n(place, __ATOMIC_RELAXED), fresh;
    do {
        fresh = recycle_record(a, seen);
    } while (fresh != seen &&
             !__atomic_compare_exchange_n(place, &seen, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

/* Else a newer one is there by now. */
static void crowd_forget_newest(u64 addr, u64 seen)
{
    u64 fresh = crowd_cell(crowd_number(seen), 0);
    __atomic_compare_exchange_n(shadow_cell(addr), &seen, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void granule_move(struct accesses *a, u64 addr)
{
    for (;;) {
        struct granule g = granule_load(addr);
        if (cell_is_crowd(g.seen)) {
            crowd_forget_newest(addr, g.seen);
            return;
        }
        u64 newer = recycle_record(a, g.newer), older = g.older ? recycle_record(a, g.older) : 0;
        if (newer == g.newer && older == g.older)
            return;
        if (granule_store(addr, &g, newer ? newer : older, newer ? older : 0))
            return;
    }
}

static bool is_condemned(u32 slot)
{
    u32 epoch = slot_epoch(slot);
    return epoch >= READERS_FIRST ? readers_condemned(epoch)
                                  : epoch_blocks[epoch / EPOCH_BLOCK].state == BLOCK_CONDEMNED;
}

static void page_move(u64 addr, u32 n, void *a)
{
    const u64 *cells = shadow_cell(addr);
    u32 clean = 0;
    for (u32 i = 0; i < n; i++) {
        u64 cell = __atomic_load_n(&cells[i], __ATOMIC_RELAXED);
        if (cell & CELL_MORE || cell == CELL_BUSY) {
            granule_move(a, addr + i * GRANULE);
        } else if ((u32)cell == clean) {
            continue;
        } else if (is_condemned((u32)cell)) {
            granule_move(a, addr + i * GRANULE);
        } else {
            clean = (u32)cell;
        }
    }
}

void move_all(struct accesses *a)
{
    shadow_each_page(page_move, a);
    for (u32 c = 1, used = crowd_used(); c < used; c++)
        for (u32 i = 0; i < CROWD_RECORDS && i < __atomic_load_n(&crowd_at(c)->n, __ATOMIC_RELAXED); i++)
            crowd_record_move(a, &crowd_at(c)->records[i]);
}

/* A look through the shadow takes about a microsecond for a page, a block of epochs lasts 25 at the least. */
bool move_costs_much(void)
{
    return pages * 2ULL > limit;
}

void move_finish(void)
{
    u32 used = (dest_next + EPOCH_BLOCK - 1) / EPOCH_BLOCK, age = ~0u;
    for (u32 b = 1; b < limit; b++) {
        if (epoch_blocks[b].state != BLOCK_CONDEMNED)
            continue;
        __builtin_memset(&tables.moved[b * EPOCH_BLOCK], 0, EPOCH_BLOCK * sizeof *tables.moved);
        age = epoch_blocks[b].age < age ? epoch_blocks[b].age : age;
        if (blocks[b].kept)
            epoch_block_full(b);
        else
            epoch_block_give(b);
    }
    for (u32 i = 0; i < ndest; i++) {
        if (i >= used) {
            epoch_block_give(dest[i]);
            continue;
        }
        epoch_blocks[dest[i]].age = age; /* what it has is no younger */
        epoch_block_full(dest[i]);
    }
    ndest = 0;
    readers_retire(tables.moved_sets);
}

void move_forked(void)
{
    ndest = 0;
    if (!tables.met_sets)
        return;
    __builtin_memset(blocks, 0, sizeof blocks);
    sys_unmap(tables.moved, EPOCHS_USED * sizeof *tables.moved);
    sys_unmap(tables.moved_sets, READERS_SETS * sizeof *tables.moved_sets);
    sys_unmap(tables.met, EPOCHS_USED / 8);
    sys_unmap(tables.met_sets, READERS_SETS / 8);
    __builtin_memset(&tables, 0, sizeof tables);
}
