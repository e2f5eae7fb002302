/* Unprotected data of made-up threads, against two oracles that remember every access of every byte. One does what
 * analyze/weak.h says, with plain vectors; the engine finds the same. The other one is WDC itself, without anything that
 * orders more: whatever the engine finds has no order there, however little it can keep. */
#include "access_fixture.h"
#include "analyze/recycle.h"
#include "analyze/weak.h"

#define BYTES (LOCKS * GRANULE + THREADS * OWN)
#define OWN 4 /* of each thread */
#define PAST 1024
#define KEYS 2
#define LOCKS 4 /* the last one is a read-write lock */
#define NESTED 3
#define SECTIONS 4096
#define RING 6

/* ---- the oracles ---- */

typedef u32 vector[THREADS];

static void learn(u32 *to, const u32 *from)
{
    for (u32 i = 0; i < THREADS; i++)
        to[i] = from[i] > to[i] ? from[i] : to[i];
}

struct past {
    u32 thread, time, epoch, kind, n, run;
    u32 section[NESTED];
    bool gone; /* a later access says more */
};
struct section {
    u32 lock, thread, end; /* end 0: open */
    bool shared, met, wrote;
    vector weak, wdc; /* at its end */
};
static struct {
    vector strong[THREADS], weak[THREADS], wdc[THREADS];
    struct {
        vector strong, all, readers, weak_readers;
        bool leak, begun;
        struct {
            u32 thread, time;
            vector weak;
        } ring[RING];
        u32 hand, last, before;
    } lock[LOCKS];
    struct {
        vector strong, weak, wdc;
    } key[KEYS];
    struct section section[SECTIONS];
    u32 nsections, run[SECTIONS], nruns; /* runs: of sections without a break, with their ends */
    u32 held[THREADS][NESTED], nheld[THREADS], now[THREADS], epoch[THREADS];
    u32 known[THREADS][THREADS]; /* up to which epoch each knows the others' */
    u32 nepochs;
    struct past past[BYTES][PAST];
    u32 n[BYTES];
} o;

static void tick(u32 t)
{
    o.strong[t][t]++;
    o.weak[t][t]++;
    o.wdc[t][t]++;
    o.epoch[t] = ++o.nepochs;
}

static bool excludes(const struct section *a, const struct section *b)
{
    return a->lock == b->lock && !(a->shared && b->shared);
}

/* As the engine keeps it: the first release by that thread since then. -1: none is kept. */
static int ring_find(u32 lock, u32 thread, u32 time)
{
    int first = -1;
    for (int i = 0; i < RING; i++)
        if (o.lock[lock].ring[i].time >= time && o.lock[lock].ring[i].thread == thread && o.lock[lock].ring[i].time &&
            (first < 0 || o.lock[lock].ring[i].time < o.lock[lock].ring[first].time))
            first = i;
    return first;
}

static int ring_place(u32 lock, u32 thread)
{
    int own = -1, nown = 0;
    u32 last = o.lock[lock].last, before = o.lock[lock].before;
    if (last != before && o.lock[lock].ring[last].thread == thread && o.lock[lock].ring[before].thread == thread)
        return (int)before;
    for (int i = 0; i < RING; i++) {
        if (!o.lock[lock].ring[i].time)
            return i;
        if (o.lock[lock].ring[i].thread != thread)
            continue;
        nown++;
        if (own < 0 || o.lock[lock].ring[i].time < o.lock[lock].ring[own].time)
            own = i;
    }
    if (nown > 1)
        return own;
    for (int i = 0; i < RING; i++)
        for (int j = 0; j < RING; j++)
            if (o.lock[lock].ring[j].thread == o.lock[lock].ring[i].thread &&
                o.lock[lock].ring[j].time > o.lock[lock].ring[i].time)
                return i;
    return (int)(o.lock[lock].hand++ % RING);
}

static void oracle_section_orders(u32 t, const struct past *p, const struct section *then)
{
    if (then->shared)
        return;
    int left = ring_find(then->lock, p->thread, p->time);
    learn(o.weak[t], left < 0 ? o.lock[then->lock].strong : o.lock[then->lock].ring[left].weak);
}

static void oracle_sections_end(u32 t, const struct past *p)
{
    for (u32 k = 0; k < p->n; k++) {
        const struct section *s = &o.section[p->section[k]];
        int left = s->shared ? -1 : ring_find(s->lock, p->thread, p->time);
        const u32 *known = o.weak[t];
        for (u32 i = 0; i < o.nheld[t]; i++)
            known = o.section[o.held[t][i]].lock == s->lock ? o.strong[t] : known;
        if (left >= 0 && known[p->thread] >= o.lock[s->lock].ring[left].time)
            learn(o.weak[t], o.lock[s->lock].ring[left].weak);
        else if (!s->shared)
            o.lock[s->lock].leak = true;
    }
}

static bool oracle_weak_before(u32 t, const struct past *p)
{
    u32 end = p->n ? o.run[p->run] : p->time;
    bool known = end && o.weak[t][p->thread] >= end;
    for (u32 k = 0; k < p->n; k++)
        for (u32 i = 0; i < o.nheld[t]; i++)
            if (excludes(&o.section[o.held[t][i]], &o.section[p->section[k]])) {
                o.section[o.held[t][i]].met = true;
                if (!known)
                    oracle_section_orders(t, p, &o.section[p->section[k]]);
            }
    if (end && o.weak[t][p->thread] >= end)
        return true;
    if (o.weak[t][p->thread] < p->time)
        return false;
    oracle_sections_end(t, p);
    return true;
}

static enum relation oracle_relation(u32 t, const struct past *p)
{
    if (p->thread == t || o.known[t][p->thread] >= p->epoch)
        return BEFORE;
    if (o.strong[t][p->thread] < p->time)
        return UNORDERED;
    if (!oracle_weak_before(t, p))
        return LUCKY;
    o.known[t][p->thread] = p->epoch;
    return BEFORE;
}

static bool conflicts(u32 kind, const struct past *p)
{
    return ((kind | p->kind) & ACCESS_WRITE) && !(kind & p->kind & ACCESS_ATOMIC);
}
static bool outdone(u32 kind, const struct past *p)
{
    return ((kind & ACCESS_WRITE) || !(p->kind & ACCESS_WRITE)) &&
           ((p->kind & ACCESS_ATOMIC) || !(kind & ACCESS_ATOMIC));
}
/* The thread has made such accesses of the byte in this epoch. */
static bool has(u32 t, u32 kind, u32 b)
{
    for (u32 i = 0; i < o.n[b]; i++)
        if (!o.past[b][i].gone && o.past[b][i].thread == t && o.past[b][i].epoch == o.epoch[t] &&
            o.past[b][i].kind == kind)
            return true;
    return false;
}
static bool covered(u32 t, u32 kind, u32 at, u32 size)
{
    for (u32 k = 0; k < 4; k++) {
        bool all = (!(kind & ACCESS_WRITE) || (k & ACCESS_WRITE)) && (!(k & ACCESS_ATOMIC) || (kind & ACCESS_ATOMIC));
        for (u32 b = at; b < at + size; b++)
            all &= has(t, k, b);
        if (all)
            return true;
    }
    return false;
}

static bool oracle_explains(u32 t, const struct past *p)
{
    bool some = false;
    for (u32 i = 0; i < o.nheld[t]; i++) {
        const struct section *s = &o.section[o.held[t][i]];
        if ((s->met || s->wrote) && !o.lock[s->lock].leak)
            continue;
        learn(o.weak[t], o.lock[s->lock].strong);
        some = true;
    }
    return some && oracle_weak_before(t, p);
}

static void oracle_meets_race(u32 t)
{
    for (u32 i = 0; i < o.nheld[t]; i++)
        learn(o.weak[t], o.lock[o.section[o.held[t][i]].lock].strong);
}

static bool meet(u32 t, u32 kind, struct past *p)
{
    enum relation r = oracle_relation(t, p);
    bool found = false;
    if (r >= LUCKY && !conflicts(kind, p))
        return false;
    if (r == UNORDERED) {
        oracle_sections_end(t, p);
        oracle_meets_race(t);
    }
    if (r == LUCKY && !oracle_explains(t, p)) {
        found = true;
        learn(o.weak[t], o.strong[t]);
        oracle_relation(t, p);
    }
    p->gone = outdone(kind, p);
    return found;
}

static bool oracle_access(u32 t, u32 at, u32 size, u32 kind, bool counts)
{
    bool skip = covered(t, kind, at, size), found = false;
    for (u32 b = at; b < at + size; b++)
        for (u32 i = 0; i < o.n[b] && !skip; i++)
            if (!o.past[b][i].gone && conflicts(kind, &o.past[b][i]) && oracle_relation(t, &o.past[b][i]) == UNORDERED)
                oracle_meets_race(t);
    for (u32 b = at; b < at + size; b++) {
        for (u32 i = o.n[b]; i-- > 0 && !skip;)
            if (!o.past[b][i].gone)
                found |= meet(t, kind, &o.past[b][i]);
        if (skip || o.n[b] == PAST)
            continue;
        struct past *p = &o.past[b][o.n[b]++];
        *p = (struct past){
            .thread = t, .time = o.strong[t][t], .epoch = o.epoch[t], .kind = kind, .n = o.nheld[t], .run = o.now[t]};
        memcpy(p->section, o.held[t], sizeof p->section);
    }
    for (u32 i = 0; counts && i < o.nheld[t]; i++)
        o.section[o.held[t][i]].wrote = true;
    return found;
}

/* WDC itself. Before oracle_access. True: a conflicting access has no order with this one, and no lock in common. */
static bool wdc_access(u32 t, u32 at, u32 size, u32 kind)
{
    bool found = false;
    for (u32 pass = 0; pass < 2; pass++) {
        for (u32 b = at; b < at + size; b++) {
            for (u32 i = 0; i < o.n[b]; i++) {
                const struct past *p = &o.past[b][i];
                bool apart = false;
                for (u32 k = 0; k < p->n; k++)
                    for (u32 j = 0; j < o.nheld[t]; j++)
                        if (excludes(&o.section[o.held[t][j]], &o.section[p->section[k]])) {
                            apart = true;
                            if (pass == 0 && p->thread != t && conflicts(kind, p))
                                learn(o.wdc[t], o.section[p->section[k]].wdc);
                        }
                found |= pass && !apart && p->thread != t && conflicts(kind, p) && o.wdc[t][p->thread] < p->time;
            }
        }
    }
    return found;
}

/* ---- locks and keys, for both ---- */

static void oracle_acquire(u32 t, u32 l, bool shared)
{
    struct section *s = &o.section[++o.nsections];
    learn(o.strong[t], o.lock[l].strong);
    if (!shared && l == LOCKS - 1) {
        learn(o.strong[t], o.lock[l].readers);
        learn(o.weak[t], o.lock[l].weak_readers);
    }
    if (o.lock[l].leak || !o.lock[l].begun)
        learn(o.weak[t], o.lock[l].strong);
    learn(o.weak[t], o.lock[l].all);
    if (!o.lock[l].begun && !shared) {
        memcpy(o.lock[l].all, o.lock[l].strong, sizeof(vector));
        o.lock[l].begun = true;
    }
    *s = (struct section){.lock = l, .thread = t, .shared = shared};
    if (!o.nheld[t])
        o.now[t] = ++o.nruns;
    o.held[t][o.nheld[t]++] = o.nsections;
    o.epoch[t] = ++o.nepochs;
}

static void oracle_release(u32 t, u32 which)
{
    struct section *s = &o.section[o.held[t][which]];
    u32 l = s->lock;
    bool shows = s->met || s->wrote;
    if (o.nheld[t] == 1)
        o.run[o.now[t]] = o.strong[t][t];
    for (u32 i = which; i + 1 < o.nheld[t]; i++)
        o.held[t][i] = o.held[t][i + 1];
    o.nheld[t]--;
    if (!shows)
        learn(o.weak[t], o.lock[l].strong);
    s->end = o.strong[t][t];
    memcpy(s->wdc, o.wdc[t], sizeof(vector));
    if (s->shared) {
        learn(o.lock[l].readers, o.strong[t]);
        learn(o.lock[l].weak_readers, o.weak[t]);
        tick(t);
        return;
    }
    memcpy(o.lock[l].strong, o.strong[t], sizeof(vector));
    if (o.lock[l].leak) {
        learn(o.weak[t], o.strong[t]);
        shows = o.lock[l].leak = false;
    }
    int place = ring_place(l, t);
    if ((u32)place != o.lock[l].last) {
        o.lock[l].before = o.lock[l].last;
        o.lock[l].last = (u32)place;
    }
    o.lock[l].ring[place].thread = t;
    o.lock[l].ring[place].time = o.strong[t][t];
    memcpy(o.lock[l].ring[place].weak, o.weak[t], sizeof(vector));
    if (!shows)
        memcpy(o.lock[l].all, o.weak[t], sizeof(vector));
    tick(t);
}

/* In which ways l is held. */
static u32 holders(u32 l, bool *shared)
{
    u32 n = 0;
    for (u32 t = 0; t < THREADS; t++)
        for (u32 i = 0; i < o.nheld[t]; i++)
            if (o.section[o.held[t][i]].lock == l) {
                n++;
                *shared = o.section[o.held[t][i]].shared;
            }
    return n;
}

static void acquire(u32 t, u32 l, bool shared)
{
    bool held_shared = false, again = false;
    u32 n = holders(l, &held_shared);
    for (u32 i = 0; i < o.nheld[t]; i++)
        again |= o.section[o.held[t][i]].lock == l;
    if (o.nheld[t] == NESTED || again || (n && !(shared && held_shared)) || o.nsections + 2 > SECTIONS)
        return;
    as(t);
    if (l == LOCKS - 1)
        fx_lock_as(threads[t], (int)l, OBJ_RWLOCK, shared ? MODE_SHARED : MODE_EXCLUSIVE, HOW_BLOCK, 0);
    else
        fx_lock(threads[t], (int)l);
    oracle_acquire(t, l, shared);
}

static void release(u32 t, u32 which)
{
    as(t);
    fx_unlock(threads[t], (int)o.section[o.held[t][which]].lock);
    oracle_release(t, which);
}

static void key_step(u32 t, u32 k, u32 what)
{
    if (what == 0) {
        hb_acquire(as(t), hb_key(HB_PIPE, k));
        learn(o.strong[t], o.key[k].strong);
        learn(o.weak[t], o.key[k].weak);
        learn(o.wdc[t], o.key[k].wdc);
        return;
    }
    if (what == 1) {
        hb_release(as(t), hb_key(HB_PIPE, k));
    } else {
        hb_release_store(as(t), hb_key(HB_PIPE, k));
        memset(&o.key[k], 0, sizeof o.key[k]);
    }
    learn(o.key[k].strong, o.strong[t]);
    learn(o.key[k].weak, o.weak[t]);
    learn(o.key[k].wdc, o.wdc[t]);
    tick(t);
}

static u64 total_found(void)
{
    u64 n = 0;
    for (u32 i = 0; i < THREADS; i++)
        n += threads[i]->accesses->weak->found;
    return n;
}

static u64 met_weakly; /* over all programs: the test is one */

static void access_step(u32 t, u32 at, u32 size, u32 kind, bool range, bool exact)
{
    u64 before = total_found();
    bool may = wdc_access(t, at, size, kind),
         counts = !range && (kind & (ACCESS_WRITE | ACCESS_ATOMIC)) == ACCESS_WRITE;
    bool expected = oracle_access(t, at, size, kind, counts);
    as(t);
    if (range)
        access_range(threads[t], (u64)memory + at, size, kind, NULL);
    else
        hook(threads[t], (u64)memory + at, size, kind, 1 + (u64)rand() % 3);
    accesses_flush(threads[t], threads[t]->accesses);
    bool found = total_found() != before;
    met_weakly += found;
    CU_ASSERT_TRUE(may || !found);
    if (!exact)
        return;
    CU_ASSERT_EQUAL(found, expected);
}

/* Mostly what a lock that is held is for, or what is the thread's own: programs that race at every step show little. */
static u32 place(u32 t)
{
    u32 r = (u32)rand() % 100;
    if (o.nheld[t] && r < 60)
        return o.section[o.held[t][(u32)rand() % o.nheld[t]]].lock * GRANULE + (u32)rand() % GRANULE;
    if (r < 88)
        return LOCKS * GRANULE + t * OWN + (u32)rand() % OWN;
    return r < 97 ? LOCKS * GRANULE + (u32)rand() % (THREADS * OWN) : (u32)rand() % BYTES;
}

static void random_step(u32 nthreads, bool exact)
{
    u32 t = (u32)rand() % nthreads, what = (u32)rand() % 100;
    if (what < 22) {
        u32 l = (u32)rand() % LOCKS;
        acquire(t, l, l == LOCKS - 1 && rand() % 2);
    } else if (what < 46) {
        if (o.nheld[t])
            release(t, rand() % 4 ? o.nheld[t] - 1 : (u32)rand() % o.nheld[t]);
    } else if (what < 52) {
        key_step(t, (u32)rand() % KEYS, (u32)rand() % 3);
    } else {
        u32 kind = rand() % 8 ? rand() % 3 != 0 : (u32)rand() & (ACCESS_WRITE | ACCESS_ATOMIC), at = place(t),
            most = OWN - at % OWN;
        u32 size = rand() % 4 ? 1 + (u32)rand() % most : 1;
        access_step(t, at, size, kind, rand() % 6 == 0, exact);
    }
}

static void begin(void)
{
    memset(&o, 0, sizeof o);
    o.nepochs = THREADS;
    for (u32 i = 0; i < THREADS; i++) {
        o.strong[i][i] = o.weak[i][i] = o.wdc[i][i] = 1;
        o.epoch[i] = i + 1;
    }
    weak_forked(); /* what the test before has left */
    threads_begin();
    srand(1);
}

static void programs(u32 n, u32 steps, u32 nthreads, bool exact)
{
    for (unsigned seed = 1; seed <= n; seed++) {
        begin();
        srand(seed);
        u32 failed = CU_get_number_of_failures();
        for (u32 i = 0; i < steps; i++)
            random_step(nthreads, exact);
        if (CU_get_number_of_failures() != failed) {
            fprintf(stderr, "seed %u\n", seed);
            return;
        }
    }
}

static u32 readers_all;

static void against_oracle(void)
{
    readers_all = readers_limit;
    met_weakly = 0;
    programs(600, 100, 3, true);
    programs(150, 400, THREADS, true);
    CU_ASSERT_TRUE(met_weakly > 20); /* programs whose sections show nothing have none */
}

/* Whatever is forgotten: fewer are found, and none that WDC orders. */
static void against_wdc(void)
{
    u32 limits[] = {1, 2, RING};
    for (u32 i = 0; i < 3; i++) {
        weak_releases = limits[i];
        weak_limit = i == 1 ? 3 : 1u << 18;
        epoch_limit = epoch_most = i == 2 ? 8 : EPOCH_BLOCKS;
        readers_limit = i == 2 ? 64 : readers_all;
        programs(60, 400, THREADS, false);
    }
    weak_releases = RING;
    weak_limit = 1u << 18;
    epoch_limit = epoch_most = EPOCH_BLOCKS;
    readers_limit = readers_all;
}

/* ---- by hand ---- */

static void writes(u32 t, u32 at)
{
    as(t);
    hook(threads[t], (u64)memory + at, 4, ACCESS_WRITE, 1 + t);
}
static void locked_write(u32 t, int lock, u32 at)
{
    as(t);
    fx_lock(threads[t], lock);
    writes(t, at);
    fx_unlock(threads[t], lock);
}

static void one_finding(void)
{
    begin();
    locked_write(1, 1, 0);
    locked_write(1, 0, 8);
    locked_write(2, 0, 16);
    writes(2, 0);
    writes(1, 0);
    CU_ASSERT_EQUAL_FATAL(fx_count(FINDING_UNPROTECTED, RULE_NONE), 1);
    const struct finding_rec *f = arena_at(run()->findings);
    CU_ASSERT_EQUAL(f->verdict, VERDICT_POSSIBLE);
    CU_ASSERT_EQUAL(f->mem_address, (u64)memory);
    CU_ASSERT_EQUAL(f->mem_size, 4);
    CU_ASSERT_EQUAL_FATAL(f->nlocks, 1);
    CU_ASSERT_EQUAL(LOCK_AT(*(ref_t *)arena_at(f->locks))->head.addr, LOCK(1));
    CU_ASSERT_EQUAL(f->events[0].thread, threads[2]->ref);
    CU_ASSERT_EQUAL(f->events[0].nheld, 0);
    CU_ASSERT_EQUAL(f->events[1].thread, threads[1]->ref);
    CU_ASSERT_EQUAL(f->events[1].nheld, 1);
}

/* The same data under the lock: in order. */
static void same_data(void)
{
    begin();
    writes(1, 0);
    locked_write(1, 0, 8);
    locked_write(2, 0, 8);
    writes(2, 0);
    CU_ASSERT_EQUAL(run()->nfindings, 0);
}

static void empty_sections(void)
{
    begin();
    writes(1, 0);
    locked_write(1, 0, 8);
    as(2);
    fx_nest(threads[2], 0, 1);
    writes(2, 0);
    CU_ASSERT_EQUAL(run()->nfindings, 0);
}

/* After it the two are in order: what was built with it is not told of, too. */
static void no_cascade(void)
{
    begin();
    writes(1, 0);
    writes(1, 32);
    locked_write(1, 0, 8);
    locked_write(2, 0, 16);
    writes(2, 0);
    writes(2, 32);
    CU_ASSERT_EQUAL(fx_count(FINDING_UNPROTECTED, RULE_NONE), 1);
}

static void not_asked_for(void)
{
    begin();
    run()->options.detect &= ~(u32)DETECT_RACE;
    writes(1, 0);
    locked_write(1, 0, 8);
    locked_write(2, 0, 16);
    writes(2, 0);
    CU_ASSERT_EQUAL(run()->nfindings, 0);
}

UNIT_TESTS("unprotected", {"against_oracle", against_oracle}, {"against_wdc", against_wdc},
           {"one_finding", one_finding}, {"same_data", same_data}, {"empty_sections", empty_sections},
           {"no_cascade", no_cascade}, {"not_asked_for", not_asked_for})
