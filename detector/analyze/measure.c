/* Contention: times of waits and holds, in records that the measuring thread alone writes (model/measure.h). Called by
 * slow paths of acquire and release, which all locks take while this is on. Takes RANK_STACKS at the first sight of a lock;
 * allocates arena records, and a private mapping for each thread.
 *
 * Holds are kept apart from the thread's held set: that is read by others, and its entries are not to grow. */
#include "analyze/measure.h"

#include "analyze/internal.h"
#include "base/hash.h"
#include "base/ticks.h"
#include "model/measure.h"

#define MEASURED_HOLDS 256u
#define CLASS_NONE 0xffffffffu
#define CLASS_TABLE 4096u
/* A stack of a release is captured when the hold is longer than the one captured last by an eighth of that. */
#define LONGER_SHIFT 3

bool measure_on;
static u64 rate;

struct measured_hold {
    ref_t lock;
    u32 mode;
    u64 since;
};

struct measures {
    ref_t waiting; /* for this lock, or has just waited for it */
    u32 wait_mode;
    bool wait_over;
    u64 wait_since, wait_site;
    u32 nholds;
    struct measured_hold hold[MEASURED_HOLDS];
    ref_t rec[2 * MEASURE_CLASSES]; /* by class and mode */
};

/* Classes of the run, in a chained table; RANK_STACKS. */
struct measure_class {
    u64 key;
    ref_t next, lock;
    u32 number;
};

void measure_start(void)
{
    measure_on = detects(DETECT_CONTENTION);
    rate = run()->tick_rate;
}

void measure_thread_new(struct measures *m)
{
    if (m)
        m->waiting = m->nholds = 0;
}

void measure_forked(struct thread *t)
{
    if (!t->measures)
        return;
    sys_unmap(t->measures, sizeof *t->measures);
    t->measures = NULL;
}

u64 measure_moment(void)
{
    return ticks_now(rate);
}

static u64 since(u64 begin, u64 end)
{
    return (int64_t)(end - begin) > 0 ? end - begin : 0;
}

static struct measures *measures_of(struct thread *t)
{
    if (snarl_unlikely(!t->measures))
        t->measures = sys_map(sizeof *t->measures);
    return t->measures;
}

/* ---- classes ---- */

/* Of what the name in reports is made from (report/names_lock.c); a lock more that is told apart here does no harm. */
static u64 class_key(const struct lock_rec *l)
{
    const struct object_birth *b = &l->birth;
    bool global = b->region == REGION_GLOBAL;
    u64 key[8] = {b->offset,
                  global ? 0 : b->alloc_size,
                  (u64)b->region << 32 | b->frame,
                  (u64)l->head.kind << 32 | (l->head.attrs & (ATTR_ONCE | ATTR_FILE | ATTR_PYTHON)),
                  b->module,
                  b->alloc_stack,
                  global && !(l->head.attrs & ATTR_PYTHON) ? 0 : b->init_stack,
                  b->name};
    return hash_bytes(key, sizeof key, 0);
}

static u32 class_find(struct run_state *rs, struct lock_rec *l)
{
    u64 key = class_key(l);
    if (!rs->measure_table && !(rs->measure_table = arena_blob(CLASS_TABLE * sizeof(ref_t))))
        return CLASS_NONE;
    ref_t *head = (ref_t *)arena_at(rs->measure_table) + key % CLASS_TABLE;
    for (ref_t r = *head; r; r = ((struct measure_class *)arena_at(r))->next)
        if (((struct measure_class *)arena_at(r))->key == key)
            return ((struct measure_class *)arena_at(r))->number;
    ref_t r = rs->nmeasured + 1 < MEASURE_CLASSES ? arena_blob(sizeof(struct measure_class)) : 0;
    if (!r)
        return CLASS_NONE;
    *(struct measure_class *)arena_at(r) =
        (struct measure_class){.key = key, .next = *head, .lock = arena_ref(l), .number = ++rs->nmeasured};
    pin_object(arena_ref(l));
    *head = r;
    return rs->nmeasured;
}

static ref_t class_lock(const struct run_state *rs, const struct lock_rec *l)
{
    const ref_t *head = (const ref_t *)arena_at(rs->measure_table) + class_key(l) % CLASS_TABLE;
    for (ref_t r = *head; r; r = ((struct measure_class *)arena_at(r))->next)
        if (((struct measure_class *)arena_at(r))->number == l->measured)
            return ((struct measure_class *)arena_at(r))->lock;
    return 0;
}

static SNARL_COLD void class_give(struct lock_rec *l)
{
    struct run_state *rs = run();
    u64 mask = ilock_acquire(&rs->stacks_lock);
    u32 class = class_find(rs, l);
    ilock_release(&rs->stacks_lock, mask);
    if (class == CLASS_NONE)
        run_lost(LOSS_contention_full);
    __atomic_store_n(&l->measured, class, __ATOMIC_RELAXED);
}

static SNARL_COLD ref_t rec_new(const struct lock_rec *l, enum lock_mode mode)
{
    ref_t r = arena_alloc(POOL_MEASURE, sizeof(struct measure_rec));
    if (!r) {
        run_lost(LOSS_arena_full);
        return 0;
    }
    struct measure_rec *rec = arena_at(r);
    rec->mode = mode;
    rec->process = engine_process_ref;
    ref_t lock = class_lock(run(), l);
    if (!lock) { /* its key has changed since, so it may be the only one */
        lock = arena_ref(l);
        pin_object(lock);
    }
    __atomic_store_n(&rec->lock, lock, __ATOMIC_RELEASE);
    return r;
}

/* The thread's record for locks like l; NULL: none is kept. */
static struct measure_rec *rec_of(struct measures *m, struct lock_rec *l, enum lock_mode mode)
{
    if (snarl_unlikely(!l->measured))
        class_give(l);
    u32 class = l->measured;
    if (snarl_unlikely(class >= MEASURE_CLASSES))
        return NULL;
    ref_t *r = &m->rec[2 * class + (mode == MODE_SHARED)];
    if (snarl_unlikely(!*r) && !(*r = rec_new(l, mode)))
        return NULL;
    return arena_at(*r);
}

/* ---- waits ---- */

void measure_wait_begin(struct thread *t, const struct lock_rec *l, enum lock_mode mode, const u64 *fp)
{
    struct measures *m = (l->head.attrs & ATTR_MEASURED) ? measures_of(t) : NULL;
    ref_t lock = arena_ref(l);
    if (!m || (m->waiting == lock && !m->wait_over))
        return;
    m->waiting = lock;
    m->wait_mode = mode;
    m->wait_over = false;
    m->wait_site = site_of(fp);
    m->wait_since = measure_moment();
}

static void wait_note(struct thread *t, struct measures *m, u64 ns)
{
    struct measure_rec *r = rec_of(m, LOCK_AT(m->waiting), m->wait_mode);
    if (!r)
        return;
    r->wait_ns += ns;
    r->waits[measure_bucket(ns)]++;
    if (ns > r->wait.ns) {
        const struct wait_rec *w = &t->rec->wait;
        bool published = (w->seq & 1) && w->object == m->waiting;
        r->wait = (struct measure_longest){
            .ns = ns, .site_pc = m->wait_site, .stack = published ? w->stack : 0, .thread = t->rec->number};
    }
}

void measure_wait_end(struct thread *t)
{
    struct measures *m = t->measures;
    if (!m || !m->waiting || m->wait_over)
        return;
    m->wait_over = true;
    wait_note(t, m, since(m->wait_since, measure_moment()));
}

void engine_wait_failed_measured(struct thread *t)
{
    struct measures *m = t->measures;
    if (!m || !m->waiting)
        return;
    measure_wait_end(t);
    struct measure_rec *r = rec_of(m, LOCK_AT(m->waiting), m->wait_mode);
    if (r)
        r->given_up++;
    m->waiting = 0;
}

void engine_wait_unknown_measured(struct thread *t)
{
    if (t->measures)
        t->measures->waiting = 0;
}

void engine_spins_measured(struct thread *t, const struct lock_rec *l, const u64 *fp)
{
    measure_wait_begin(t, l, MODE_EXCLUSIVE, fp);
}

/* ---- holds ---- */

static void hold_begin(struct thread *t, struct measures *m, ref_t lock, enum lock_mode mode)
{
    if (t->rec->nheld <= 1)
        m->nholds = 0; /* what is left was never let go by this thread */
    u32 i = m->nholds;
    for (u32 k = 0; k < m->nholds; k++)
        if (m->hold[k].lock == lock)
            i = k;
    if (i == MEASURED_HOLDS) { /* the outermost one is not measured */
        __builtin_memmove(m->hold, m->hold + 1, (MEASURED_HOLDS - 1) * sizeof *m->hold);
        i--;
    } else if (i == m->nholds) {
        m->nholds++;
    }
    m->hold[i] = (struct measured_hold){lock, mode, measure_moment()};
}

void measure_acquired(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how)
{
    struct measures *m = (l->head.attrs & (ATTR_MEASURED | ATTR_THREAD_END)) == ATTR_MEASURED ? measures_of(t) : NULL;
    struct measure_rec *r = m ? rec_of(m, l, mode) : NULL;
    if (!r)
        return;
    r->acquisitions++;
    if (snarl_unlikely(m->waiting)) {
        if (m->waiting == arena_ref(l)) {
            measure_wait_end(t);
            r->contended++;
        }
        m->waiting = 0;
    }
    if (snarl_unlikely(how & HOW_REACQUIRE))
        r->reacquired++;
    hold_begin(t, m, arena_ref(l), mode);
}

/* The holds that began at one place share an entry; a new place takes that of the shortest. */
static void hold_rank(struct thread *t, struct measure_rec *r, const struct held_entry *h, u64 ns, const u64 *fp)
{
    struct measure_longest *at = &r->hold[0];
    for (u32 i = 0; i < MEASURE_HOLDERS; i++) {
        if (r->hold[i].ns && r->hold[i].site_pc == h->site_pc) {
            at = &r->hold[i];
            break;
        }
        if (r->hold[i].ns < at->ns)
            at = &r->hold[i];
    }
    if (ns <= at->ns)
        return;
    if (at->site_pc != h->site_pc)
        *at = (struct measure_longest){.site_pc = h->site_pc};
    at->ns = ns;
    at->thread = t->rec->number;
    if (h->stack)
        at->stack = h->stack;
    if (ns > at->end_ns + (at->end_ns >> LONGER_SHIFT)) {
        at->end_ns = ns;
        at->end_stack = capture(t, fp);
    }
}

void measure_released(struct thread *t, struct lock_rec *l, const struct held_entry *h, u64 moment, const u64 *fp)
{
    struct measures *m = t->measures;
    ref_t lock = arena_ref(l);
    u32 i = m ? m->nholds : 0;
    while (i && m->hold[i - 1].lock != lock)
        i--;
    if (!i)
        return; /* it was taken before the fork, or too many are held */
    struct measured_hold was = m->hold[i - 1];
    m->nholds--;
    __builtin_memmove(m->hold + i - 1, m->hold + i, (m->nholds - (i - 1)) * sizeof *m->hold);
    struct measure_rec *r = rec_of(m, l, was.mode);
    if (!r)
        return;
    u64 ns = since(was.since, moment);
    r->hold_ns += ns;
    r->holds[measure_bucket(ns)]++;
    hold_rank(t, r, h, ns, fp);
}
