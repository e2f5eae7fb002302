/* What a recycling cycle condemns, and what becomes of it (recycle.h). Called by recycle.c under the cycle's lock;
 * recycle_slot by every visitor while a cycle is under way. Lock-free; maps its tables at the first cycle. */
#include "analyze/recycle.h"

#include "analyze/shadow.h"
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
        count_epoch(slot_epoch(r->member[i].slot));
}

static void count_page(u64 *cells, u64 *sites, u32 n, void *arg)
{
    u64 last = 0;
    (void)sites, (void)arg;
    for (u32 i = 0; i < n; i++) {
        u64 cell = __atomic_load_n(&cells[i], __ATOMIC_RELAXED);
        if (cell == last || cell_is_crowd(cell))
            continue;
        last = cell;
        count_slot((u32)cell);
        count_slot((u32)(cell >> 32));
    }
}

static void count_all(void)
{
    shadow_each_page(count_page, NULL);
    for (u32 c = 1, used = crowd_used(); c < used; c++)
        for (u32 i = 0; i < CROWD_SLOTS && i < __atomic_load_n(&crowd_at(c)->n, __ATOMIC_RELAXED); i++)
            count_slot(__atomic_load_n(&crowd_at(c)->slots[i].slot, __ATOMIC_RELAXED));
}

/* ---- the choice ---- */

static void candidates_find(void)
{
    __builtin_memset(tables.met, 0, epoch_limit * EPOCH_BLOCK / 8);
    __builtin_memset(tables.met_sets, 0, READERS_SETS / 8);
    for (u32 b = 1; b < epoch_limit; b++)
        blocks[b] =
            (struct block){.candidate = __atomic_load_n(&epoch_blocks[b].state, __ATOMIC_ACQUIRE) == BLOCK_FULL};
}

/* The age up to which `n` candidates are older than the rest. */
static u32 oldest(u32 n)
{
    u32 lo = 0, hi = ~0u;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2, older = 0;
        for (u32 b = 1; b < epoch_limit; b++)
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
    for (u32 b = 1; b < epoch_limit && chosen < n; b++) {
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
    for (u32 b = 1; b < epoch_limit; b++)
        with[blocks[b].alive] += blocks[b].candidate;
    for (u32 left = room; most < EPOCH_BLOCK && with[most] * most <= left; most++)
        left -= with[most] * most;
    for (u32 b = 1; b < epoch_limit; b++) {
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
    known_ends = a->weak;
    candidates_find();
    count_all();
    for (ndest = dest_next = 0; ndest < want; ndest++)
        if (!(dest[ndest] = epoch_block_take(EPOCH_MIXED)))
            break;
    u32 capacity = ndest * EPOCH_BLOCK, chosen = 0;
    if (free <= epoch_limit / 64)
        chosen = choose_oldest(epoch_limit / 16 ? epoch_limit / 16 : 1);
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
    struct crowd_slot *m = a->moved;
    u32 n = 0;
    for (u32 i = 0; i < r->n; i++) {
        u32 site = r->member[i].site, now = recycle_slot(a, r->member[i].slot, &site);
        if (now)
            m[n++] = (struct crowd_slot){now, site};
    }
    u32 now = n ? readers_intern(m, n).slot : GONE;
    if (!now)
        accesses_lost();
    return publish(&tables.moved_sets[slot_epoch(slot) - READERS_FIRST], now ? now : GONE);
}

static u32 set_slot(struct accesses *a, u32 slot)
{
    if (!readers_condemned(slot_epoch(slot)))
        return slot;
    u32 now = __atomic_load_n(&tables.moved_sets[slot_epoch(slot) - READERS_FIRST], __ATOMIC_ACQUIRE);
    now = now ? now : set_move(a, slot);
    return now == GONE ? 0 : now;
}

u32 recycle_slot(struct accesses *a, u32 slot, u32 *site)
{
    u32 epoch = slot_epoch(slot);
    if (epoch >= READERS_FIRST)
        return set_slot(a, slot);
    if (__atomic_load_n(&epoch_blocks[epoch / EPOCH_BLOCK].state, __ATOMIC_RELAXED) != BLOCK_CONDEMNED)
        return slot;
    u32 now = __atomic_load_n(&tables.moved[epoch], __ATOMIC_ACQUIRE);
    now = now ? now : epoch_move(epoch);
    if (now == epoch)
        return slot;
    u32 known = site_in(*site, slot);
    slot = now == GONE ? 0 : now << SLOT_EPOCH_SHIFT | (slot & ~SLOT_SAME_EPOCH);
    *site = slot && known ? site_word(known, slot) : 0;
    return slot;
}

/* ---- all over the shadow ---- */

static void pair_move(struct accesses *a, struct crowd_slot *place)
{
    u64 *pair = (u64 *)place, seen = __atomic_load_n(pair, __ATOMIC_RELAXED);
    do {
        u32 site = (u32)(seen >> 32), slot = recycle_slot(a, (u32)seen, &site);
        u64 fresh = slot | (u64)site << 32;
        if (slot == (u32)seen ||
            __atomic_compare_exchange_n(pair, &seen, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return;
    } while (true);
}

static void cell_move(struct accesses *a, u64 *cell, u64 *sites)
{
    u64 seen = __atomic_load_n(cell, __ATOMIC_RELAXED);
    while (!cell_is_crowd(seen)) {
        u64 words = __atomic_load_n(sites, __ATOMIC_RELAXED), was = words, fresh = recycle_cell(a, seen, &words);
        if (fresh == seen)
            return;
        if (!__atomic_compare_exchange_n(cell, &seen, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            continue;
        /* Whoever has written another site meanwhile has one that fits. */
        __atomic_compare_exchange_n(sites, &was, words, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        return;
    }
}

static bool is_condemned(u32 slot)
{
    u32 epoch = slot_epoch(slot);
    return epoch >= READERS_FIRST ? readers_condemned(epoch)
                                  : epoch_blocks[epoch / EPOCH_BLOCK].state == BLOCK_CONDEMNED;
}

static void page_move(u64 *cells, u64 *sites, u32 n, void *a)
{
    u64 clean = 0;
    for (u32 i = 0; i < n; i++) {
        u64 cell = __atomic_load_n(&cells[i], __ATOMIC_RELAXED);
        if (cell == clean || cell_is_crowd(cell))
            continue;
        if (is_condemned((u32)cell) || is_condemned((u32)(cell >> 32)))
            cell_move(a, &cells[i], &sites[i]);
        else
            clean = cell;
    }
}

void move_all(struct accesses *a)
{
    shadow_each_page(page_move, a);
    for (u32 c = 1, used = crowd_used(); c < used; c++)
        for (u32 i = 0; i < CROWD_SLOTS && i < __atomic_load_n(&crowd_at(c)->n, __ATOMIC_RELAXED); i++)
            pair_move(a, &crowd_at(c)->slots[i]);
}

void move_finish(void)
{
    u32 used = (dest_next + EPOCH_BLOCK - 1) / EPOCH_BLOCK, age = ~0u;
    for (u32 b = 1; b < epoch_limit; b++) {
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
