/* Table of synchronisation objects. Called by the engine. Takes RANK_TABLE (private to the process) and, for objects
 * shared between processes, RANK_STACKS around the run-wide table. Allocates arena records and table memory. */
#include "objects.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/ilock.h"
#include "model/run.h"

#define SHARED_BUCKETS 16384u

static struct addrmap table, inherited;
static struct ilock table_lock = ILOCK_INIT(RANK_TABLE);
u64 object_page_filter[PAGE_FILTER_BITS / 64];
ref_t objects_process;
/* One bit per hash of a 64-byte line that has ever carried an object. */
#define LINE_FILTER_BITS (1u << 20)
static u64 line_filter[LINE_FILTER_BITS / 64];
static bool odd_addresses; /* a lock of the program's own making lies at an address that is no multiple of 4 */

/* Entry of the run-wide table of shared objects. */
struct shared_entry {
    ref_t next, object;
    u64 key[3];
};

static inline u64 line_hash(u64 addr)
{
    return (addr >> 6) * 0x9e3779b97f4a7c15ULL >> 44;
}

static void filters_add(u64 addr)
{
    u64 p = object_page_hash(addr), l = line_hash(addr);
    __atomic_fetch_or(&object_page_filter[p >> 6], 1ULL << (p & 63), __ATOMIC_RELAXED);
    __atomic_fetch_or(&line_filter[l >> 6], 1ULL << (l & 63), __ATOMIC_RELAXED);
    if (addr & 3)
        __atomic_store_n(&odd_addresses, true, __ATOMIC_RELAXED);
}

struct object_birth *object_birth(struct object_head *o)
{
    return object_is_lock(o) ? &((struct lock_rec *)o)->birth : &((struct sync_rec *)o)->birth;
}

struct object_head *objects_get(u64 addr)
{
    ref_t r = addrmap_get(&table, addr);
    if (!r)
        return NULL;
    struct object_head *o = arena_at(r);
    return o->addr == addr || (o->attrs & ATTR_SHARED) ? o : NULL;
}

struct object_head *objects_inherited(u64 addr)
{
    ref_t r = addrmap_get(&inherited, addr);
    struct object_head *o = r ? arena_at(r) : NULL;
    return o && o->addr == addr && o->state == OBJECT_LIVE ? o : NULL;
}

static struct object_head *record_new(u64 addr, enum object_kind kind, u32 attrs, const struct object_birth *birth)
{
    bool lock = kind >= OBJ_MUTEX && kind <= OBJ_CUSTOM;
    ref_t r = lock ? arena_alloc(POOL_LOCK, sizeof(struct lock_rec)) : arena_alloc(POOL_SYNC, sizeof(struct sync_rec));
    if (!r) {
        run_lost(LOSS_arena_full);
        return NULL;
    }
    struct object_head *o = arena_at(r);
    o->addr = addr;
    o->kind = (u8)kind;
    o->attrs = attrs;
    o->process = attrs & ATTR_SHARED ? 0 : objects_process;
    if (birth)
        *object_birth(o) = *birth;
    if (lock)
        ((struct lock_rec *)o)->tangle = r;
    o->state = OBJECT_LIVE;
    __atomic_store_n(&o->uid, __atomic_add_fetch(&run()->next_uid, 1, __ATOMIC_RELAXED), __ATOMIC_RELEASE);
    __atomic_fetch_add(&run()->objects_seen[kind & 15], 1, __ATOMIC_RELAXED);
    return o;
}

/* Finds or makes the record of a shared object. */
static struct object_head *shared_make(u64 addr, enum object_kind kind, u32 attrs, const struct object_birth *birth,
                                       const u64 *key, bool *fresh)
{
    struct run_state *rs = run();
    struct object_head *o = NULL;
    u64 mask = ilock_acquire(&rs->stacks_lock);
    if (!rs->shared_table) {
        rs->shared_table = arena_blob(SHARED_BUCKETS * sizeof(ref_t));
        rs->shared_table_size = SHARED_BUCKETS;
    }
    if (rs->shared_table) {
        ref_t *head = (ref_t *)arena_at(rs->shared_table) + hash_bytes(key, 3 * sizeof(u64), kind) % SHARED_BUCKETS;
        struct shared_entry *e = NULL;
        ref_t r = *head;
        for (; r; r = e->next) {
            e = arena_at(r);
            if (!__builtin_memcmp(e->key, key, sizeof e->key))
                break;
        }
        if (r) {
            o = arena_at(e->object);
            if (o->state != OBJECT_LIVE || o->kind != (u8)kind)
                o = NULL;
        }
        if (!o && (o = record_new(addr, kind, attrs | ATTR_SHARED, birth))) {
            *fresh = true;
            o->pinned |= PIN_TABLE;
            if (!r && (r = arena_blob(sizeof *e))) {
                e = arena_at(r);
                __builtin_memcpy(e->key, key, sizeof e->key);
                e->next = *head;
                rs->nshared++;
                __atomic_store_n(head, r, __ATOMIC_RELEASE);
            }
            if (r)
                e->object = arena_ref(o);
        }
    }
    ilock_release(&rs->stacks_lock, mask);
    return o;
}

struct object_head *objects_make(u64 addr, enum object_kind kind, u32 attrs, const struct object_birth *birth,
                                 const u64 *key, bool *fresh)
{
    u64 mask = ilock_acquire(&table_lock);
    struct object_head *o = objects_get(addr);
    *fresh = false;
    if (!o || o->state != OBJECT_LIVE || o->kind != (u8)kind) {
        if (o && o->state == OBJECT_DEAD && !o->pinned) { /* destroyed earlier, its address kept for use-destroyed */
            addrmap_set(&table, addr, 0);
            arena_free(object_is_lock(o) ? POOL_LOCK : POOL_SYNC, arena_ref(o));
        }
        if (key) {
            o = shared_make(addr, kind, attrs, birth, key, fresh);
        } else {
            o = record_new(addr, kind, attrs, birth);
            *fresh = true;
        }
        if (o && addrmap_set(&table, addr, arena_ref(o)))
            o = NULL;
        filters_add(addr);
    }
    ilock_release(&table_lock, mask);
    return o;
}

void objects_kill(struct object_head *o, bool keep_address, bool busy)
{
    u64 mask = ilock_acquire(&table_lock);
    u64 addr = o->addr;
    bool lock = object_is_lock(o);
    if (o->state == OBJECT_LIVE && !(o->attrs & ATTR_SHARED && !keep_address)) {
        __atomic_store_n(&o->uid, 0, __ATOMIC_RELEASE);
        o->state = OBJECT_DEAD;
    }
    if (busy)
        o->pinned |= PIN_BUSY;
    if (!keep_address) {
        if (addrmap_get(&table, addr) == arena_ref(o))
            addrmap_set(&table, addr, 0);
        if (!o->pinned && o->state == OBJECT_DEAD)
            arena_free(lock ? POOL_LOCK : POOL_SYNC, arena_ref(o));
    }
    ilock_release(&table_lock, mask);
}

struct range_call {
    void (*fn)(struct object_head *, void *);
    void *arg;
};

static bool range_one(u64 addr, ref_t ref, void *arg)
{
    const struct range_call *c = arg;
    struct object_head *o = arena_at(ref);
    if (o->addr == addr)
        c->fn(o, c->arg);
    return true;
}

void objects_in_range(u64 addr, u64 size, void (*fn)(struct object_head *, void *), void *arg)
{
    struct range_call call = {fn, arg};
    const struct addrmap_table *t = __atomic_load_n(&table.table, __ATOMIC_ACQUIRE);
    if (!t || addr + size < addr)
        return;
    if (size / 64 > t->mask) {
        addrmap_each(&table, addr, addr + size, range_one, &call);
        return;
    }
    u64 step = __atomic_load_n(&odd_addresses, __ATOMIC_RELAXED) ? 1 : 4;
    for (u64 line = addr & ~63ULL; line < addr + size; line += 64) {
        u64 l = line_hash(line);
        if (!(line_filter[l >> 6] >> (l & 63) & 1))
            continue;
        for (u64 a = line < addr ? (addr + step - 1) & ~(step - 1) : line; a < line + 64 && a < addr + size;
             a += step) {
            struct object_head *o = objects_get(a);
            if (o)
                fn(o, arg);
        }
    }
}

void objects_lock_for_fork(u64 *mask)
{
    *mask = ilock_acquire(&table_lock);
}

void objects_unlock_after_fork(u64 mask)
{
    ilock_release(&table_lock, mask);
}

void objects_after_fork(void)
{
    inherited = table;
    addrmap_reset(&table);
}
