/* Forgetting the orders of dead locks. A cycle needs all its locks alive at once, so a dead lock's orders can close no
 * new one; they are kept for the lock-order graph until there are too many, then dropped together and counted. Called
 * when a lock with orders dies. Takes RANK_GRAPH; allocates nothing. */
#include "analyze/internal.h"

#include "base/hash.h"

#define DEAD_LIMIT 65536u

static bool is_dead(ref_t lock)
{
    return LOCK_AT(lock)->head.uid == 0;
}

/* Any lock on the node's path is dead. Paths are long only in odd programs; a dead parent was met before mostly. */
static bool node_is_dead(const struct order_node *n)
{
    for (; !is_dead(n->lock); n = NODE_AT(n->parent))
        if (!n->parent)
            return false;
    return true;
}

static bool hold_is_dead(const struct hold_rec *h)
{
    for (; !is_dead(h->lock); h = HOLD_AT(h->outer))
        if (!h->outer)
            return false;
    return true;
}

/* Takes dead nodes out of the hash table, collecting them in a list through hash_next. */
static ref_t sweep_nodes(struct run_state *rs)
{
    ref_t dead = 0, *bucket = rs->node_table ? arena_at(rs->node_table) : NULL;
    for (u32 i = 0; bucket && i < rs->node_table_size; i++) {
        for (ref_t *link = &bucket[i]; *link;) {
            ref_t r = *link;
            struct order_node *n = NODE_AT(r);
            if (!node_is_dead(n)) {
                link = &n->hash_next;
                continue;
            }
            *link = n->hash_next;
            n->hash_next = dead;
            dead = r;
        }
    }
    return dead;
}

static void sweep_holds(struct run_state *rs)
{
    ref_t dead = 0, *bucket = rs->hold_table ? arena_at(rs->hold_table) : NULL;
    for (u32 i = 0; bucket && i < rs->hold_table_size; i++) {
        for (ref_t *link = &bucket[i]; *link;) {
            ref_t r = *link;
            struct hold_rec *h = HOLD_AT(r);
            if (!hold_is_dead(h)) {
                link = &h->hash_next;
                continue;
            }
            *link = h->hash_next;
            h->hash_next = dead;
            dead = r;
        }
    }
    while (dead) {
        ref_t next = HOLD_AT(dead)->hash_next;
        arena_free(POOL_HOLD, dead);
        rs->nholds--;
        dead = next;
    }
}

/* Calls fn for every node left in the table. */
static void each_node(struct run_state *rs, void (*fn)(ref_t r, struct order_node *n))
{
    const ref_t *bucket = rs->node_table ? arena_at(rs->node_table) : NULL;
    for (u32 i = 0; bucket && i < rs->node_table_size; i++)
        for (ref_t r = bucket[i]; r; r = NODE_AT(r)->hash_next)
            fn(r, NODE_AT(r));
}

static void unlink_node(ref_t r, struct order_node *n)
{
    (void)r;
    n->first_child = n->next_sibling = n->next_of_lock = 0;
    LOCK_AT(n->lock)->nodes = 0;
}

static void relink_node(ref_t r, struct order_node *n)
{
    if (n->parent) {
        n->next_sibling = NODE_AT(n->parent)->first_child;
        NODE_AT(n->parent)->first_child = r;
    }
    n->next_of_lock = LOCK_AT(n->lock)->nodes;
    LOCK_AT(n->lock)->nodes = r;
    n->edged = 0;
}

static void add_edges(ref_t r, struct order_node *n)
{
    (void)r;
    if (n->acquired)
        order_edges_add(n);
}

static void free_nodes(struct run_state *rs, ref_t dead)
{
    for (ref_t r = dead; r; r = NODE_AT(r)->hash_next)
        unlink_node(r, NODE_AT(r));
    each_node(rs, unlink_node);
    each_node(rs, relink_node);
    while (dead) {
        struct order_node *n = NODE_AT(dead);
        ref_t next = n->hash_next, lock = n->lock;
        for (ref_t w = n->witnesses, after; w; w = after) {
            after = WITNESS_AT(w)->next;
            arena_free(POOL_WITNESS, w);
        }
        arena_free(POOL_NODE, dead);
        rs->nnodes--;
        run_lost(LOSS_orders_forgotten);
        struct lock_rec *l = LOCK_AT(lock);
        if (is_dead(lock) && !l->nodes)
            l->head.pinned &= (u8)~PIN_GRAPH;
        dead = next;
    }
}

/* Records of dead locks that nothing refers to any more. Those whose address still answers (destroyed, memory not
 * freed) stay. */
static void free_locks(void)
{
    struct arena_cursor c = {0, 0};
    for (ref_t r; (r = arena_next(POOL_LOCK, &c));) {
        struct lock_rec *l = LOCK_AT(r);
        if (l->head.state == OBJECT_DEAD && !l->head.pinned && l->head.process == engine_process_ref &&
            objects_get(l->head.addr) != &l->head)
            arena_free(POOL_LOCK, r);
    }
}

static void forget_dead(struct run_state *rs)
{
    ref_t dead = sweep_nodes(rs);
    sweep_holds(rs);
    free_nodes(rs, dead);
    reach_reset();
    each_node(rs, add_edges);
    free_locks();
    __atomic_fetch_add(&rs->order_epoch, 1, __ATOMIC_RELEASE);
}

void order_lock_died(void)
{
    struct run_state *rs = run();
    if (__atomic_add_fetch(&rs->zombies, 1, __ATOMIC_RELAXED) <= DEAD_LIMIT)
        return;
    u64 mask = ilock_acquire(&rs->graph_lock);
    if (rs->zombies > DEAD_LIMIT) {
        __atomic_store_n(&rs->zombies, 0, __ATOMIC_RELAXED);
        forget_dead(rs);
    }
    ilock_release(&rs->graph_lock, mask);
}
