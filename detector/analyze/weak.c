/* The weak order (weak.h): its clocks, and what sections of locks order. Called by hb_locks.c at acquires and releases, by
 * the slow path of accesses. Takes no internal lock: a list is its lock's holder's. Maps a state per thread, reserves a
 * table per process. */
#include "analyze/weak.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/reserve.h"

#define LOCKS (1u << 18)
#define RELEASES 6u
#define HOLDS_MOST 64u

/* Of a lock of this process. Written by the lock's exclusive holder; `leak` by anybody. Two cache lines. */
struct weak_lock {
    u32 writes;    /* of `left`: odd while one goes on. For who does not hold the lock */
    u32 forgotten; /* when what is in the strong clock was last given to all */
    bool leak;     /* the next release leaves all it knows to all */
    union {
        u32 next; /* free list */
        struct {
            bool all_strong;       /* `all` was left in the strong order */
            u8 hand, last, before; /* `last`: the newest of `left`; `before`: the one before it */
        };
    };
    struct sync_clock all;            /* for all who take it */
    struct sync_clock left[RELEASES]; /* by the last releases, of each thread the newest at least if there is room */
};
_Static_assert(sizeof(struct weak_lock) == 128, "lines that travel between processors");

bool weak_off;
u32 weak_limit = LOCKS, weak_releases = RELEASES;
u32 weak_forgotten = 1;
static struct weak_lock *locks;
static u32 used = 1;
static u64 free_list; /* number, and above it a count against ABA; linked through `next` */

int weak_start(void)
{
    if (!locks)
        locks = reserve_map((u64)LOCKS * sizeof *locks);
    return locks ? 0 : -ENOMEM;
}

/* ---- states ---- */

struct weak *weak_state(struct accesses *a)
{
    if (!detects(DETECT_RACE) || weak_off) {
        a->weak = NULL;
        return NULL;
    }
    if (!a->weak)
        a->weak = sys_map(sizeof *a->weak);
    if (!a->weak)
        return NULL;
    a->weak->fence = (struct sync_clock){0};
    a->weak->nsections = a->weak->naround = 0;
    a->weak->found = 0;
    a->weak->forgotten = __atomic_load_n(&weak_forgotten, __ATOMIC_RELAXED);
    return a->weak;
}

void weak_created(const struct accesses *a, struct accesses *child)
{
    const struct thread *t = a->owner;
    struct weak *w = child->weak;
    w->naround = a->weak->naround;
    __builtin_memcpy(w->around, a->weak->around, sizeof w->around);
    for (u32 i = 0; i < t->rec->nheld && w->naround < WEAK_AROUND; i++) {
        if (t->held[i].mode == MODE_SHARED)
            continue;
        w->around[w->naround++] = (struct weak_around){t->held[i].lock, t->ref, LOCK_AT(t->held[i].lock)->section};
    }
}

void weak_end(struct accesses *a)
{
    sync_clock_clear(&a->weak->clock, &a->weak->fence);
    clock_end_twin(&a->weak->clock);
}

/* The parent's records stay its own; the child's locks have others. */
void weak_forked(void)
{
    if (!locks)
        return;
    sys_call3(SYS_madvise, locks, (u64)used * sizeof *locks, MADV_DONTNEED);
    used = 1;
    free_list = 0;
}

void weak_forked_thread(struct accesses *a)
{
    clock_forked_twin(&a->weak->clock, &a->clock);
    a->weak->fence = (struct sync_clock){0};
    a->weak->nsections = a->weak->naround = 0;
}

SNARL_COLD void weak_forgets(struct accesses *a)
{
    a->weak->forgotten = __atomic_load_n(&weak_forgotten, __ATOMIC_SEQ_CST);
    clock_join(&a->weak->clock, &a->clock);
    accesses_learned(a);
}

/* ---- locks ---- */

static u32 take(void)
{
    u64 head = __atomic_load_n(&free_list, __ATOMIC_ACQUIRE);
    while ((u32)head) {
        u64 next = ((head >> 32) + 1) << 32 | __atomic_load_n(&locks[(u32)head].next, __ATOMIC_RELAXED);
        if (__atomic_compare_exchange_n(&free_list, &head, next, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
            return (u32)head;
    }
    u32 i = __atomic_load_n(&used, __ATOMIC_RELAXED);
    while (i < weak_limit && !__atomic_compare_exchange_n(&used, &i, i + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return i < weak_limit ? i : 0;
}

static void give(u32 i)
{
    u64 head = __atomic_load_n(&free_list, __ATOMIC_RELAXED), next;
    do {
        __atomic_store_n(&locks[i].next, (u32)head, __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | i;
    } while (!__atomic_compare_exchange_n(&free_list, &head, next, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* NULL: it has none, it orders always. */
static struct weak_lock *list_of(const struct lock_rec *l)
{
    u32 i = __atomic_load_n(&l->weak, __ATOMIC_ACQUIRE);
    return i && l->head.process == objects_process ? &locks[i] : NULL;
}

/* What guards data that snarl does not see, or is known in other processes, too. */
#define ATTRS_ALWAYS                                                                                                   \
    (ATTR_FILE | ATTR_ONCE | ATTR_INTERPRETER | ATTR_THREAD_END | ATTR_UNTRACKED | ATTR_PROCESS_OWNED | ATTR_SHARED)

static SNARL_COLD struct weak_lock *list_make(struct lock_rec *l)
{
    if ((l->head.attrs & ATTRS_ALWAYS) || l->head.kind == OBJ_SEM || l->head.process != objects_process ||
        process()->nthreads_ever < 2)
        return NULL;
    u32 i = take(), none = 0;
    if (!i)
        return NULL;
    locks[i] = (struct weak_lock){0};
    if (__atomic_compare_exchange_n(&l->weak, &none, i, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return &locks[i];
    give(i); /* readers may come at once */
    return &locks[none];
}

void weak_prefetch(const struct lock_rec *l)
{
    const char *k = (const char *)&locks[l->weak];
    __builtin_prefetch(k, 1);
    __builtin_prefetch(k + sizeof *locks / 2, 1);
}

void weak_lock_gone(struct accesses *a, struct lock_rec *l)
{
    struct weak_lock *k = list_of(l);
    if (!k)
        return;
    l->weak = 0;
    sync_clock_clear(&a->clock, &k->all);
    for (u32 i = 0; i < RELEASES; i++)
        sync_clock_clear(&a->clock, &k->left[i]);
    give((u32)(k - locks));
}

/* Where thread `lane` leaves its next release, unless the last two were its own, too: in the place of an older one of its
 * own, of another thread that has left more, or in turn. */
static u32 place_for(struct weak_lock *k, u32 lane)
{
    u32 own = RELEASES, older = RELEASES, nown = 0;
    for (u32 i = 0; i < weak_releases; i++) {
        const struct sync_clock *s = &k->left[i];
        if (!s->time)
            return i;
        if (s->lane != lane)
            continue;
        nown++;
        own = own == RELEASES || s->time < k->left[own].time ? i : own;
    }
    if (nown > 1)
        return own;
    for (u32 i = 0; i < weak_releases && older == RELEASES; i++)
        for (u32 j = 0; j < weak_releases; j++)
            if (k->left[j].lane == k->left[i].lane && k->left[j].time > k->left[i].time)
                older = i;
    if (older < RELEASES)
        return older;
    older = k->hand;
    k->hand = older + 1 < weak_releases ? (u8)(older + 1) : 0;
    return older;
}

/* The first release, of those that are kept, by the thread of e since then. */
static const struct sync_clock *release_of(const struct weak_lock *k, const struct epoch *e)
{
    const struct sync_clock *first = NULL;
    for (u32 i = 0; i < weak_releases; i++) {
        const struct sync_clock *s = &k->left[i];
        if (s->lane == e->lane && s->time >= e->time && (!first || s->time < first->time))
            first = s;
    }
    return first;
}

/* Is that release known, for who does not hold the lock? False also when it is not kept, or just being left. */
static bool release_is_known(const struct weak_lock *k, const struct epoch *e, const struct clock *c)
{
    u32 before = __atomic_load_n(&k->writes, __ATOMIC_ACQUIRE);
    u64 first = ~0ULL;
    for (u32 i = 0; i < weak_releases; i++) {
        u64 time = __atomic_load_n(&k->left[i].time, __ATOMIC_RELAXED);
        if (__atomic_load_n(&k->left[i].lane, __ATOMIC_RELAXED) == e->lane && time >= e->time && time < first)
            first = time;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return !(before & 1) && __atomic_load_n(&k->writes, __ATOMIC_RELAXED) == before && clock_time(c, e->lane) >= first;
}

/* ---- sections ---- */

static struct weak_section *section_of(struct weak *w, ref_t lock)
{
    for (u32 i = w->nsections; i-- > 0;)
        if (w->sections[i].lock == lock)
            return &w->sections[i];
    return NULL;
}

/* Has it shown what the lock is for? */
static bool section_shows(const struct accesses *a, const struct weak_section *s)
{
    return s && (s->met || s->writes != a->writes);
}

/* What is not the usual: the lock has no list, or something was forgotten or lost since. */
static SNARL_COLD void acquired_else(struct accesses *a, struct lock_rec *l, struct weak_lock *k, enum lock_mode mode)
{
    struct weak *w = a->weak;
    bool anew = k && k->forgotten != w->forgotten;
    weak_learn_strong(a, &l->clock);
    if (!anew || mode == MODE_SHARED)
        return;
    sync_clock_copy(&w->clock, &k->all, &l->clock);
    k->all_strong = true;
    k->forgotten = w->forgotten;
}

void weak_acquired(struct accesses *a, struct lock_rec *l, enum lock_mode mode)
{
    struct weak *w = a->weak;
    struct weak_lock *k = list_of(l);
    const struct thread *t = a->owner;
    weak_clock(a);
    weak_written(a);
    a->concurrent = 0; /* the lock may order it */
    if (snarl_unlikely(!k))
        k = list_make(l);
    if (t->rec->nheld == 1 && t->held[0].lock == arena_ref(l))
        w->nsections = 0; /* a lock may end while it is held */
    if (w->nsections < WEAK_SECTIONS)
        w->sections[w->nsections++] = (struct weak_section){arena_ref(l), a->writes, false};
    w->unmet = true;
    if (k && snarl_unlikely(k->all_strong))
        weak_learn_strong(a, &k->all);
    else if (k)
        weak_learn(a, &k->all);
    if (snarl_unlikely(!k || k->forgotten != w->forgotten || __atomic_load_n(&k->leak, __ATOMIC_RELAXED)))
        acquired_else(a, l, k, mode);
}

/* No epoch of this block is open any more. */
static void epochs_end(struct accesses *a)
{
    u64 now = clock_now(&a->clock);
    for (u32 e = a->open_first; e && e < a->next; e++)
        __atomic_store_n(&epochs[e].end, now, __ATOMIC_RELEASE);
    a->open_first = 0;
}

static void section_pop(struct weak *w, struct weak_section *s)
{
    w->nsections--;
    for (; s < &w->sections[w->nsections]; s++)
        *s = s[1];
}

static SNARL_COLD void release_to_all(struct accesses *a, struct weak_lock *k)
{
    struct clock *c = &a->weak->clock;
    if (__atomic_load_n(&k->leak, __ATOMIC_RELAXED)) {
        __atomic_store_n(&k->leak, false, __ATOMIC_RELAXED);
        clock_join(c, &a->clock);
        accesses_learned(a);
    }
    clock_release(c, &k->all);
    k->all_strong = false;
}

static void leave_release(struct accesses *a, struct weak_lock *k)
{
    struct clock *c = &a->weak->clock;
    u32 i = k->left[k->last].lane == c->lane && k->left[k->before].lane == c->lane && k->before != k->last
                ? k->before
                : place_for(k, c->lane);
    struct sync_clock *s = &k->left[i];
    if (snarl_likely(clock_has_left(c, s))) {
        __atomic_store_n(&s->time, clock_now(c), __ATOMIC_RELAXED);
    } else {
        __atomic_store_n(&k->writes, k->writes + 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        weak_leave(a, s);
        __atomic_store_n(&k->writes, k->writes + 1, __ATOMIC_RELEASE);
    }
    if (i != k->last) {
        k->before = k->last;
        k->last = (u8)i;
    }
}

void weak_release(struct thread *t, struct accesses *a, struct lock_rec *l, enum lock_mode mode)
{
    struct weak *w = a->weak;
    struct weak_section *s = section_of(w, arena_ref(l));
    weak_clock(a);
    weak_written(a);
    bool shows = section_shows(a, s);
    if (t->rec->nheld == 1 && t->held[0].lock == arena_ref(l))
        epochs_end(a);
    if (s)
        section_pop(w, s);
    if (!shows)
        weak_learn_strong(a, &l->clock);
    struct weak_lock *k = mode == MODE_SHARED ? NULL : list_of(l);
    if (!k)
        return;
    if (snarl_unlikely(!shows || __atomic_load_n(&k->leak, __ATOMIC_RELAXED)))
        release_to_all(a, k);
    leave_release(a, k);
}

void weak_write(const struct thread *t, struct accesses *a, u64 addr, u64 pc)
{
    if (a->locked & LOCKED_WRITTEN) {
        weak_written(a);
    } else if (addr - t->rec->stack_lo >= t->rec->stack_hi - t->rec->stack_lo) {
        a->locked = (a->locked & ~(u32)LOCKED_UNWRITTEN) | LOCKED_WRITTEN;
        a->written = weak_write_key(addr, pc);
    }
}

/* ---- accesses ---- */

static bool holds(const struct thread *t, ref_t lock)
{
    u32 i = t->rec->nheld;
    while (i > 0 && t->held[i - 1].lock != lock)
        i--;
    return i > 0;
}

/* The lock is held: what was left there does not change. */
static void section_orders(struct accesses *a, struct lock_rec *l, const struct hold_rec *h, const struct epoch *e)
{
    const struct weak_lock *k = list_of(l);
    if (!k || h->mode == MODE_SHARED)
        return; /* known since the acquire */
    const struct sync_clock *left = release_of(k, e);
    if (left)
        weak_learn(a, left);
    else
        weak_learn_strong(a, &l->clock);
}

/* The thread's creator may leave the section at any time. */
static void around_orders(struct accesses *a, const struct hold_rec *h, const struct epoch *e)
{
    const struct weak *w = a->weak;
    const struct lock_rec *l = LOCK_AT(h->lock);
    const struct weak_lock *k = list_of(l);
    for (u32 i = 0; k && i < w->naround; i++)
        if (w->around[i].lock == h->lock && l->owner == w->around[i].holder && l->section == w->around[i].section &&
            !release_is_known(k, e, &w->clock))
            clock_join(weak_clock(a), &a->clock);
}

/* known: the ends of e's sections are; only that they were met is to be noted. */
static void sections_order(struct accesses *a, const struct epoch *e, bool known)
{
    const struct thread *t = a->owner;
    struct weak *w = a->weak;
    u32 n = 0;
    for (const struct hold_rec *h = HOLD_AT(e->hold); h && n < HOLDS_MOST;
         h = h->outer ? HOLD_AT(h->outer) : NULL, n++) {
        if (snarl_unlikely(w->naround) && !known)
            around_orders(a, h, e);
        for (u32 i = 0; i < t->rec->nheld; i++) {
            if (t->held[i].lock != h->lock || (t->held[i].mode == MODE_SHARED && h->mode == MODE_SHARED))
                continue;
            struct weak_section *s = section_of(w, h->lock);
            if (s)
                s->met = true;
            if (!known)
                section_orders(a, LOCK_AT(h->lock), h, e);
        }
    }
    w->unmet = false;
    for (u32 i = 0; i < w->nsections; i++)
        w->unmet |= !w->sections[i].met;
}

/* The access is known, or no longer in the shadow; the end of its sections is not known. */
static void sections_end(struct accesses *a, const struct epoch *e)
{
    u32 n = 0;
    for (const struct hold_rec *h = HOLD_AT(e->hold); h && n < HOLDS_MOST;
         h = h->outer ? HOLD_AT(h->outer) : NULL, n++) {
        struct weak_lock *k = h->mode == MODE_SHARED ? NULL : list_of(LOCK_AT(h->lock));
        if (!k)
            continue;
        const struct sync_clock *left = holds(a->owner, h->lock) ? release_of(k, e) : NULL;
        if (left && clock_time(&a->clock, left->lane) >= left->time)
            weak_learn(a, left);
        else if (!release_is_known(k, e, weak_clock(a)))
            __atomic_store_n(&k->leak, true, __ATOMIC_RELAXED);
    }
}

bool weak_before(struct accesses *a, const struct epoch *e)
{
    const struct clock *c = weak_clock(a);
    if (!e->hold)
        return clock_time(c, e->lane) >= e->time;
    u64 end = __atomic_load_n(&e->end, __ATOMIC_ACQUIRE);
    bool known = end && clock_time(c, e->lane) >= end;
    if (!known || a->weak->unmet)
        sections_order(a, e, known);
    if (known || (end && clock_time(c, e->lane) >= end))
        return true;
    if (clock_time(c, e->lane) < e->time)
        return false;
    sections_end(a, e);
    return true;
}

void weak_meets_race(struct accesses *a)
{
    const struct thread *t = a->owner;
    for (u32 i = 0; i < t->rec->nheld; i++)
        weak_learn_strong(a, &LOCK_AT(t->held[i].lock)->clock);
}

void weak_raced(struct accesses *a, const struct epoch *e)
{
    if (e->hold)
        sections_end(a, e);
    weak_meets_race(a);
}

bool weak_before_all(struct accesses *a, const struct epoch *e)
{
    const struct thread *t = a->owner;
    bool some = false;
    for (u32 i = 0; i < t->rec->nheld; i++) {
        struct lock_rec *l = LOCK_AT(t->held[i].lock);
        const struct weak_lock *k = list_of(l);
        if (section_shows(a, section_of(a->weak, t->held[i].lock)) &&
            !(k && __atomic_load_n(&k->leak, __ATOMIC_RELAXED)))
            continue;
        weak_learn_strong(a, &l->clock);
        some = true;
    }
    return some && weak_before(a, e);
}
