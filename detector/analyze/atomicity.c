/* Lost updates: which read and which write belong together, and who may write between them. Called by accesses made with
 * locks held, by acquires and releases. Takes no lock; maps memory: a table per thread.
 *
 * An access costs an entry in the thread's own log, and a write one in the thread's own table (written.c). All that the
 * rule below asks for is looked up there when a thread writes what it last touched in an earlier epoch, by a read.
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
#include "analyze/shared.h"

/* Not a program's critical section. */
#define ATTRS_NO_SECTION                                                                                               \
    (ATTR_FILE | ATTR_ONCE | ATTR_INTERPRETER | ATTR_THREAD_END | ATTR_UNTRACKED | ATTR_PROCESS_OWNED)

/* ---- sections ---- */

static SNARL_COLD struct pairs *pairs_begin(struct accesses *a)
{
    if (!detects(DETECT_ATOMICITY) || (!__atomic_load_n(&pair_generations, __ATOMIC_ACQUIRE) && !written_start()))
        return NULL;
    a->pairs = sys_map(sizeof *a->pairs);
    if (!a->pairs)
        return NULL;
    a->pairs->turn = 1;
    a->pairs->nlog = PAIR_LOG; /* so that an index of 0 is too old */
    pairs_renew(a->pairs);
    return a->pairs;
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
    k->serial = p->serial;
    k->lanes = a->clock.lanes < TAKEN_LANES ? a->clock.lanes : TAKEN_LANES;
    for (u32 i = 0; i < k->lanes; i++)
        k->known[i] = a->clock.times[i];
}

static const struct taken *taken_at(const struct pairs *p, u32 n)
{
    return n && p->ntaken - n < TAKEN ? &p->taken[n % TAKEN] : NULL;
}

/* The locks held, for the accesses of this epoch. */
static __attribute__((noinline)) void epoch_locks(struct accesses *a, struct pairs *p)
{
    struct thread *t = a->owner;
    struct pair_locks *now = &p->epochs[++p->serial % PAIR_EPOCHS];
    const struct pair_locks *before = &p->epochs[(p->serial - 1) % PAIR_EPOCHS];
    struct writer *w = &p->now;
    u32 n = 0, writes = 0;
    bool same = true;
    now->serial = p->serial;
    now->task = p->task;
    now->first = p->nlog;
    now->shared = 0;
    now->hold = w->hold = epochs[a->epoch].hold;
    w->time = epochs[a->epoch].time;
    w->number = a->number;
    for (u32 i = t->rec->nheld; i-- > 0 && n < PAIR_LOCKS;) {
        const struct lock_rec *l = LOCK_AT(t->held[i].lock);
        if (l->head.attrs & ATTRS_NO_SECTION)
            continue;
        u64 held = l->head.uid | (u64)l->section << 32; /* in one piece: it is read again at once */
        __builtin_memcpy(&now->lock[n], &held, sizeof held);
        same &= n < before->nlocks && before->lock[n].uid == l->head.uid;
        now->taken[n] = 0;
        if (t->held[i].mode == MODE_SHARED)
            now->shared |= 1u << n;
        else
            __builtin_memcpy(&w->lock[writes++], &held, sizeof held);
        for (u32 k = p->ntaken; !now->taken[n] && k + TAKEN > p->ntaken && k; k--)
            if (p->taken[k % TAKEN].uid == l->head.uid)
                now->taken[n] = k;
        n++;
    }
    if (!same)
        p->noted = p->nlog;
    p->reach = p->serial < PAIR_EPOCHS ? PAIR_LOG : p->epochs[(p->serial + 1) % PAIR_EPOCHS].first;
    p->nlocks = now->nlocks = n;
    if (n < PAIR_LOCKS)
        now->lock[n].uid = 0;
    if (writes < PAIR_LOCKS)
        w->lock[writes].uid = 0;
    struct written_lane *table = written_table(a->clock.lane, a->number, t->ref, w->time);
    p->table = table;
    p->writes = writes && table ? table->writes : NULL;
    p->beyond = writes && !table;
}

static __attribute__((noinline)) void segment_begin(struct accesses *a, struct pairs *p)
{
    const struct access_frames *f = &a->frames;
    if (p->renewed)
        epoch_locks(a, p);
    p->renewed = false;
    p->stamp = f->stamp;
    p->segments[p->nsegments++ % PAIR_SEGMENTS] =
        (struct pair_segment){.stamp = f->stamp,
                              .caller = f->outer[(f->depth - 1) % FRAMES_KEPT],
                              .depth = f->depth,
                              .locks = p->serial,
                              .first = p->nlog};
}

static const struct pair_locks *locks_now(const struct pairs *p)
{
    return &p->epochs[p->serial % PAIR_EPOCHS];
}
/* NULL: too long ago. */
static const struct pair_locks *locks_then(const struct pairs *p, u32 serial)
{
    const struct pair_locks *then = &p->epochs[serial % PAIR_EPOCHS];
    return serial && then->serial == serial ? then : NULL;
}

/* ---- what the thread has done ---- */

/* That of access n of the log; NULL: forgotten. */
static const struct pair_segment *segment_of(const struct pairs *p, u32 n)
{
    for (u32 i = 1; i <= PAIR_SEGMENTS && i <= p->nsegments; i++) {
        const struct pair_segment *s = &p->segments[(p->nsegments - i) % PAIR_SEGMENTS];
        if ((int)(n - s->first) >= 0)
            return s;
    }
    return NULL;
}

/* Was that acquire's lock held in that epoch? */
static bool epoch_is_in(const struct pair_locks *e, u32 taken)
{
    for (u32 i = 0; i < e->nlocks; i++)
        if (e->taken[i] == taken)
            return true;
    return false;
}

/* The accesses of epochs in the section of this acquire, one after the other: calls f for each but ends of ranges, until
 * it returns true. True also if not all are remembered. */
static SNARL_COLD bool section_any(struct accesses *a, u32 taken, u64 key, bool (*f)(struct accesses *, u32 n, u64 key))
{
    const struct pairs *p = a->pairs;
    const struct taken *k = taken_at(p, taken);
    if (!k || p->serial - k->serial > PAIR_EPOCHS)
        return true;
    for (u32 serial = k->serial + 1; serial != p->serial + 1; serial++) {
        const struct pair_locks *e = locks_then(p, serial), *next = locks_then(p, serial + 1);
        u32 end = serial == p->serial || !next ? p->nlog : next->first;
        if (!e || !epoch_is_in(e, taken))
            continue;
        for (u32 n = e->first; n != end; n++)
            if (!log_has(p, n) || (!(log_at(p, n)->key & KEY_REST) && f(a, n, key)))
                return true;
    }
    return false;
}

/* Others write what access n touched, and it is still the same. */
static bool of_others(const struct accesses *a, u32 n)
{
    const struct pair_access *x = log_at(a->pairs, n);
    u64 key = x->key & ~KEY_BITS;
    return x->generation == atomicity_generation(key >> 8) &&
           (written_by_others(key, x->generation, a->clock.lane, a->number) ||
            (shared_active && shared_written_by_others(key, a->number)));
}

/* Something else than key that others write. */
static bool is_other_thing(struct accesses *a, u32 n, u64 key)
{
    return (log_at(a->pairs, n)->key & ~KEY_BITS) != key && of_others(a, n);
}

/* A read of what was last touched by a read in the section of that acquire, and that others write. */
static bool is_read_again(struct accesses *a, u32 n, u64 taken)
{
    const struct pairs *p = a->pairs;
    const struct pair_access *x = log_at(p, n);
    if (x->key & KEY_WROTE)
        return false;
    for (u32 i = n - 1; log_has(p, i); i--) {
        const struct pair_access *before = log_at(p, i);
        if (!overlaps(before, x->key))
            continue;
        const struct pair_segment *s = before->key & (KEY_WROTE | KEY_REST) ? NULL : segment_of(p, i);
        const struct pair_locks *then = s ? locks_then(p, s->locks) : NULL;
        return then && then->task == p->task && epoch_is_in(then, (u32)taken) && before->generation == x->generation &&
               of_others(a, n);
    }
    return false;
}

/* The thread's last access of these bytes, if it was a read, in an earlier epoch, and of these bytes only. */
static bool read_before(const struct pairs *p, u64 key, struct pair_read *r)
{
    u64 hash = pair_hash(key);
    u32 n = p->index[index_of(hash)];
    if (!index_has(p, n, key))
        n = p->displaced[displaced_of(hash)];
    if (!index_has(p, n, key))
        return false;
    const struct pair_access *x = log_at(p, n);
    for (u32 i = n + 1; i != p->nlog; i++)
        if (overlaps(log_at(p, i), key))
            return false;
    const struct pair_segment *s = segment_of(p, n);
    const struct pair_locks *then = s ? locks_then(p, s->locks) : NULL;
    if (!then || then->task != p->task || x->generation != atomicity_generation(key >> 8))
        return false;
    *r = (struct pair_read){.segment = *s, .generation = x->generation, .stack = x->stack};
    return true;
}

/* ---- pairs ---- */

/* A lock that both held all the time. */
static bool kept_apart(const struct pair_locks *now, const struct pair_locks *then, const struct writer *w)
{
    for (u32 i = 0; i < now->nlocks; i++) {
        int k = section_index(then->lock, now->lock[i].uid);
        if (k >= 0 && then->lock[k].number == now->lock[i].number && section_index(w->lock, now->lock[i].uid) >= 0)
            return true;
    }
    return false;
}

/* The write by w was not known to the thread before it took the lock at this acquire. */
static bool unknown_before(const struct taken *k, const struct writer *w)
{
    return (w->lane < k->lanes ? k->known[w->lane] : 0) < w->time;
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

/* Has the thread, after the acquire `from` and the write of section `between`, looked again at what it had read since that
 * acquire? What it does from there on rests on that look. */
static bool looked_since(struct accesses *a, u32 from, struct section between)
{
    struct pairs *p = a->pairs;
    for (u32 n = from + 1; n != p->ntaken + 1; n++) {
        const struct taken *k = taken_at(p, n);
        if (!k || k->uid != between.uid || (k->shared ? k->number < between.number : k->number <= between.number))
            continue;
        for (u32 first = from; first != n; first++)
            if (section_any(a, n, first, is_read_again))
                return true;
    }
    return false;
}

/* The last write by another thread under that lock: of this process, or of any. */
static bool last_writer(const struct accesses *a, u64 key, u32 generation, u32 uid, struct writer *w)
{
    if (snarl_unlikely(shared_active) && shared_written_last(key, a->number, uid, w))
        return true;
    return written_last(key, generation, a->clock.lane, uid, w);
}

/* What the pair of this read and a write now, under lock i, is, and the write that comes in between. VERDICT_COUNT:
 * nothing. */
static u32 pair_verdict(struct accesses *a, u64 key, u32 i, const struct pair_read *r, struct writer *w)
{
    struct pairs *p = a->pairs;
    const struct pair_locks *now = locks_now(p), *then = locks_then(p, r->segment.locks);
    u32 uid = now->lock[i].uid;
    int k = section_index(then->lock, uid);
    const struct taken *first = k >= 0 ? taken_at(p, then->taken[k]) : NULL, *second = taken_at(p, now->taken[i]);
    if (!first || !second || (now->shared & 1u << i) || then->lock[k].number == now->lock[i].number ||
        !last_writer(a, key, r->generation, uid, w) || kept_apart(now, then, w))
        return VERDICT_COUNT;
    u32 from = then->taken[k], verdict = VERDICT_COUNT;
    struct section between = w->lock[section_index(w->lock, uid)];
    if (between.number > then->lock[k].number)
        verdict = learned_from_lock(p, from, between, w) && !looked_since(a, from, between) ? VERDICT_OBSERVED
                                                                                            : VERDICT_COUNT;
    else if (unknown_before(first, w) && !section_any(a, from, key, is_other_thing))
        verdict = VERDICT_POSSIBLE;
    return verdict != VERDICT_COUNT && section_any(a, now->taken[i], from, is_read_again) ? VERDICT_COUNT : verdict;
}

/* A write, in short. */
struct seen {
    struct accesses *a;
    u64 key, pc; /* pc: or the stack, if it is not known */
    u32 kind;
    ref_t stack;
};

/* Fills f when this write is the second half of a pair that matters. */
static bool pair_of(const struct seen *x, struct pair_found *f)
{
    struct accesses *a = x->a;
    struct pairs *p = a->pairs;
    const struct pair_locks *now = locks_now(p);
    struct pair_read *r = &f->read;
    if (!read_before(p, x->key, r) || !pair_value_lives(&a->frames, &r->segment))
        return false;
    f->verdict = VERDICT_COUNT;
    u32 uid = 0;
    for (u32 i = 0; i < now->nlocks && f->verdict == VERDICT_COUNT; i++) {
        f->verdict = pair_verdict(a, x->key, i, r, &f->writer);
        uid = now->lock[i].uid;
    }
    if (f->verdict == VERDICT_COUNT || !writes_one(x->pc, uid, x->key) || (x->pc != x->stack && stores_constant(x->pc)))
        return false;
    const struct thread *t = a->owner;
    for (u32 i = 0; i < t->rec->nheld; i++)
        if (LOCK_AT(t->held[i].lock)->head.uid == uid)
            f->lock = t->held[i].lock;
    f->address = x->key >> 8;
    f->mask = (u32)x->key & SLOT_MASK;
    f->generation = r->generation;
    f->kind = x->kind;
    f->stack = x->stack;
    f->hold = locks_then(p, r->segment.locks)->hold;
    f->across = !pair_is_active(&a->frames, r->segment.depth, r->segment.stamp);
    return true;
}

/* False: it is a pair, and has to come again with fp. */
static SNARL_COLD bool pair_ends(struct accesses *a, u64 key, u32 kind, ref_t stack, u64 pc, const u64 *fp)
{
    struct pair_found f;
    if (!pair_of(&(struct seen){a, key, pc, kind, stack}, &f))
        return true;
    if (fp)
        pair_found(a->owner, a->pairs, &f, fp);
    return fp != NULL;
}

/* ---- accesses ---- */

static __attribute__((noinline)) void written_more(struct pairs *p, u32 i, u32 turn)
{
    struct written_more *more = &p->table->more[i];
    more->turn = turn;
    for (u32 k = 1; k < PAIR_LOCKS; k++)
        more->lock[k - 1] = p->now.lock[k];
}

static SNARL_HOT void written_now(struct pairs *p, u64 key, u64 hash, u32 generation, ref_t stack)
{
    if (snarl_unlikely(!p->writes)) {
        if (p->beyond)
            written_beyond(key, generation, p->now.number);
        return;
    }
    u32 turn = (p->turn += TURN_STEP) | (p->now.lock[1].uid ? TURN_MORE : 0);
    struct written *w = &p->writes[written_index(hash)];
    __atomic_store_n(&w->turn, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    w->tag = written_tag(hash, generation);
    w->stack = stack;
    w->hold = p->now.hold;
    w->time = p->now.time;
    w->lock = p->now.lock[0];
    if (snarl_unlikely(turn & TURN_MORE))
        written_more(p, written_index(hash), turn);
    __atomic_store_n(&w->turn, turn, __ATOMIC_RELEASE);
}

static __attribute__((noinline)) void writes_note_all(const struct pairs *p, u64 pc, u64 key)
{
    for (u32 i = 0; i < p->nlocks; i++)
        writes_note(pc, locks_now(p)->lock[i].uid, key);
}

/* In nearly all programs nearly no write does: what is written was touched in this epoch, or not lately. n: where the
 * index has the last access, if it has it. */
static SNARL_HOT bool may_end_pair(const struct pairs *p, u64 key, u64 hash, u32 n)
{
    if (snarl_likely((log_at(p, n)->key & ~KEY_BITS) == key))
        return log_at(p, n)->key == key && (int)(n - locks_now(p)->first) < 0;
    return index_has(p, p->displaced[displaced_of(hash)], key);
}

/* `last`: perhaps of the same bytes. */
static SNARL_HOT bool write_note(struct accesses *a, u64 key, u64 hash, u32 kind, u32 generation, ref_t stack, u64 pc,
                                 const u64 *fp)
{
    struct pairs *p = a->pairs;
    u32 n = p->index[index_of(hash)];
    const struct pair_access *last = log_at(p, n);
    if (may_end_pair(p, key, hash, n) && !(kind & (ACCESS_ATOMIC | ACCESS_READ_TOO | ACCESS_FREE)) &&
        !pair_ends(a, key, kind, stack, pc, fp))
        return false;
    if (last->key != (key | KEY_WROTE) || last->stack != stack || (int)(n - p->noted) < 0) {
        if (snarl_likely(p->nlocks == 1))
            writes_note(pc, locks_now(p)->lock[0].uid, key);
        else
            writes_note_all(p, pc, key);
    }
    written_now(p, key, hash, generation, stack);
    if (snarl_unlikely(shared_active))
        shared_wrote(a, key, stack);
    return true;
}

/* Two keys have the same place in the index. */
static __attribute__((noinline)) void displace(struct pairs *p, u32 n)
{
    u64 key = log_at(p, n)->key;
    if (log_has(p, n) && !(key & KEY_BITS))
        p->displaced[displaced_of(pair_hash(key))] = n;
}

static SNARL_HOT void log_add(struct pairs *p, u64 key, u64 hash, u32 kind, ref_t stack, u32 generation)
{
    u32 *n = &p->index[index_of(hash)];
    if (snarl_unlikely((int)(*n - p->reach) >= 0) && snarl_unlikely((log_at(p, *n)->key & ~KEY_BITS) != key))
        displace(p, *n);
    *n = p->nlog;
    p->log[p->nlog++ % PAIR_LOG] = (struct pair_access){
        .key = key | (u64)(kind & (ACCESS_WRITE | ACCESS_ATOMIC)) << 8, .stack = stack, .generation = generation};
}

static SNARL_HOT bool is_left_out(const struct accesses *a, const struct pairs *p, u64 addr)
{
    const struct thread *t = a->owner;
    return p->busy | t->handler_depth || addr - t->rec->stack_lo < t->rec->stack_hi - t->rec->stack_lo;
}

static SNARL_HOT bool access_look(struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 pc, const u64 *fp)
{
    struct pairs *p = a->pairs;
    if (snarl_unlikely(is_left_out(a, p, addr)))
        return true;
    p->busy = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (p->stamp != a->frames.stamp)
        segment_begin(a, p);
    u64 key = addr >> 3 << 11 | mask, hash = pair_hash(key);
    u32 generation = atomicity_generation(addr);
    bool done = !p->nlocks || !(kind & ACCESS_WRITE) || write_note(a, key, hash, kind, generation, stack, pc, fp);
    if (snarl_likely(done) && p->nlocks)
        log_add(p, key, hash, kind, stack, generation);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    p->busy = false;
    return done;
}

bool atomicity_access(struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 pc)
{
    return access_look(a, addr, mask, kind, stack, pc, NULL);
}

void atomicity_seen(struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 pc, const u64 *fp)
{
    if (a->pairs)
        access_look(a, addr, mask, kind, stack, pc ? pc : stack, fp);
}

void atomicity_rest(struct accesses *a, u64 addr, u64 size)
{
    struct pairs *p = a->pairs;
    if (!p || is_left_out(a, p, addr))
        return;
    u64 first = addr & ~(u64)(GRANULE - 1);
    p->busy = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    p->log[p->nlog++ % PAIR_LOG] = (struct pair_access){.key = first << 8 | KEY_REST, .size = addr + size - first};
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    p->busy = false;
}
