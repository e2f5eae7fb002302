/* The lock-order graph: lock tree nodes, witnesses, interned holds. Called when a thread takes a lock in an order that
 * is news to it. Takes RANK_GRAPH. Allocates arena records.
 *
 * A thread asks its own cache first (hot.h); what arrives here is new to this thread in this must-order segment, so
 * everything here costs per order, not per operation. */
#include "analyze/internal.h"

#include "base/hash.h"

#define NODE_BUCKETS_FIRST 4096u
#define HOLD_BUCKETS 65536u
#define ORDER_TABLE_FIRST 2048u
#define ORDER_TABLE_MOST (1u << 18)
#define WITNESSES_PER_NODE 8u
#define REBUILD_LIMIT 2048u   /* entries of a held set resolved anew after an out-of-order release */
#define REBUILD_SHORTENED 64u /* what is kept of a longer one */

/* ---- tables ---- */

static bool node_table_grow(struct run_state *rs)
{
    u32 size = rs->node_table_size ? rs->node_table_size * 4 : NODE_BUCKETS_FIRST;
    ref_t fresh = arena_blob((u64)size * sizeof(ref_t));
    if (!fresh)
        return rs->node_table != 0;
    ref_t *to = arena_at(fresh);
    const ref_t *old = rs->node_table ? arena_at(rs->node_table) : NULL;
    for (u32 i = 0; old && i < rs->node_table_size; i++) {
        for (ref_t r = old[i], next; r; r = next) {
            struct order_node *n = NODE_AT(r);
            next = n->hash_next;
            u32 slot = (u32)(hash_combine(hash_combine(n->parent, n->lock), n->mode) & (size - 1));
            n->hash_next = to[slot];
            to[slot] = r;
        }
    }
    rs->node_table = fresh;
    rs->node_table_size = size;
    return true;
}

static ref_t node_child(ref_t parent, ref_t lock, u32 mode)
{
    struct run_state *rs = run();
    if ((!rs->node_table || rs->nnodes > rs->node_table_size) && !node_table_grow(rs))
        return 0;
    u64 hash = hash_combine(hash_combine(parent, lock), mode);
    ref_t *head = (ref_t *)arena_at(rs->node_table) + (hash & (rs->node_table_size - 1));
    for (ref_t r = *head; r; r = NODE_AT(r)->hash_next) {
        const struct order_node *n = NODE_AT(r);
        if (n->parent == parent && n->lock == lock && n->mode == mode)
            return r;
    }
    ref_t r = arena_alloc(POOL_NODE, sizeof(struct order_node));
    if (!r) {
        run_lost(LOSS_arena_full);
        return 0;
    }
    struct order_node *n = NODE_AT(r);
    n->parent = parent;
    n->lock = lock;
    n->mode = (u8)mode;
    n->depth = parent ? NODE_AT(parent)->depth + 1 : 0;
    if (parent) {
        n->next_sibling = NODE_AT(parent)->first_child;
        NODE_AT(parent)->first_child = r;
    }
    n->next_of_lock = LOCK_AT(lock)->nodes;
    LOCK_AT(lock)->head.pinned |= PIN_GRAPH;
    n->hash_next = *head;
    rs->nnodes++;
    *head = r;
    LOCK_AT(lock)->nodes = r; /* last: hot paths read it without the lock, as "an order is known" */
    return r;
}

/* The chain of holds that this one is in, if at all; NULL before the first. */
static ref_t *hold_chain(ref_t outer, const struct held_entry *e)
{
    ref_t table = __atomic_load_n(&run()->hold_table, __ATOMIC_ACQUIRE);
    u64 hash = hash_combine(hash_combine(outer, e->lock), (u64)e->stack << 8 ^ e->mode);
    return table ? (ref_t *)arena_at(table) + hash % HOLD_BUCKETS : NULL;
}

/* Without the lock, too: holds are never changed and never go away. */
static ref_t hold_find(ref_t *chain, ref_t outer, const struct held_entry *e)
{
    for (ref_t r = __atomic_load_n(chain, __ATOMIC_ACQUIRE); r; r = HOLD_AT(r)->hash_next) {
        const struct hold_rec *h = HOLD_AT(r);
        if (h->outer == outer && h->lock == e->lock && h->stack == e->stack && h->mode == e->mode &&
            h->how == (u8)e->how && (e->stack || h->site_pc == e->site_pc))
            return r;
    }
    return 0;
}

static ref_t hold_intern(ref_t outer, const struct held_entry *e)
{
    struct run_state *rs = run();
    if (!rs->hold_table) {
        __atomic_store_n(&rs->hold_table, arena_blob(HOLD_BUCKETS * sizeof(ref_t)), __ATOMIC_RELEASE);
        rs->hold_table_size = HOLD_BUCKETS;
        if (!rs->hold_table)
            return 0;
    }
    ref_t *head = hold_chain(outer, e), r = hold_find(head, outer, e);
    if (r)
        return r;
    r = arena_alloc(POOL_HOLD, sizeof(struct hold_rec));
    if (!r) {
        run_lost(LOSS_arena_full);
        return 0;
    }
    struct hold_rec *h = HOLD_AT(r);
    h->outer = outer;
    h->lock = e->lock;
    h->stack = e->stack;
    h->site_pc = e->site_pc;
    h->mode = e->mode;
    h->how = (u8)e->how;
    h->hash_next = *head;
    rs->nholds++;
    __atomic_store_n(head, r, __ATOMIC_RELEASE);
    return r;
}

ref_t order_hold(ref_t outer, const struct held_entry *e)
{
    struct run_state *rs = run();
    ref_t *chain = hold_chain(outer, e), r = chain ? hold_find(chain, outer, e) : 0;
    if (r)
        return r;
    u64 mask = ilock_acquire(&rs->graph_lock);
    r = hold_intern(outer, e);
    ilock_release(&rs->graph_lock, mask);
    return r;
}

/* ---- the held set as a path in the tree ---- */

/* ---- the thread's larger table of orders: cost per operation stays the same however many orders a thread knows
 * ---- */

/* The slot of this key, or the empty one where it would go. */
static struct order_slot *table_slot(struct order_slot *table, u32 mask, const struct order_slot *key)
{
    u64 hash =
        ((u64)key->parent << 32 | key->lock) * 0x9e3779b97f4a7c15ULL ^ (u64)key->seg_mode * 0xc2b2ae3d27d4eb4fULL;
    for (u32 i = (u32)(hash >> 40);; i++) {
        struct order_slot *s = &table[i & mask];
        if (!s->child || (s->parent == key->parent && s->lock == key->lock && s->seg_mode == key->seg_mode))
            return s;
    }
}

static void table_free(struct thread *t)
{
    sys_unmap(t->orders, t->orders ? ((u64)t->orders_mask + 1) * sizeof *t->orders : 0);
    t->orders = NULL;
    t->orders_mask = t->norders = 0;
}

/* At the limit it begins anew: orders of segments long past fill it as well. */
static bool table_grow(struct thread *t)
{
    u32 entries = t->orders ? 2 * (t->orders_mask + 1) : ORDER_TABLE_FIRST, mask = entries - 1;
    if (entries > ORDER_TABLE_MOST) {
        __builtin_memset(t->orders, 0, ((u64)t->orders_mask + 1) * sizeof *t->orders);
        t->norders = 0;
        return true;
    }
    struct order_slot *more = sys_map((u64)entries * sizeof *more);
    if (!more)
        return false;
    u32 n = t->norders;
    for (u32 i = 0; t->orders && i <= t->orders_mask; i++)
        if (t->orders[i].child)
            *table_slot(more, mask, &t->orders[i]) = t->orders[i];
    table_free(t);
    t->orders = more;
    t->orders_mask = mask;
    t->norders = n;
    return true;
}

static void table_put(struct thread *t, const struct order_slot *order)
{
    if ((!t->orders || (t->norders + 1) * 10 > (t->orders_mask + 1) * 6u) && !table_grow(t))
        return;
    struct order_slot *s = table_slot(t->orders, t->orders_mask, order);
    t->norders += !s->child;
    *s = *order;
}

void order_cache_drop(struct thread *t)
{
    __builtin_memset(t->order_cache, 0, sizeof t->order_cache);
    table_free(t);
}

static void cache_order(struct thread *t, ref_t parent, ref_t lock, u32 way, ref_t child)
{
    u32 seg_mode = t->rec->segment << 4 ^ way;
    struct order_slot *s = &t->order_cache[order_cache_index(parent, lock, seg_mode)];
    if (s->child && (s->parent != parent || s->lock != lock || s->seg_mode != seg_mode))
        table_put(t, s); /* make room, forget nothing */
    *s = (struct order_slot){.parent = parent, .lock = lock, .child = child, .seg_mode = seg_mode};
}

ref_t order_recall(struct thread *t, ref_t parent, ref_t lock, u32 seg_mode)
{
    struct order_slot key = {.parent = parent, .lock = lock, .seg_mode = seg_mode};
    const struct order_slot *known = table_slot(t->orders, t->orders_mask, &key);
    if (!known->child)
        return 0;
    struct order_slot found = *known, *s = &t->order_cache[order_cache_index(parent, lock, seg_mode)];
    if (s->child)
        table_put(t, s); /* may replace the table: `known` is no longer good */
    *s = found;
    return found.child;
}

static bool counts_as_held(const struct held_entry *h)
{
    return !(h->how & HOW_PHANTOM) && lock_is_lock(h->lock);
}

/* Resolves the nodes of all entries of t's held set; graph lock held. Returns the innermost one. */
static ref_t resolve_locked(struct thread *t)
{
    u32 n = t->rec->nheld, i = n;
    while (i > 0 && !t->held[i - 1].node)
        i--;
    if (n - i > REBUILD_LIMIT) {
        run_lost(LOSS_deep_context);
        i = n - REBUILD_SHORTENED;
        t->held[i ? i - 1 : 0].node = 0;
    }
    ref_t parent = i ? t->held[i - 1].node : 0;
    for (; i < n; i++) {
        struct held_entry *h = &t->held[i];
        if (counts_as_held(h)) {
            ref_t node = node_child(parent, h->lock, h->mode);
            if (!node)
                break;
            cache_order(t, parent, h->lock, h->mode, node);
            parent = node;
        }
        h->node = parent;
    }
    return t->node = parent;
}

/* Interned holds of all entries, with the stacks they were taken at; graph lock held. */
static ref_t holds_locked(struct thread *t)
{
    u32 n = t->rec->nheld, i = n;
    while (i > 0 && !t->held[i - 1].hold)
        i--;
    if (n - i > REBUILD_LIMIT)
        i = n - REBUILD_SHORTENED;
    ref_t outer = i && t->held[i - 1].hold ? t->held[i - 1].hold : 0;
    for (; i < n; i++) {
        if (counts_as_held(&t->held[i]))
            outer = hold_intern(outer, &t->held[i]);
        t->held[i].hold = outer;
    }
    return outer;
}

static void cache_check_epoch(struct thread *t)
{
    u32 epoch = __atomic_load_n(&run()->order_epoch, __ATOMIC_ACQUIRE);
    if (t->order_epoch == epoch)
        return;
    t->order_epoch = epoch;
    order_cache_drop(t);
    for (u32 i = 0; i < t->rec->nheld; i++)
        t->held[i].node = t->held[i].hold = 0;
    t->node = 0;
}

/* ---- witnesses ---- */

static ref_t witness_make(struct order_node *n)
{
    if (n->nwitnesses < WITNESSES_PER_NODE) {
        ref_t r = arena_alloc(POOL_WITNESS, sizeof(struct order_witness));
        if (r) {
            n->nwitnesses++;
            return r;
        }
        run_lost(LOSS_arena_full);
    }
    /* Replace the oldest, the one most likely to be ordered before whatever comes. */
    ref_t *link = &n->witnesses;
    if (!*link)
        return 0;
    while (WITNESS_AT(*link)->next)
        link = &WITNESS_AT(*link)->next;
    ref_t r = *link;
    *link = 0;
    run_lost(LOSS_witness_dropped);
    return r;
}

/* Nobody else can know this lock yet: its maker has given nothing away since, neither by letting go of a lock nor by a
 * post, a signal, a new thread (each counts as an operation). */
static bool is_unpublished(const struct thread *t, const struct held_entry *h)
{
    const struct lock_rec *l = LOCK_AT(h->lock);
    return l->head.kind != OBJ_SEM && l->born && l->birth.thread == t->ref &&
           (u32)t->rec->operations - l->born_operations == t->rec->nheld - l->born_held;
}

/* For the innermost locks of t's held set, in the order of order_witness.unpublished. */
static u16 unpublished_mask(const struct thread *t)
{
    u32 mask = 0, bit = 0;
    for (u32 i = t->rec->nheld; i-- > 0 && bit < 16;)
        if (counts_as_held(&t->held[i]))
            mask |= (u32)is_unpublished(t, &t->held[i]) << bit++;
    return (u16)mask;
}

/* Records that t took the node's lock in this way; graph lock held. Returns the witness when a cycle search is due,
 * else 0. */
static ref_t witness_add(struct thread *t, ref_t node, ref_t hold, u32 how, u16 unpublished)
{
    struct order_node *n = NODE_AT(node);
    ref_t segment = t->rec->segment;
    n->count++;
    for (ref_t r = n->witnesses; r; r = WITNESS_AT(r)->next) {
        struct order_witness *w = WITNESS_AT(r);
        if (w->thread != t->ref || ((w->how ^ how) & HOW_TIMED))
            continue;
        bool moved = w->segment != segment || (w->unpublished & ~unpublished);
        w->segment = segment;
        w->hold = hold;
        w->unpublished &= unpublished;
        w->how &= (u8)(how | ~HOW_PYTRY); /* a plain acquire is stronger evidence than an interpreter's try */
        run()->witness_changes += moved;
        return moved ? r : 0;
    }
    ref_t r = witness_make(n);
    if (!r)
        return 0;
    struct order_witness *w = WITNESS_AT(r);
    *w = (struct order_witness){.next = n->witnesses,
                                .node = node,
                                .thread = t->ref,
                                .segment = segment,
                                .first_segment = segment,
                                .hold = hold,
                                .how = (u8)how,
                                .unpublished = unpublished};
    n->witnesses = r;
    n->acquired = 1;
    run()->witness_changes++;
    pin_thread(t->ref);
    return r;
}

/* Edges for reachability: from the locks held outside, up to the innermost one whose own edges lead there anyway. */
bool order_edges_add(struct order_node *n)
{
    bool tangled = false, add = !n->edged;
    n->edged = 1;
    for (ref_t r = n->parent; r; r = NODE_AT(r)->parent) {
        const struct order_node *p = NODE_AT(r);
        if (p->lock != n->lock) {
            if (add)
                reach_add_edge(p->lock, n->lock);
            tangled |= reach_tangled(p->lock, n->lock);
        }
        if (p->acquired)
            break;
    }
    return tangled;
}

ref_t order_acquired(struct thread *t, ref_t lock, enum lock_mode mode, u32 how, ref_t stack, const u64 *fp)
{
    struct run_state *rs = run();
    u64 mask = ilock_acquire(&rs->graph_lock);
    cache_check_epoch(t);
    ref_t parent = resolve_locked(t);
    ref_t node = node_child(parent, lock, mode);
    u16 unpublished = unpublished_mask(t);
    if (node) {
        if (parent && !(how & HOW_TRY)) {
            struct held_entry e = {
                .lock = lock, .stack = stack, .mode = (u8)mode, .how = (u8)how, .site_pc = site_of(fp)};
            bool tangled = order_edges_add(NODE_AT(node));
            ref_t outer = holds_locked(t);
            ref_t w = witness_add(t, node, hold_intern(outer, &e), how, unpublished);
            if (w && tangled && detects(DETECT_DEADLOCK))
                cycles_search(w);
            if (snarl_unlikely(LOCK_AT(lock)->level))
                levels_check(t, &e);
        }
        if (!unpublished) /* the same order will be news when the lock is known to others */
            cache_order(t, parent, lock, order_way(mode, how), node);
    }
    ilock_release(&rs->graph_lock, mask);
    return node;
}
