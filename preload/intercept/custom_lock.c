/* Locks of the program's own making, names and levels, its allocators' blocks: what annotate.h offers. Called by the
 * files that carry an interface for programs, inside. Takes the engine's locks in slow paths only; arena records may be
 * made at first sight.
 *
 * Nothing of a custom lock is seen but what the program tells: no value to try, no moment at which it begins to wait.
 * So every announced acquire is published as a wait while other threads exist; the wait-for graph finds by itself that
 * nobody stands in the way of a lock that is free. An acquire can neither be made to fail (--on-deadlock=break) nor its
 * release be swallowed. */
#include "analyze/access.h"
#include "annotate.h"
#include "model/stack.h"

#define LIBRARY_ATTRS (ATTR_ONCE | ATTR_FILE | ATTR_INTERPRETER | ATTR_PYTHON)

static bool is_custom(const struct object_head *o)
{
    return o->kind == OBJ_CUSTOM && !(o->attrs & LIBRARY_ATTRS);
}

/* Something lives there that is watched by its own functions. */
static bool taken_by_other(u64 addr)
{
    const struct object_head *o = objects_get(addr);
    return o && o->state == OBJECT_LIVE && !is_custom(o);
}

/* NULL: not to be looked at. */
static struct lock_rec *custom_rec(struct thread *t, u64 addr, u32 attrs, const u64 *fp)
{
    return taken_by_other(addr) ? NULL : engine_lock(t, addr, OBJ_CUSTOM, attrs, fp);
}

/* t's innermost hold of the custom lock at addr, even if something else lives there by now. */
static struct held_entry *custom_hold(const struct thread *t, u64 addr)
{
    for (u32 i = t->rec->nheld; i-- > 0;) {
        const struct object_head *o = arena_at(t->held[i].lock);
        if (o->addr == addr && o->uid && is_custom(o))
            return &t->held[i];
    }
    return NULL;
}

/* ---- life ---- */

void custom_lock_created(struct thread *t, u64 lock, u32 attrs, const u64 *fp)
{
    if (!taken_by_other(lock))
        engine_lock_init(t, lock, OBJ_CUSTOM, attrs, 0, fp);
}

void custom_lock_seen(struct thread *t, u64 lock, u32 attrs, const u64 *fp)
{
    struct lock_rec *l = custom_rec(t, lock, attrs, fp);
    if (l && !(l->head.attrs & ATTR_UNTRACKED))
        __atomic_fetch_or(&l->head.attrs, attrs, __ATOMIC_RELAXED);
}

void custom_lock_destroyed(struct thread *t, u64 lock, const u64 *fp)
{
    if (!taken_by_other(lock))
        engine_lock_destroy(t, lock, OBJ_CUSTOM, fp);
}

/* ---- taking and giving back ---- */

/* Nobody but t can come between. */
static bool alone(const struct lock_rec *l)
{
    const struct process_rec *p = arena_at(engine_process());
    return l->head.process && !l->owner && __atomic_load_n(&p->nthreads_live, __ATOMIC_RELAXED) < 2;
}

void custom_lock_acquiring(struct thread *t, u64 lock, enum lock_mode mode, u32 how, const u64 *fp)
{
    struct lock_rec *l = how & HOW_TRY ? NULL : custom_rec(t, lock, 0, fp);
    if (!l || (l->owner == t->ref && (l->head.attrs & ATTR_RECURSIVE)) || alone(l))
        return;
    bool free = !l->owner;
    if (engine_lock_wait(t, l, mode, how, fp))
        engine_release(t, l, fp); /* the phantom that stands for a failed acquire: this one goes on */
    else if (free) {
        l->contended--; /* as far as is known */
        engine_wait_unknown(t);
    }
}

void custom_lock_acquired(struct thread *t, u64 lock, enum lock_mode mode, u32 how, const u64 *fp)
{
    struct lock_rec *l = custom_rec(t, lock, 0, fp);
    engine_wait_end(t);
    if (l)
        engine_acquired(t, l, mode, how, fp);
}

void custom_lock_failed(struct thread *t, u64 lock, const u64 *fp)
{
    struct lock_rec *l = custom_rec(t, lock, 0, fp);
    engine_wait_end(t);
    engine_wait_failed(t);
    if (l)
        engine_lock_busy(t, l, fp);
}

u32 custom_lock_released(struct thread *t, u64 lock, bool all, const u64 *fp)
{
    struct held_entry *h = custom_hold(t, lock);
    struct lock_rec *l = h ? arena_at(h->lock) : custom_rec(t, lock, 0, fp);
    u32 n = h && all ? h->depth : 1;
    for (u32 i = 0; l && i < n; i++)
        engine_release(t, l, fp);
    return h ? n : 0;
}

/* ---- names and levels ---- */

void any_lock_name(struct thread *t, u64 lock, const char *name, const u64 *fp)
{
    struct lock_rec *l = name && *name ? engine_lock_told(t, lock, fp) : NULL;
    if (l && !(l->head.attrs & ATTR_UNTRACKED))
        engine_lock_name(l, name);
}

void any_lock_level(struct thread *t, u64 lock, u32 level, const u64 *fp)
{
    struct lock_rec *l = engine_lock_told(t, lock, fp);
    if (l)
        engine_lock_level(l, level);
}

/* ---- memory ---- */

static void objects_end(struct thread *t, u64 addr, u64 size, const u64 *fp)
{
    if (engine_memory_has_objects(addr, size))
        engine_memory_gone(t, addr, size, fp);
}

void own_block_new(struct thread *t, u64 addr, u64 size, const u64 *fp)
{
    objects_end(t, addr, size, fp);
    access_block_new(t, addr, size, 0, fp);
}

void own_block_gone(struct thread *t, u64 addr, u64 size, const u64 *fp)
{
    objects_end(t, addr, size, fp);
    access_block_gone(t, addr, size, false, fp);
}

void intended_race(struct thread *t, u64 addr, u64 size, const char *why)
{
    (void)t;
    ref_t text = why && size ? string_intern(why, (u32)__builtin_strlen(why)) : 0;
    if (size)
        access_intended(addr, size, string_text(text));
}
