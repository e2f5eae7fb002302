/* What processes share, as the arena knows it: objects, who has them mapped, pages of records. Called when mappings come
 * and go, and by accesses for pages that the thread has not met lately. Takes RANK_SHARED, and RANK_ARENA inside;
 * allocates arena records.
 *
 * A process that was killed has left its uses behind: they count only while it lives. */
#include "analyze/shared.h"

#include "base/hash.h"

static void bucket_init(struct shared_bucket *b, u32 n)
{
    for (u32 i = 0; i < n; i++)
        b[i].lock.rank = RANK_SHARED;
}

struct shared_run *shared_run(void)
{
    struct run_state *rs = run();
    ref_t r = __atomic_load_n(&rs->shared, __ATOMIC_ACQUIRE), none = 0;
    if (snarl_likely(r))
        return arena_at(r);
    r = arena_blob(sizeof(struct shared_run));
    if (!r) {
        run_lost(LOSS_arena_full);
        return NULL;
    }
    struct shared_run *s = arena_at(r);
    bucket_init(&s->objects, 1);
    bucket_init(s->pages, SHARED_BUCKETS);
    bucket_init(s->guards, SHARED_GUARDS);
    bucket_init(s->releases, WIDE_BUCKETS);
    if (!__atomic_compare_exchange_n(&rs->shared, &none, r, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        s = arena_at(none);
    return s;
}

/* ---- who has it mapped; under the lock of `objects` ---- */

static struct shared_object *object_at(ref_t r)
{
    return arena_at(r);
}
static struct shared_user *user_at(ref_t r)
{
    return arena_at(r);
}

static bool lives(ref_t process)
{
    const struct process_rec *p = PROCESS_AT(process);
    return process == engine_process_ref || (p->state == PROCESS_RUNNING && !ilock_process_gone(p->pid));
}

static void user_add(struct shared_object *o, u32 mappings)
{
    for (ref_t u = o->users; u; u = user_at(u)->next) {
        if (user_at(u)->process != engine_process_ref)
            continue;
        user_at(u)->mappings += mappings;
        return;
    }
    ref_t u = arena_alloc(POOL_SHARED_USER, sizeof(struct shared_user));
    if (!u) { /* nobody can tell when it ends any more */
        o->forks++;
        return;
    }
    *user_at(u) = (struct shared_user){.next = o->users, .process = engine_process_ref, .mappings = mappings};
    __atomic_store_n(&o->users, u, __ATOMIC_RELEASE);
}

/* Does a living process have it? Those that have ended leave the list. */
static bool is_used(struct shared_object *o)
{
    for (ref_t *at = &o->users; *at;) {
        ref_t u = *at;
        if (user_at(u)->mappings && lives(user_at(u)->process)) {
            at = &user_at(u)->next;
            continue;
        }
        *at = user_at(u)->next;
        arena_free(POOL_SHARED_USER, u);
    }
    return o->users || o->forks;
}

/* ---- pages ---- */

static struct shared_bucket *bucket_of(struct shared_run *s, ref_t object, u64 number)
{
    return &s->pages[hash_combine(object, number) % SHARED_BUCKETS];
}

static void records_free(ref_t list)
{
    while (list) {
        ref_t next = ((struct shared_record *)arena_at(list))->next;
        arena_free(POOL_SHARED_RECORD, list);
        list = next;
    }
}

static void page_free(ref_t r)
{
    struct shared_page *p = arena_at(r);
    for (u32 i = 0; i < SHARED_GRANULES; i++)
        records_free(p->granule[i].next);
    arena_free(POOL_SHARED_PAGE, r);
}

static void pages_end(struct shared_run *s, ref_t object)
{
    for (u32 b = 0; b < SHARED_BUCKETS; b++) {
        if (!__atomic_load_n(&s->pages[b].first, __ATOMIC_RELAXED))
            continue;
        u64 mask = ilock_acquire(&s->pages[b].lock);
        for (ref_t *at = &s->pages[b].first; *at;) {
            ref_t r = *at;
            struct shared_page *p = arena_at(r);
            if (p->object != object) {
                at = &p->next;
                continue;
            }
            *at = p->next;
            page_free(r);
        }
        ilock_release(&s->pages[b].lock, mask);
    }
}

struct shared_page *shared_page(ref_t object, u64 offset)
{
    struct shared_run *s = shared_run();
    u64 number = offset / SHARED_PAGE_BYTES;
    struct shared_bucket *b = bucket_of(s, object, number);
    u64 mask = ilock_acquire(&b->lock);
    struct shared_page *p = NULL;
    ref_t r = b->first;
    for (; r; r = p->next) {
        p = arena_at(r);
        if (p->object == object && p->number == number)
            break;
    }
    if (!r && (r = arena_alloc(POOL_SHARED_PAGE, sizeof *p))) {
        p = arena_at(r);
        p->object = object;
        p->number = number;
        p->next = b->first;
        __atomic_store_n(&b->first, r, __ATOMIC_RELEASE);
    }
    ilock_release(&b->lock, mask);
    if (!r)
        run_lost(LOSS_arena_full);
    return r ? p : NULL;
}

/* ---- objects ---- */

static ref_t object_known(const struct shared_run *s, u64 device, u64 inode)
{
    ref_t r = s->objects.first;
    while (r && (object_at(r)->device != device || object_at(r)->inode != inode))
        r = object_at(r)->next;
    return r;
}

static ref_t object_make(struct shared_run *s, u64 device, u64 inode)
{
    ref_t r = arena_alloc(POOL_SHARED_OBJECT, sizeof(struct shared_object));
    if (!r)
        return 0;
    struct shared_object *o = object_at(r);
    o->device = device;
    o->inode = inode;
    o->number = ++s->next_number;
    o->next = s->objects.first;
    __atomic_store_n(&s->objects.first, r, __ATOMIC_RELEASE);
    return r;
}

/* Leaves the list: nobody finds it any more. */
static void object_end(struct shared_run *s, ref_t object)
{
    for (ref_t *at = &s->objects.first; *at; at = &object_at(*at)->next) {
        if (*at != object)
            continue;
        __atomic_store_n(at, object_at(object)->next, __ATOMIC_RELEASE);
        break;
    }
}

static void object_free(struct shared_run *s, ref_t object)
{
    pages_end(s, object);
    arena_free(POOL_SHARED_OBJECT, object);
}

ref_t shared_attach(u64 device, u64 inode, bool writes)
{
    struct shared_run *s = shared_run();
    if (!s)
        return 0;
    u64 mask = ilock_acquire(&s->objects.lock);
    ref_t r = object_known(s, device, inode), ended = 0;
    if (r && !is_used(object_at(r))) { /* what has that number now is another one */
        ended = r;
        object_end(s, r);
    }
    if (!r || ended)
        r = object_make(s, device, inode);
    if (r) {
        user_add(object_at(r), 1);
        object_at(r)->writers |= writes;
    }
    ilock_release(&s->objects.lock, mask);
    if (ended)
        object_free(s, ended);
    return r;
}

void shared_detach(ref_t object)
{
    struct shared_run *s = shared_run();
    u64 mask = ilock_acquire(&s->objects.lock);
    struct shared_object *o = object_at(object);
    for (ref_t u = o->users; u; u = user_at(u)->next)
        if (user_at(u)->process == engine_process_ref && user_at(u)->mappings)
            user_at(u)->mappings--;
    bool ends = !is_used(o);
    if (ends)
        object_end(s, object);
    ilock_release(&s->objects.lock, mask);
    if (ends)
        object_free(s, object);
}

void shared_forks(ref_t object)
{
    __atomic_fetch_add(&object_at(object)->forks, 1, __ATOMIC_SEQ_CST);
}

void shared_forked(ref_t object, u32 mappings)
{
    struct shared_run *s = shared_run();
    u64 mask = ilock_acquire(&s->objects.lock);
    user_add(object_at(object), mappings);
    ilock_release(&s->objects.lock, mask);
    __atomic_fetch_sub(&object_at(object)->forks, 1, __ATOMIC_SEQ_CST);
}

struct shared_bucket *shared_guard(const struct shared_page *page, u32 granule)
{
    return &shared_run()->guards[hash_combine(arena_ref(page), granule) % SHARED_GUARDS];
}

void shared_forget_bytes(ref_t object, u64 offset, u64 size)
{
    for (u64 at = offset & ~(u64)(GRANULE - 1), end = offset + size; at < end;) {
        struct shared_page *p = shared_page(object, at);
        u64 next = (at / SHARED_PAGE_BYTES + 1) * SHARED_PAGE_BYTES;
        for (; p && at < end && at < next; at += GRANULE) {
            struct shared_record *g = &p->granule[at % SHARED_PAGE_BYTES / GRANULE];
            struct shared_bucket *guard = shared_guard(p, at % SHARED_PAGE_BYTES / GRANULE);
            u64 mask = ilock_acquire(&guard->lock);
            ref_t list = g->next;
            g->mask = 0;
            g->next = 0;
            ilock_release(&guard->lock, mask);
            records_free(list);
        }
        at = next;
    }
}
