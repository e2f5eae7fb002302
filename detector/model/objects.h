/* The table of this process's synchronisation objects: address -> record, births and deaths.
 *
 * Objects that processes share are found through a run-wide table of (device, inode, offset) and have one record.
 * Thread-safe; objects_get is lock-free, the others take RANK_TABLE. */
#ifndef SNARL_MODEL_OBJECTS_H
#define SNARL_MODEL_OBJECTS_H

#include "base/addrmap.h"
#include "model/object.h"

/* One bit per hash of a 4 KiB page that has ever carried an object of this process; tested on every free(). */
#define PAGE_FILTER_BITS (1u << 18)
extern u64 object_page_filter[PAGE_FILTER_BITS / 64] __attribute__((visibility("hidden")));
static inline u64 object_page_hash(u64 addr)
{
    return (addr >> 12) * 0x9e3779b97f4a7c15ULL >> 46;
}

/* The process that new records belong to; set by the engine at start and in a forked child. */
extern ref_t objects_process __attribute__((visibility("hidden")));

/* The record last made for addr in this process (live or destroyed), or NULL. */
struct object_head *objects_get(u64 addr);

/* Returns the live record of this kind at addr, making it when there is none. `key` (may be NULL): run-wide identity of
 * a shared object. `*fresh` tells whether it was made by this call. NULL when the arena is full. */
struct object_head *objects_make(u64 addr, enum object_kind kind, u32 attrs, const struct object_birth *birth,
                                 const u64 *key, bool *fresh);

/* The object is gone (destroyed: its address still answers, with state OBJECT_DEAD; else the address is forgotten too).
 * `busy`: somebody holds it or waits for it, so the record must stay. */
void objects_kill(struct object_head *o, bool keep_address, bool busy);

/* Calls fn for every object in [addr, addr + size). fn may kill it. */
void objects_in_range(u64 addr, u64 size, void (*fn)(struct object_head *o, void *arg), void *arg);

/* Forked child: the parent's table is put aside (objects_inherited answers from it) and a new, empty one begins. */
void objects_after_fork(void);
/* What the parent had at addr at the fork, or NULL. */
struct object_head *objects_inherited(u64 addr);
void objects_lock_for_fork(u64 *mask);
void objects_unlock_after_fork(u64 mask);

/* The birth part of a record, whichever pool it is in. */
struct object_birth *object_birth(struct object_head *o);

static inline bool object_is_lock(const struct object_head *o)
{
    return o->kind >= OBJ_MUTEX && o->kind <= OBJ_CUSTOM;
}
/* May be held by many at once, each of which gives its own hold back. */
static inline bool object_has_readers(const struct object_head *o)
{
    return o->kind == OBJ_RWLOCK || o->kind == OBJ_CUSTOM || o->kind == OBJ_FLOCK || o->kind == OBJ_FCNTL;
}

#endif
