/* Lost updates: which read and which write belong together, and who may write between them. Called by the slow path of
 * accesses made with locks held, by acquires and releases. Takes no internal lock (an entry's guard is only tried);
 * maps memory: a table per process, one per thread.
 *
 * A pair is a read of some bytes in one critical section of a lock and a write of the same bytes in a later one, by the
 * same thread, without a read of them in the later one before the write. It is a lost update if another thread writes
 * those bytes under that lock in between (observed), or has written them and could as well have done so in between
 * (possible). False ones cost more than missed ones, so there is no pair
 *   - when the value can hardly come from the read: the function that read has returned, and so has its caller; the
 *     stored value is a constant in the code; the instruction writes to several places under this lock (slots of a
 *     ring, nodes of a list); the thread has waited for something to do in between;
 *   - when the second section looks first: at the same bytes, or at others that were read in the first one and that
 *     other threads write, too (a version, a state); or when one between them does, after the other thread's write;
 *   - when another lock was held all the time by both threads;
 *   - when the other write is ordered before the thread's second section by something else than this lock: handed over.
 * What is only possible needs more: the other write was not known to the thread before the first section, so nothing
 * but this lock keeps the two apart; the first section touches nothing else that others write (it may take something
 * out, or find out whose turn it is); the write changes the value. */
#include "analyze/atomicity.h"

#include <sys/mman.h>

#define WRITTEN_BITS 14
#define WRITTEN (1u << WRITTEN_BITS)
/* What lives at an address has a generation: two counts by parts of the address, small ones for blocks, large ones for
 * mappings. */
#define GENERATIONS (1u << 18)
#define GENERATION_BITS 6
#define LARGE_GENERATIONS (1u << 12)
#define LARGE_BITS 20

/* Bytes that were written by threads holding locks. */
struct written {
    u64 key; /* granule << 8 | mask */
    u32 guard, generation;
    struct writer last, other; /* other: of another thread than last */
};

static struct written *written;
static u32 *generations, large_generations[LARGE_GENERATIONS];

/* Not a program's critical section. */
#define ATTRS_NO_SECTION                                                                                               \
    (ATTR_FILE | ATTR_ONCE | ATTR_INTERPRETER | ATTR_THREAD_END | ATTR_UNTRACKED | ATTR_PROCESS_OWNED)

/* ---- memory that is given back ---- */

static SNARL_COLD bool tables_begin(void)
{
    struct written *w = sys_map(WRITTEN * sizeof *w);
    u32 *n = sys_map(GENERATIONS * sizeof *n);
    if (!w || !n || !writing_begin())
        return false;
    struct written *none = NULL;
    generations = n; /* of two threads that come here at once, one loses some mappings */
    __atomic_compare_exchange_n(&written, &none, w, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    return true;
}

u32 atomicity_generation(u64 addr)
{
    return generations[(addr >> GENERATION_BITS) % GENERATIONS] +
           large_generations[(addr >> LARGE_BITS) % LARGE_GENERATIONS];
}

void atomicity_forget(u64 addr, u64 size)
{
    if (!size || !__atomic_load_n(&written, __ATOMIC_ACQUIRE))
        return;
    bool large = size >> LARGE_BITS;
    u32 *counts = large ? large_generations : generations, n = large ? LARGE_GENERATIONS : GENERATIONS,
        bits = large ? LARGE_BITS : GENERATION_BITS;
    u64 first = addr >> bits, last = (addr + size - 1) >> bits;
    for (u64 i = 0, left = last - first < n ? last - first + 1 : n; left; i++) {
        u32 *part = counts + (i ? 0 : first % n);
        u64 room = (u64)(counts + n - part), now = left < room ? left : room;
        for (u64 k = 0; k < now; k++)
            part[k]++;
        left -= now;
    }
}

void atomicity_forked(void)
{
    if (!written)
        return;
    sys_call3(SYS_madvise, written, WRITTEN * sizeof *written, MADV_DONTNEED);
    writing_forget();
}

/* ---- sections ---- */

static SNARL_COLD struct pairs *pairs_begin(struct accesses *a)
{
    if (!detects(DETECT_ATOMICITY) || (!__atomic_load_n(&written, __ATOMIC_ACQUIRE) && !tables_begin()))
        return NULL;
    return a->pairs = sys_map(sizeof *a->pairs);
}

void atomicity_acquired(struct thread *t, struct accesses *a, struct lock_rec *l, enum lock_mode mode)
{
    (void)t;
    if (l->head.attrs & ATTRS_NO_SECTION)
        return;
    if (mode == MODE_EXCLUSIVE)
        l->section++;
    struct pairs *p = a->pairs ? a->pairs : pairs_begin(a);
    if (!p)
        return;
    struct taken *k = &p->taken[++p->ntaken % TAKEN];
    k->uid = l->head.uid;
    k->number = l->section;
    k->shared = mode == MODE_SHARED;
    k->validated = 0;
    k->first = 0;
    k->more = false;
    k->lanes = a->clock.lanes < TAKEN_LANES ? a->clock.lanes : TAKEN_LANES;
    for (u32 i = 0; i < k->lanes; i++)
        k->known[i] = a->clock.times[i];
}

static struct taken *taken_at(struct pairs *p, u32 n)
{
    return n && p->ntaken - n < TAKEN ? &p->taken[n % TAKEN] : NULL;
}

/* The locks held, for the accesses of this epoch. */
static __attribute__((noinline)) void epoch_locks(struct thread *t, struct accesses *a, struct pairs *p)
{
    struct pair_locks *now = &p->epochs[++p->serial % PAIR_EPOCHS];
    p->epoch = a->epoch;
    *now = (struct pair_locks){.serial = p->serial,
                               .task = p->task,
                               .writer = {.time = epochs[a->epoch].time,
                                          .lane = a->clock.lane,
                                          .number = a->number,
                                          .thread = t->ref,
                                          .hold = epochs[a->epoch].hold}};
    for (u32 i = t->rec->nheld; i-- > 0 && now->nlocks < PAIR_LOCKS;) {
        const struct lock_rec *l = LOCK_AT(t->held[i].lock);
        if (l->head.attrs & ATTRS_NO_SECTION)
            continue;
        u32 k = now->nlocks++;
        now->lock[k] = (struct section){l->head.uid, l->section};
        if (t->held[i].mode == MODE_SHARED)
            now->shared |= 1u << k;
        else
            now->writer.lock[now->writer.nlocks++] = now->lock[k];
        for (u32 n = p->ntaken; !now->taken[k] && n + TAKEN > p->ntaken && n; n--)
            if (p->taken[n % TAKEN].uid == l->head.uid)
                now->taken[k] = n;
    }
}

static struct pair_locks *locks_now(struct pairs *p)
{
    return &p->epochs[p->serial % PAIR_EPOCHS];
}
/* NULL: too long ago. */
static const struct pair_locks *locks_then(const struct pairs *p, const struct pair_read *r)
{
    const struct pair_locks *then = &p->epochs[r->locks % PAIR_EPOCHS];
    return then->serial == r->locks ? then : NULL;
}

/* Which of these it is, or -1. */
static int section_index(const struct section *list, u32 n, u32 uid)
{
    for (u32 i = 0; i < n; i++)
        if (list[i].uid == uid)
            return (int)i;
    return -1;
}

/* ---- who writes what ---- */

static struct written *written_of(u64 key)
{
    return &written[key * 0x9e3779b97f4a7c15ULL >> (64 - WRITTEN_BITS)];
}
static bool written_enter(struct written *w)
{
    return !__atomic_exchange_n(&w->guard, 1, __ATOMIC_ACQUIRE);
}
static void written_leave(struct written *w)
{
    __atomic_store_n(&w->guard, 0, __ATOMIC_RELEASE);
}

/* Has another thread than that of this number written there, as far as a look from outside tells? */
static SNARL_HOT bool foreign(const struct written *w, u64 key, u32 number)
{
    u32 last = __atomic_load_n(&w->last.number, __ATOMIC_RELAXED);
    return __atomic_load_n(&w->key, __ATOMIC_RELAXED) == key &&
           (last == number ? __atomic_load_n(&w->other.number, __ATOMIC_RELAXED) : last);
}

/* The last write by another thread than that of this number. */
static SNARL_COLD bool foreign_writer(u64 key, u32 number, struct writer *out)
{
    struct written *w = written_of(key);
    if (!written_enter(w))
        return false;
    const struct writer *other = w->last.number == number ? &w->other : &w->last;
    bool found = w->key == key && w->generation == atomicity_generation(key >> 8) && other->number;
    if (found)
        *out = *other;
    written_leave(w);
    return found;
}

static void written_by(const struct writer *now, struct written *w, u64 key, ref_t stack)
{
    u32 generation = atomicity_generation(key >> 8);
    if (!now->nlocks || !written_enter(w))
        return;
    if (w->key != key || w->generation != generation) {
        w->key = key;
        w->generation = generation;
        w->other.number = w->last.number = 0;
    }
    if (w->last.number != now->number)
        w->other = w->last;
    w->last = *now;
    w->last.stack = stack;
    written_leave(w);
}

/* ---- reads ---- */

static SNARL_COLD void touched(struct pairs *p, u64 key)
{
    const struct pair_locks *now = locks_now(p);
    for (u32 i = 0; i < now->nlocks; i++) {
        struct taken *k = taken_at(p, now->taken[i]);
        if (!k)
            continue;
        k->more |= k->first && k->first != key;
        k->first = k->first ? k->first : key;
    }
}

static bool read_is_valid(const struct pairs *p, u64 key, const struct pair_read *r)
{
    const struct pair_locks *then = locks_then(p, r);
    return then && then->task == p->task && r->generation == atomicity_generation(key >> 8);
}

/* What others write, too, was read in that section and is read again in this one. */
static SNARL_COLD void validates(struct pairs *p, u64 key, const struct pair_read *r)
{
    const struct pair_locks *now = locks_now(p), *then = locks_then(p, r);
    for (u32 i = 0; i < now->nlocks && read_is_valid(p, key, r); i++) {
        int k = section_index(then->lock, then->nlocks, now->lock[i].uid);
        struct taken *here = taken_at(p, now->taken[i]);
        if (k >= 0 && here && then->taken[k] != now->taken[i])
            here->validated = then->taken[k];
    }
}

static struct pair_reads *reads_of(struct pairs *p, u64 key)
{
    return &p->reads[(key >> 8) / GRANULE % PAIR_SETS];
}

/* Forgets what is known of these bytes. Returns a free place. */
static u32 reads_end(struct pairs *p, struct pair_reads *set, u64 key, bool others)
{
    u32 place = 0;
    for (u32 i = 0; i < PAIR_WAYS; i++) {
        if (set->key[i] >> 8 == key >> 8 && (set->key[i] & key & SLOT_MASK)) {
            if (others)
                validates(p, set->key[i], &set->read[i]);
            set->key[i] = 0;
        }
        if (!set->key[i] || (set->key[place] && set->read[i].locks < set->read[place].locks))
            place = i;
    }
    return place;
}

/* The write by w was not known to the thread before it took the lock at this acquire. */
static bool unknown_before(const struct taken *k, const struct writer *w)
{
    return w->lane < TAKEN_LANES && (w->lane < k->lanes ? k->known[w->lane] : 0) < w->time;
}

/* Bits of the locks whose taking has told of the other thread's write. */
static SNARL_COLD u8 read_news(struct accesses *a, struct pairs *p, u64 key)
{
    const struct pair_locks *now = locks_now(p);
    struct writer w;
    u32 news = 0;
    if (!foreign_writer(key, a->number, &w))
        return 0;
    touched(p, key);
    for (u32 i = 0; i < now->nlocks; i++) {
        const struct taken *k = taken_at(p, now->taken[i]);
        if (section_index(w.lock, w.nlocks, now->lock[i].uid) >= 0 && k && unknown_before(k, &w))
            news |= 1u << i;
    }
    return (u8)news;
}

static void read_seen(struct accesses *a, struct pairs *p, u64 key, u32 kind, ref_t stack)
{
    const struct access_frames *f = &a->frames;
    bool others = foreign(written_of(key), key, a->number);
    struct pair_reads *set = reads_of(p, key);
    u32 place = reads_end(p, set, key, others);
    set->key[place] = key;
    set->read[place] = (struct pair_read){.stamp = f->stamp,
                                          .caller = f->outer[(f->depth - 1) % FRAMES_KEPT],
                                          .depth = f->depth,
                                          .locks = p->serial,
                                          .generation = atomicity_generation(key >> 8),
                                          .stack = stack,
                                          .opens = !(kind & ACCESS_ATOMIC),
                                          .news = others ? read_news(a, p, key) : 0};
}

/* ---- pairs ---- */

/* Is the thread still in the activation that had this stamp at this depth? */
static bool is_active(const struct access_frames *f, u32 depth, u64 stamp)
{
    u32 inner = f->depth - depth;
    return inner < FRAMES_KEPT && stamp && (inner ? f->outer[depth % FRAMES_KEPT] : f->stamp) == stamp;
}

/* The value read may still be in the variables of a function that is active: of the one that read, or of its caller,
 * who has got it and hands it to the one that writes. */
static bool value_may_live(const struct access_frames *f, const struct pair_read *r)
{
    if (is_active(f, r->depth, r->stamp))
        return true;
    return is_active(f, r->depth - 1, r->caller) && f->depth - (r->depth - 1) <= 2;
}

/* A lock that both held all the time. */
static bool kept_apart(const struct pair_locks *now, const struct pair_locks *then, const struct writer *w)
{
    for (u32 i = 0; i < now->nlocks; i++) {
        int k = section_index(then->lock, then->nlocks, now->lock[i].uid);
        if (k >= 0 && then->lock[k].number == now->lock[i].number &&
            section_index(w->lock, w->nlocks, now->lock[i].uid) >= 0)
            return true;
    }
    return false;
}

/* Has the thread learned of the write by w, made after the acquire `from`, from nothing but the lock of that section? */
static bool learned_from_lock(struct pairs *p, u32 from, struct section between, const struct writer *w)
{
    for (u32 n = from + 1; n != p->ntaken + 1; n++) {
        const struct taken *k = taken_at(p, n);
        if (k && k->uid == between.uid && (k->shared ? k->number >= between.number : k->number > between.number))
            return unknown_before(k, w);
    }
    return false;
}

/* Has the thread, after the acquire `from` and the write of section `between`, looked again at what it had read by then?
 * What it does from there on rests on that look. */
static bool looked_since(struct pairs *p, u32 from, struct section between)
{
    for (u32 n = from + 1; n != p->ntaken + 1; n++) {
        const struct taken *k = taken_at(p, n);
        if (k && k->uid == between.uid && (k->shared ? k->number >= between.number : k->number > between.number) &&
            k->validated && k->validated - from < TAKEN)
            return true;
    }
    return false;
}

/* What the pair of this read and a write now, under lock i, is. VERDICT_COUNT: nothing. */
static u32 pair_verdict(struct pairs *p, u64 key, u32 i, const struct pair_read *r, const struct writer *w)
{
    const struct pair_locks *now = locks_now(p), *then = locks_then(p, r);
    int k = section_index(then->lock, then->nlocks, now->lock[i].uid),
        b = section_index(w->lock, w->nlocks, now->lock[i].uid);
    const struct taken *first = k >= 0 ? taken_at(p, then->taken[k]) : NULL, *second = taken_at(p, now->taken[i]);
    if (!first || !second || b < 0 || (now->shared & 1u << i) || then->lock[k].number == now->lock[i].number ||
        second->validated == then->taken[k])
        return VERDICT_COUNT;
    if (w->lock[b].number > then->lock[k].number)
        return learned_from_lock(p, then->taken[k], w->lock[b], w) && !looked_since(p, then->taken[k], w->lock[b])
                   ? VERDICT_OBSERVED
                   : VERDICT_COUNT;
    return (r->news & 1u << k) && first->first == key && !first->more ? VERDICT_POSSIBLE : VERDICT_COUNT;
}

/* The access, in short. */
struct seen {
    struct thread *t;
    struct accesses *a;
    u64 key, pc; /* pc: or the stack, if it is not known */
    u32 kind;
    bool decoded; /* pc is an instruction's */
    ref_t stack;
};

/* Fills f when this write is the second half of a pair that matters. */
static SNARL_COLD bool pair_of(const struct seen *x, const struct pair_read *r, struct pair_found *f)
{
    struct pairs *p = x->a->pairs;
    const struct pair_locks *now = locks_now(p);
    struct writer *w = &f->writer;
    if (!r->opens || !read_is_valid(p, x->key, r) || !value_may_live(&x->a->frames, r) ||
        !foreign_writer(x->key, x->a->number, w) || kept_apart(now, locks_then(p, r), w))
        return false;
    f->verdict = VERDICT_COUNT;
    u32 uid = 0;
    for (u32 i = 0; i < now->nlocks && f->verdict == VERDICT_COUNT; i++) {
        f->verdict = pair_verdict(p, x->key, i, r, w);
        uid = now->lock[i].uid;
    }
    if (f->verdict == VERDICT_COUNT || !writes_one(x->pc, uid, x->key) || (x->decoded && stores_constant(x->pc)))
        return false;
    for (u32 i = 0; i < x->t->rec->nheld; i++)
        if (LOCK_AT(x->t->held[i].lock)->head.uid == uid)
            f->lock = x->t->held[i].lock;
    f->address = x->key >> 8;
    f->mask = (u32)x->key & SLOT_MASK;
    f->generation = r->generation;
    f->kind = x->kind;
    f->stack = x->stack;
    f->read = *r;
    f->hold = locks_then(p, r)->writer.hold;
    f->across = !is_active(&x->a->frames, r->depth, r->stamp);
    return true;
}

static bool write_seen(const struct seen *x, const u64 *fp, bool complete)
{
    struct pairs *p = x->a->pairs;
    const struct pair_locks *now = locks_now(p);
    struct pair_reads *set = reads_of(p, x->key);
    struct written *w = written_of(x->key);
    bool others = foreign(w, x->key, x->a->number);
    for (u32 i = 0; others && i < PAIR_WAYS; i++) {
        struct pair_found f;
        if (set->key[i] != x->key || (x->kind & (ACCESS_ATOMIC | ACCESS_READ_TOO | ACCESS_FREE)) ||
            !pair_of(x, &set->read[i], &f))
            continue;
        if (!complete)
            return false;
        pair_found(x->t, p, &f, fp);
    }
    if (others)
        touched(p, x->key);
    reads_end(p, set, x->key, false);
    for (u32 i = 0; i < now->nlocks; i++)
        writes_one(x->pc, now->lock[i].uid, x->key);
    written_by(&now->writer, w, x->key, x->stack);
    return true;
}

bool atomicity_access(struct thread *t, struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 pc,
                      const u64 *fp, bool complete)
{
    struct pairs *p = a->pairs;
    if (!p || p->busy || t->handler_depth || addr - t->rec->stack_lo < t->rec->stack_hi - t->rec->stack_lo)
        return true;
    struct seen x = {t, a, (addr & ~(u64)(GRANULE - 1)) << 8 | mask, pc ? pc : stack, kind, pc != 0, stack};
    bool done = true;
    p->busy = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (p->epoch != a->epoch)
        epoch_locks(t, a, p);
    if (locks_now(p)->nlocks && (kind & ACCESS_WRITE))
        done = write_seen(&x, fp, complete);
    else if (locks_now(p)->nlocks)
        read_seen(a, p, x.key, kind, stack);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    p->busy = false;
    return done;
}

void atomicity_rest(struct accesses *a, u64 addr, u64 size)
{
    struct pairs *p = a->pairs;
    u64 end = addr + size;
    if (!p || p->busy)
        return;
    if (size > PAIR_SETS * PAIR_WAYS * GRANULE) {
        for (u32 i = 0; i < PAIR_SETS * PAIR_WAYS; i++) {
            u64 *key = &p->reads[i / PAIR_WAYS].key[i % PAIR_WAYS];
            *key = (*key >> 8) - addr < size ? 0 : *key;
        }
        return;
    }
    for (u64 at = addr & ~(u64)(GRANULE - 1); at < end; at += GRANULE)
        reads_end(p, reads_of(p, at << 8), at << 8 | SLOT_MASK, false);
}
