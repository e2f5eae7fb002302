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
 *     other threads write, too (a version, a state);
 *   - when another lock was held all the time by both threads;
 *   - when the other write is ordered before the thread's second section by something else than this lock: handed over.
 * What is only possible needs more: the other write was not known to the thread before the first section, so nothing
 * but this lock keeps the two apart; the first section touches nothing else that others write (it may take something
 * out, or find out whose turn it is); the write changes the value. */
#include "analyze/atomicity.h"

#include <sys/mman.h>

#include "base/hash.h"

#define WRITTEN (1u << 14)
#define WRITING (1u << 13)
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

/* An instruction that writes under a lock: to which address? */
struct writing {
    u64 pc;
    u32 uid;
    u32 many; /* to several */
    u64 address;
};

static struct written *written;
static struct writing *writing;
static u32 *generations, large_generations[LARGE_GENERATIONS];

/* Not a program's critical section. */
#define ATTRS_NO_SECTION                                                                                               \
    (ATTR_FILE | ATTR_ONCE | ATTR_INTERPRETER | ATTR_THREAD_END | ATTR_UNTRACKED | ATTR_PROCESS_OWNED)

/* ---- memory that is given back ---- */

static SNARL_COLD bool tables_begin(void)
{
    struct written *w = sys_map(WRITTEN * sizeof *w);
    struct writing *g = sys_map(WRITING * sizeof *g);
    u32 *n = sys_map(GENERATIONS * sizeof *n);
    if (!w || !g || !n)
        return false;
    struct written *none = NULL;
    generations = n; /* of two threads that come here at once, one loses some mappings */
    writing = g;
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
    for (u64 i = 0; i <= last - first && i < n; i++)
        counts[(first + i) % n]++;
}

void atomicity_forked(void)
{
    if (!written)
        return;
    sys_call3(SYS_madvise, written, WRITTEN * sizeof *written, MADV_DONTNEED);
    sys_call3(SYS_madvise, writing, WRITING * sizeof *writing, MADV_DONTNEED);
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
    __builtin_memcpy(k->known, a->clock.times, sizeof k->known);
}

static struct taken *taken_at(struct pairs *p, u32 n)
{
    return n && p->ntaken - n < TAKEN ? &p->taken[n % TAKEN] : NULL;
}

/* Sections of the locks held, for the accesses of this epoch. */
static void sections_find(struct thread *t, struct accesses *a, struct pairs *p)
{
    p->epoch = a->epoch;
    p->nlocks = 0;
    for (u32 i = t->rec->nheld; i-- > 0 && p->nlocks < PAIR_LOCKS;) {
        const struct lock_rec *l = LOCK_AT(t->held[i].lock);
        if (l->head.attrs & ATTRS_NO_SECTION)
            continue;
        struct section *s = &p->lock[p->nlocks++];
        *s = (struct section){.uid = l->head.uid, .number = l->section, .shared = t->held[i].mode == MODE_SHARED};
        for (u32 n = p->ntaken; !s->taken && n + TAKEN > p->ntaken && n; n--)
            if (p->taken[n % TAKEN].uid == s->uid)
                s->taken = n;
    }
}

static const struct section *section_of(const struct section *list, u32 n, u32 uid)
{
    for (u32 i = 0; i < n; i++)
        if (list[i].uid == uid)
            return &list[i];
    return NULL;
}

/* ---- who writes what ---- */

static struct written *written_enter(u64 key)
{
    struct written *w = &written[hash_mix64(key) % WRITTEN];
    return __atomic_exchange_n(&w->guard, 1, __ATOMIC_ACQUIRE) ? NULL : w;
}
static void written_leave(struct written *w)
{
    __atomic_store_n(&w->guard, 0, __ATOMIC_RELEASE);
}

/* The last write by another thread than that of this number. */
static bool foreign_writer(u64 key, u32 number, struct writer *out)
{
    struct written *w = written_enter(key);
    if (!w)
        return false;
    const struct writer *other = w->last.number == number ? &w->other : &w->last;
    bool found = w->key == key && w->generation == atomicity_generation(key >> 8) && other->number;
    if (found)
        *out = *other;
    written_leave(w);
    return found;
}

static void written_by(struct thread *t, struct accesses *a, struct pairs *p, u64 key, ref_t stack)
{
    struct writer now = {.time = epochs[a->epoch].time,
                         .lane = a->clock.lane,
                         .number = a->number,
                         .thread = t->ref,
                         .hold = epochs[a->epoch].hold,
                         .stack = stack};
    for (u32 i = 0; i < p->nlocks; i++)
        if (!p->lock[i].shared)
            now.lock[now.nlocks++] = p->lock[i];
    u32 generation = atomicity_generation(key >> 8);
    struct written *w = now.nlocks ? written_enter(key) : NULL;
    if (!w)
        return;
    if (w->key != key || w->generation != generation) {
        w->key = key;
        w->generation = generation;
        w->other.number = w->last.number = 0;
    }
    if (w->last.number != now.number)
        w->other = w->last;
    w->last = now;
    written_leave(w);
}

/* Does this instruction write to this address only, under this lock? Unknown when another one has its place. */
static bool writes_one(u64 pc, u32 uid, u64 address)
{
    struct writing *g = &writing[hash_combine(pc, uid) % WRITING];
    u64 none = 0;
    if (__atomic_load_n(&g->pc, __ATOMIC_RELAXED) != pc &&
        !__atomic_compare_exchange_n(&g->pc, &none, pc, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    if (!g->uid) {
        g->uid = uid;
        g->address = address;
    }
    g->many |= g->uid != uid || g->address != address;
    return !g->many;
}

/* ---- reads ---- */

static void touched(struct pairs *p, u64 key)
{
    for (u32 i = 0; i < p->nlocks; i++) {
        struct taken *k = taken_at(p, p->lock[i].taken);
        if (!k)
            continue;
        k->more |= k->first && k->first != key;
        k->first = k->first ? k->first : key;
    }
}

static bool read_is_valid(const struct pairs *p, const struct pair_read *r)
{
    return r->mask && r->task == p->task && r->generation == atomicity_generation(r->granule);
}

/* What others write, too, was read in that section and is read again in this one. */
static void validates(struct pairs *p, const struct pair_read *r)
{
    for (u32 i = 0; i < p->nlocks; i++) {
        const struct section *then = section_of(r->lock, r->nlocks, p->lock[i].uid);
        struct taken *k = taken_at(p, p->lock[i].taken);
        if (then && k && then->taken != p->lock[i].taken)
            k->validated = then->taken;
    }
}

/* Forgets what is known of these bytes. Returns a free place. */
static struct pair_read *reads_end(struct pairs *p, u64 granule, u32 mask, bool foreign)
{
    struct pair_read *set = p->reads[granule / GRANULE % PAIR_SETS], *place = &set[0];
    for (u32 i = 0; i < PAIR_WAYS; i++) {
        if (set[i].granule == granule && (set[i].mask & mask)) {
            if (foreign && read_is_valid(p, &set[i]))
                validates(p, &set[i]);
            set[i].mask = 0;
        }
        if (!set[i].mask || (place->mask && set[i].lock[0].taken < place->lock[0].taken))
            place = &set[i];
    }
    return place;
}

/* The write by w was not known to the thread before it took the lock at this acquire. */
static bool unknown_before(const struct taken *k, const struct writer *w)
{
    return w->lane < TAKEN_LANES && k->known[w->lane] < w->time;
}

static void read_seen(struct accesses *a, struct pairs *p, u64 key, u32 kind, ref_t stack)
{
    struct writer w;
    bool foreign = foreign_writer(key, a->number, &w);
    if (foreign)
        touched(p, key);
    struct access_frames *f = &a->frames;
    struct pair_read *r = reads_end(p, key >> 8, (u32)key & SLOT_MASK, foreign);
    *r = (struct pair_read){.granule = key >> 8,
                            .mask = (u32)key & SLOT_MASK,
                            .stamp = f->stamp,
                            .caller = f->outer[(f->depth - 1) % FRAMES_KEPT],
                            .depth = f->depth,
                            .task = p->task,
                            .generation = atomicity_generation(key >> 8),
                            .opens = !(kind & ACCESS_ATOMIC),
                            .stack = stack,
                            .hold = epochs[a->epoch].hold,
                            .nlocks = p->nlocks};
    __builtin_memcpy(r->lock, p->lock, sizeof r->lock);
    for (u32 i = 0; i < r->nlocks; i++) {
        const struct section *then = foreign ? section_of(w.lock, w.nlocks, r->lock[i].uid) : NULL;
        const struct taken *k = taken_at(p, r->lock[i].taken);
        r->lock[i].news = then && k && unknown_before(k, &w);
    }
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
static bool kept_apart(const struct pairs *p, const struct pair_read *r, const struct writer *w)
{
    for (u32 i = 0; i < p->nlocks; i++) {
        const struct section *then = section_of(r->lock, r->nlocks, p->lock[i].uid);
        if (then && then->number == p->lock[i].number && section_of(w->lock, w->nlocks, p->lock[i].uid))
            return true;
    }
    return false;
}

/* Has the thread learned of the write by w, made after the acquire `from`, from nothing but the lock of that uid? */
static bool learned_from_lock(struct pairs *p, u32 from, u32 uid, const struct writer *w, u32 number)
{
    for (u32 n = from + 1; n != p->ntaken + 1; n++) {
        const struct taken *k = taken_at(p, n);
        if (k && k->uid == uid && (k->shared ? k->number >= number : k->number > number))
            return unknown_before(k, w);
    }
    return false;
}

/* What the pair of this read and a write now, under lock i, is. VERDICT_COUNT: nothing. */
static u32 pair_verdict(struct pairs *p, u64 key, u32 i, const struct pair_read *r, const struct writer *w)
{
    const struct section *now = &p->lock[i], *then = section_of(r->lock, r->nlocks, now->uid),
                         *between = section_of(w->lock, w->nlocks, now->uid);
    const struct taken *first = then ? taken_at(p, then->taken) : NULL, *second = taken_at(p, now->taken);
    if (!first || !second || !between || now->shared || then->number == now->number || second->validated == then->taken)
        return VERDICT_COUNT;
    if (between->number > then->number)
        return learned_from_lock(p, then->taken, now->uid, w, between->number) ? VERDICT_OBSERVED : VERDICT_COUNT;
    return then->news && first->first == key && !first->more ? VERDICT_POSSIBLE : VERDICT_COUNT;
}

static struct pair_read *read_of(struct pairs *p, u64 key)
{
    struct pair_read *set = p->reads[(key >> 8) / GRANULE % PAIR_SETS];
    for (u32 i = 0; i < PAIR_WAYS; i++)
        if (set[i].granule == key >> 8 && set[i].mask == ((u32)key & SLOT_MASK))
            return &set[i];
    return NULL;
}

/* The access, in short. */
struct seen {
    struct thread *t;
    struct accesses *a;
    u64 key, pc;
    u32 kind;
    ref_t stack;
};

/* Fills f when this write is the second half of a pair that matters. */
static bool pair_of(const struct seen *x, struct pair_found *f)
{
    struct pairs *p = x->a->pairs;
    const struct pair_read *r = read_of(p, x->key);
    struct writer *w = &f->writer;
    if (!r || !r->opens || !read_is_valid(p, r) || !value_may_live(&x->a->frames, r) ||
        !foreign_writer(x->key, x->a->number, w) || kept_apart(p, r, w))
        return false;
    f->verdict = VERDICT_COUNT;
    u32 uid = 0;
    for (u32 i = 0; i < p->nlocks && f->verdict == VERDICT_COUNT; i++) {
        f->verdict = pair_verdict(p, x->key, i, r, w);
        uid = p->lock[i].uid;
    }
    if (f->verdict == VERDICT_COUNT || !writes_one(x->pc ? x->pc : x->stack, uid, x->key) ||
        (x->pc && stores_constant(x->pc)))
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
    f->across = !is_active(&x->a->frames, r->depth, r->stamp);
    return true;
}

static bool write_seen(const struct seen *x, const u64 *fp, bool complete)
{
    struct pairs *p = x->a->pairs;
    struct pair_found f;
    bool opened = !(x->kind & (ACCESS_ATOMIC | ACCESS_READ_TOO | ACCESS_FREE)) && read_of(p, x->key);
    if (opened && pair_of(x, &f)) {
        if (!complete)
            return false;
        pair_found(x->t, p, &f, fp);
    }
    struct writer other;
    bool foreign = foreign_writer(x->key, x->a->number, &other);
    if (foreign)
        touched(p, x->key);
    reads_end(p, x->key >> 8, (u32)x->key & SLOT_MASK, false);
    for (u32 i = 0; i < p->nlocks; i++)
        writes_one(x->pc ? x->pc : x->stack, p->lock[i].uid, x->key);
    written_by(x->t, x->a, p, x->key, x->stack);
    return true;
}

bool atomicity_access(struct thread *t, struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 pc,
                      const u64 *fp, bool complete)
{
    struct pairs *p = a->pairs;
    if (!p || p->busy || t->handler_depth || addr - t->rec->stack_lo < t->rec->stack_hi - t->rec->stack_lo)
        return true;
    struct seen x = {t, a, (addr & ~(u64)(GRANULE - 1)) << 8 | mask, pc, kind, stack};
    bool done = true;
    p->busy = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (p->epoch != a->epoch)
        sections_find(t, a, p);
    if (p->nlocks && (kind & ACCESS_WRITE))
        done = write_seen(&x, fp, complete);
    else if (p->nlocks)
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
        for (u32 i = 0; i < PAIR_SETS * PAIR_WAYS; i++)
            if (p->reads[i / PAIR_WAYS][i % PAIR_WAYS].granule - addr < size)
                p->reads[i / PAIR_WAYS][i % PAIR_WAYS].mask = 0;
        return;
    }
    for (u64 at = addr & ~(u64)(GRANULE - 1); at < end; at += GRANULE)
        reads_end(p, at, SLOT_MASK, false);
}
