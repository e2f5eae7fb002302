/* Births, deaths and names of locks and of what threads wait on. Called by interceptors' slow paths.
 * Takes RANK_TABLE (through model/objects). May allocate arena records. */
#include "analyze/internal.h"

#define MUTEX_KIND_OFFSET 16u /* pthread_mutex_t.__data.__kind on x86-64 */
#define MUTEX_KIND_DESTROYED (-1)

/* Was the memory given a new life by a plain store (a static initialiser) since it was destroyed? Only mutexes tell:
 * glibc marks destroyed ones in their type field. Semaphores have no static initialiser. */
static bool revived_by_store(const struct object_head *o)
{
    switch (o->kind) {
    case OBJ_MUTEX:
        return *(const volatile int *)(o->addr + MUTEX_KIND_OFFSET) != MUTEX_KIND_DESTROYED;
    case OBJ_SEM:
        return false;
    case OBJ_CUSTOM: /* the program has told of its making; so it would tell again */
        return !(o->attrs & ATTR_INITIALISED);
    default:
        return true; /* cannot be told apart from a static initialiser: stay silent */
    }
}

static void birth_take(struct thread *t, u64 addr, bool init, const u64 *fp, struct object_birth *b)
{
    __builtin_memset(b, 0, sizeof *b);
    b->init_stack = capture(t, fp);
    b->init_seen = init;
    b->thread = t->ref;
    if (engine_hooks.locate)
        engine_hooks.locate(t, addr, fp, b);
}

/* What an annotation has said of the object at an address before its first use. */
struct told {
    ref_t name;
    u32 level;
};

static struct told told_of(u64 addr, enum object_kind kind, bool init)
{
    struct object_head *o = objects_get(addr);
    if (!o)
        o = objects_inherited(addr);
    if (!o || !(o->attrs & ATTR_TOLD) || o->state != OBJECT_LIVE || (o->kind == (u8)kind && !init))
        return (struct told){0, 0};
    struct told told = {object_birth(o)->name, ((struct lock_rec *)o)->level};
    if (o->process == objects_process) {
        __atomic_fetch_sub(&run()->objects_seen[OBJ_CUSTOM], 1, __ATOMIC_RELAXED);
        objects_kill(o, false, false);
    }
    return told;
}

static void told_apply(struct object_head *o, struct told told)
{
    if (told.name) {
        object_birth(o)->name = told.name;
        o->attrs |= ATTR_NAMED;
    }
    if (told.level && object_is_lock(o))
        ((struct lock_rec *)o)->level = told.level;
}

static struct object_head *object_make(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, bool init,
                                       const u64 *fp)
{
    struct object_birth birth;
    struct told told = told_of(addr, kind, init);
    const struct object_head *old = init ? NULL : objects_inherited(addr);
    if (old && (old->attrs & ATTR_TOLD) && old->kind != (u8)kind)
        old = NULL;
    if (old && old->kind == (u8)kind) { /* forked child: the same object, an identity of its own */
        birth = *object_birth((struct object_head *)(uintptr_t)old);
        attrs |= old->attrs;
        told.level = object_is_lock(old) ? ((const struct lock_rec *)(const void *)old)->level : 0;
    } else {
        birth_take(t, addr, init, fp, &birth);
    }
    u64 key[3];
    /* A spin lock's memory does not say whether processes share it: where it lies does. */
    bool shared = ((attrs & ATTR_SHARED) || (addr >> 63) || (kind == OBJ_SPIN && birth.region == REGION_SHARED)) &&
                  engine_hooks.shared_key && engine_hooks.shared_key(addr, key);
    if (shared)
        attrs |= ATTR_SHARED;
    else if (engine_hooks.shared_key)
        attrs &= ~(u32)ATTR_SHARED; /* marked so, in memory of its own */
    if (access_on)
        attrs |= ATTR_CLOCKED;
    if (measure_on && !(attrs & ATTR_ONCE)) /* flags are waited for once, if at all */
        attrs |= ATTR_MEASURED;
    bool fresh;
    struct object_head *o = objects_make(addr, kind, attrs, &birth, shared ? key : NULL, &fresh);
    if (o && fresh) {
        o->framed = birth.region == REGION_STACK && birth.alloc_size && !(o->attrs & ATTR_SHARED);
        told_apply(o, told);
        /* Held at the fork by a thread that does not exist here: its owner stays the parent's thread
         * (engine_fork_prepare noted it). */
        if (old && object_is_lock(o))
            ((struct lock_rec *)o)->owner = engine_fork_owner(addr);
        pin_thread(birth.thread);
        if (init && kind != OBJ_SEM && object_is_lock(o) && birth.region == REGION_HEAP) {
            struct lock_rec *l = (struct lock_rec *)o;
            l->born = 1;
            l->born_operations = (u32)t->rec->operations;
            l->born_held = t->rec->nheld;
        }
        if (old && kind == OBJ_SEM) {
            struct lock_rec *l = (struct lock_rec *)o;
            const struct lock_rec *p = (const struct lock_rec *)(const void *)old;
            l->sem_initial = p->sem_initial;
            l->sem_posts = p->sem_posts;
            l->sem_takes = p->sem_takes;
        } else if (kind == OBJ_SEM && !init && engine_hooks.sem_value) {
            int v = engine_hooks.sem_value(addr);
            ((struct lock_rec *)o)->sem_initial = v > 0 ? (u32)v : 0;
        }
    }
    return o;
}

static void told_destroyed(struct thread *t, struct object_head *o, const u64 *fp)
{
    misuse_report(t, RULE_USE_DESTROYED, VERDICT_OBSERVED, o, 0, 0, capture(t, fp), EVENT_ACQUIRE);
}

static void object_end(struct thread *t, struct object_head *o, bool keep_address);

static bool frame_gone(struct object_head *o)
{
    return o->framed && birth_frame_gone(o, object_birth(o));
}

/* What stood there before ends. In case it was this one after all: what its holders did is known to the next. */
static void frame_end(struct thread *t, struct object_head *o)
{
    if (access_on && object_is_lock(o) && !((struct lock_rec *)o)->owner)
        hb_lock_unknown(t, (struct lock_rec *)o);
    object_end(t, o, false);
}

struct object_head *object_find(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, const u64 *fp)
{
    struct object_head *o = objects_get(addr);
    if (snarl_likely(o && o->state == OBJECT_LIVE && o->kind == (u8)kind)) {
        if (snarl_likely(!frame_gone(o)))
            return o;
        frame_end(t, o);
        o = NULL;
    }
    if (o && o->state == OBJECT_DEAD && o->kind == (u8)kind && !revived_by_store(o) && !frame_gone(o))
        told_destroyed(t, o, fp);
    return object_make(t, addr, kind, attrs, false, fp);
}

static struct object_head *hidden(u64 addr, enum object_kind kind)
{
    struct lock_rec *l = kind == OBJ_MUTEX ? interpreter_mutex(addr) : NULL;
    return l ? &l->head : NULL;
}

struct lock_rec *engine_lock_find(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, const u64 *fp)
{
    struct object_head *o =
        snarl_unlikely(interpreter_hides(addr)) ? hidden(addr, kind) : object_find(t, addr, kind, attrs, fp);
    if (!o)
        return LOCK_AT(run()->nobody);
    struct lock_slot *s = &t->lock_cache[lock_cache_index(addr)];
    s->addr = addr;
    s->lock = arena_ref(o);
    s->uid = o->uid;
    return (struct lock_rec *)o;
}

struct sync_rec *sync_find(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, const u64 *fp)
{
    return (struct sync_rec *)object_find(t, addr, kind, attrs, fp);
}

struct lock_rec *engine_lock_peek(u64 addr)
{
    struct object_head *o = objects_get(addr);
    return o && object_is_lock(o) && o->state == OBJECT_LIVE && !interpreter_hides(addr) ? (struct lock_rec *)o : NULL;
}

/* Ends an object's life. Reports nothing. */
static void object_end(struct thread *t, struct object_head *o, bool keep_address)
{
    bool busy = false;
    if (object_is_lock(o)) {
        struct lock_rec *l = (struct lock_rec *)o;
        busy = l->owner || l->waiters || holder_of(arena_ref(l), 0);
        if (l->nodes)
            order_lock_died();
        hb_lock_gone(t, l);
    } else {
        busy = ((struct sync_rec *)o)->waiters != 0;
    }
    objects_kill(o, keep_address, busy);
}

/* Who holds it, when its end would be a bug. Semaphores and once-flags may end in any state. */
static ref_t held_at_end(const struct lock_rec *l)
{
    if (l->head.kind == OBJ_SEM || (l->head.attrs & (ATTR_ONCE | ATTR_FILE | ATTR_PROCESS_OWNED)))
        return 0;
    ref_t owner = l->owner ? l->owner : object_has_readers(&l->head) ? holder_of(arena_ref(l), 0) : 0;
    /* A child of fork cleaning up what another thread held is doing the only thing it can. */
    return owner && THREAD_AT(owner)->process == engine_process_ref ? owner : 0;
}

void engine_lock_destroy_refused(struct thread *t, struct lock_rec *l, const u64 *fp)
{
    ref_t owner = l->head.attrs & ATTR_UNTRACKED ? 0 : held_at_end(l);
    if (owner)
        misuse_report(t, RULE_DESTROY_LOCKED, VERDICT_OBSERVED, &l->head, FINDING_UNLOCK_FAILED, owner, capture(t, fp),
                      EVENT_DESTROY);
}

static void end_checked(struct thread *t, struct object_head *o, bool keep_address, enum event_action how,
                        const u64 *fp)
{
    if (object_is_lock(o) && o->state == OBJECT_LIVE) {
        struct lock_rec *l = (struct lock_rec *)o;
        ref_t owner = held_at_end(l);
        if (owner) {
            int i = held_find(t, arena_ref(l));
            if (i < 0 || !(t->held[i].how & HOW_INHERITED))
                misuse_report(t, RULE_DESTROY_LOCKED, VERDICT_OBSERVED, o, 0, owner, capture(t, fp), EVENT_DESTROY);
            if (i >= 0)
                held_remove(t, (u32)i);
        } else if (access_on) {
            lock_ends(t, l, how, fp);
        }
    }
    object_end(t, o, keep_address);
}

void engine_lock_init(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, u32 sem_value, const u64 *fp)
{
    struct object_head *o = objects_get(addr);
    if (interpreter_hides(addr))
        return;
    if (o && o->state == OBJECT_LIVE && !(o->attrs & ATTR_TOLD))
        end_checked(t, o, false, EVENT_INIT, fp);
    else if (o && o->state == OBJECT_DEAD)
        objects_kill(o, false, false);
    if (kind == OBJ_SEM && sem_value == 1)
        attrs |= ATTR_LOCKLIKE;
    o = object_make(t, addr, kind, attrs | ATTR_INITIALISED, true, fp);
    if (o && kind == OBJ_SEM) {
        struct lock_rec *s = (struct lock_rec *)o;
        s->sem_initial = sem_value;
        s->sem_posts = s->sem_takes = 0;
    } else if (o && access_on) {
        lock_begins(t, (struct lock_rec *)o, fp);
    }
}

void engine_lock_destroy(struct thread *t, u64 addr, enum object_kind kind, const u64 *fp)
{
    struct object_head *o = objects_get(addr);
    if (interpreter_hides(addr))
        return;
    if (!o)
        o = object_make(t, addr, kind, 0, false, fp); /* never used: remembered, so that a use from here on is seen */
    if (!o || o->kind != (u8)kind)
        return;
    if (o->state == OBJECT_DEAD) {
        if (!revived_by_store(o))
            told_destroyed(t, o, fp);
        return;
    }
    end_checked(t, o, true, EVENT_DESTROY, fp);
}

void engine_lock_name(struct lock_rec *l, const char *name)
{
    if (l->head.attrs & ATTR_NAMED || !l->head.uid)
        return;
    ref_t s = string_intern(name, (u32)__builtin_strlen(name));
    if (s) {
        l->birth.name = s;
        l->measured = 0; /* it may be told apart from others now */
        l->head.attrs |= ATTR_NAMED;
    }
}

struct lock_rec *engine_lock_told(struct thread *t, u64 addr, const u64 *fp)
{
    struct object_head *o = objects_get(addr);
    if (o && o->state == OBJECT_LIVE && !frame_gone(o))
        return object_is_lock(o) ? (struct lock_rec *)o : NULL;
    return interpreter_hides(addr) ? NULL : engine_lock_find(t, addr, OBJ_CUSTOM, ATTR_TOLD, fp);
}

void engine_lock_level(struct lock_rec *l, u32 level)
{
    if (!(l->head.attrs & ATTR_UNTRACKED))
        l->level = level;
}

struct gone {
    struct thread *t;
    const u64 *fp;
};

static void gone_one(struct object_head *o, void *arg)
{
    const struct gone *g = arg;
    if (o->state == OBJECT_DEAD)
        objects_kill(o, false, false);
    else
        end_checked(g->t, o, false, EVENT_FREE, g->fp);
}

void engine_memory_gone(struct thread *t, u64 addr, u64 size, const u64 *fp)
{
    struct gone g = {t, fp};
    objects_in_range(addr, size, gone_one, &g);
}
