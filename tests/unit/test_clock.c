/* Vector clocks against an oracle: plain arrays that say for each thread that ever lived up to which of its times another
 * one knows it. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "model/clock.h"
#include "model/lanes.h"
#include "model/run.h"
#include "unit.h"

#define LIVES 2600 /* threads over one test */
#define SYNCS 64

/* Knowledge: per life the time up to which it is known. */
struct known {
    u64 time[LIVES];
};
/* One thread after the other on one struct clock. */
struct actor {
    struct clock c;
    bool alive;
    u32 life;
    struct known k;
};
struct sync {
    struct sync_clock s;
    struct known k;
    u32 spin;
};

static struct life {
    u32 lane;
    u64 first, last;
} lives[LIVES];
static u32 nlives;
static u32 lane_lives[CLOCK_LANES][32], lane_nlives[CLOCK_LANES];
static struct sync *syncs;
static bool exact; /* memory has been there all the time: nothing is known too much */

static void begin(u64 arena_bytes)
{
    char path[] = "/tmp/snarl-unit-XXXXXX";
    char *dir = mkdtemp(path), file[64];
    snprintf(file, sizeof file, "%s/arena", dir);
    if (arena_base)
        arena_close();
    CU_ASSERT_EQUAL_FATAL(arena_create(file, arena_bytes), 0);
    unlink(file);
    rmdir(dir);
    ref_t r = arena_blob(sizeof(struct run_state));
    CU_ASSERT_FATAL(r != 0);
    arena_header()->run = r;
    run()->threads_lock.rank = RANK_THREADS;
    nlives = 0;
    memset(lane_nlives, 0, sizeof lane_nlives);
    exact = true;
    free(syncs);
    syncs = calloc(SYNCS, sizeof *syncs);
}

static u32 pools_live(void)
{
    u32 n = 0;
    for (u32 p = POOL_CLOCK_LEAF; p <= POOL_CLOCK_HUGE; p++)
        n += arena_header()->pools[p].live;
    return n;
}

static void unmap(struct clock *c)
{
    if (c->spares)
        munmap(c->spares, (char *)(c->times + CLOCK_LANES + 1) - (char *)c->spares);
    memset(c, 0, sizeof *c);
}

static u32 random_next(u32 *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* What a knows of a lane must be what it knows of the last life there of which it knows something, and of the earlier
 * ones it must know the end. */
static bool lane_agrees(const struct actor *a, u32 lane)
{
    u64 time = 0;
    for (u32 i = lane_nlives[lane]; i-- > 0;) {
        u32 life = lane_lives[lane][i];
        if (exact && time && a->k.time[life] != lives[life].last)
            return false;
        if (!time)
            time = a->k.time[life];
    }
    return exact ? clock_time(&a->c, lane) == time : clock_time(&a->c, lane) >= time;
}

static bool agrees(const struct actor *a)
{
    for (u32 lane = 0; lane < run()->next_lane && lane < LIVES; lane++)
        if (!lane_agrees(a, lane))
            return false;
    return clock_now(&a->c) == lives[a->life].last;
}

/* True when that was news. */
static bool known_join(struct known *to, const struct known *from)
{
    bool news = false;
    for (u32 i = 0; i < LIVES; i++) {
        if (from->time[i] > to->time[i]) {
            to->time[i] = from->time[i];
            news = true;
        }
    }
    return news;
}

static void set_own(struct actor *a)
{
    a->k.time[a->life] = lives[a->life].last = clock_now(&a->c);
}

static void tick(struct actor *a)
{
    clock_tick(&a->c);
    set_own(a);
}

static int start(struct actor *a, struct actor *creator)
{
    int err = clock_start(&a->c, creator ? &creator->c : NULL);
    if (err)
        return err;
    u32 life = __atomic_fetch_add(&nlives, 1, __ATOMIC_RELAXED), lane = a->c.lane;
    CU_ASSERT_FATAL(life < LIVES);
    memset(&a->k, 0, sizeof a->k);
    if (creator)
        a->k = creator->k;
    a->alive = true;
    a->life = life;
    lives[life] = (struct life){lane, clock_now(&a->c), clock_now(&a->c)};
    set_own(a);
    CU_ASSERT_FATAL(lane_nlives[lane] < 32);
    lane_lives[lane][lane_nlives[lane]++] = life;
    if (creator)
        tick(creator);
    return 0;
}

static void end(struct actor *a)
{
    clock_end(&a->c);
    a->alive = false;
}

static void release(struct actor *a, struct sync *s)
{
    clock_release(&a->c, &s->s);
    s->k = a->k;
}

static void release_join(struct actor *a, struct sync *s)
{
    clock_release_join(&a->c, &s->s);
    known_join(&s->k, &a->k);
}

static void acquire(struct actor *a, struct sync *s)
{
    bool news = known_join(&a->k, &s->k), said = clock_acquire(&a->c, &s->s);
    CU_ASSERT_FATAL(said == news || !exact);
}

static void copy(struct actor *a, struct sync *to, const struct sync *from)
{
    sync_clock_copy(a ? &a->c : NULL, &to->s, &from->s);
    if (to != from)
        to->k = from->k;
}

static void clear(struct actor *a, struct sync *s)
{
    sync_clock_clear(a ? &a->c : NULL, &s->s);
    memset(&s->k, 0, sizeof s->k);
}

static void finish(struct actor *actors, u32 n)
{
    for (u32 i = 0; i < SYNCS; i++)
        clear(NULL, &syncs[i]);
    for (u32 i = 0; i < n; i++) {
        if (actors[i].alive)
            end(&actors[i]);
        unmap(&actors[i].c);
    }
    CU_ASSERT_EQUAL(pools_live(), 0);
}

/* One step of a random run: the odds lean to release and acquire, and to few sync clocks. */
static void step(struct actor *actors, u32 n, u32 nsyncs, u32 *seed)
{
    struct actor *a = &actors[random_next(seed) % n], *other = &actors[random_next(seed) % n];
    struct sync *s = &syncs[random_next(seed) % nsyncs], *s2 = &syncs[random_next(seed) % nsyncs];
    u32 what = random_next(seed) % 100;
    if (!a->alive) {
        if (other->alive && nlives < LIVES - 1)
            CU_ASSERT_EQUAL_FATAL(start(a, what < 90 ? other : NULL), 0);
        return;
    }
    if (what < 35) {
        acquire(a, s);
    } else if (what < 60) {
        release(a, s);
        tick(a);
    } else if (what < 78) {
        release_join(a, s);
        tick(a);
    } else if (what < 84) {
        copy(random_next(seed) % 4 ? a : NULL, s, s2);
    } else if (what < 86) {
        clear(random_next(seed) % 4 ? a : NULL, s);
    } else if (what < 96) {
        tick(a);
    } else if (what < 97 && other != a && other->alive && nlives < LIVES - 1) {
        if (what % 2)
            release(a, s);
        else
            release_join(a, s);
        end(a);
        acquire(other, s);
        return;
    }
    CU_ASSERT_FATAL(agrees(a));
}

static void random_run(u32 nactors, u32 nsyncs, u32 steps, u32 seed)
{
    begin(256ULL << 20);
    struct actor *actors = calloc(nactors, sizeof *actors);
    CU_ASSERT_EQUAL_FATAL(start(&actors[0], NULL), 0);
    for (u32 i = 0; i < steps; i++)
        step(actors, nactors, nsyncs, &seed);
    for (u32 i = 0; i < nactors; i++)
        CU_ASSERT(!actors[i].alive || agrees(&actors[i]));
    CU_ASSERT_EQUAL(run()->lost[LOSS_arena_full], 0);
    finish(actors, nactors);
    free(actors);
}

static void random_two(void)
{
    for (u32 seed = 1; seed <= 20; seed++)
        random_run(2, 1 + seed % 4, 2000, seed);
}

static void random_seventeen(void)
{
    for (u32 seed = 1; seed <= 8; seed++)
        random_run(17, 2 + 3 * seed, 5000, seed);
    CU_ASSERT(run()->next_lane < nlives); /* lanes have served again */
}

static void random_three_hundred(void)
{
    for (u32 seed = 1; seed <= 3; seed++)
        random_run(300, 4 << seed, 20000, seed);
}

/* Without memory for snapshots nobody knows less than it should; when there is memory again it is used. */
static void arena_full(void)
{
    enum { ACTORS = 40 };
    begin(16ULL << 20);
    struct actor *actors = calloc(ACTORS, sizeof *actors);
    u32 seed = 5;
    CU_ASSERT_EQUAL_FATAL(start(&actors[0], NULL), 0);
    for (u32 i = 1; i < ACTORS; i++)
        CU_ASSERT_EQUAL_FATAL(start(&actors[i], &actors[i - 1]), 0);
    for (u32 i = 0; i < 2000; i++)
        step(actors, ACTORS, 16, &seed);
    exact = false;
    u64 big = 1 << 20;
    for (; big >= 16; big /= 2)
        while (arena_blob(big))
            ;
    static ref_t eaten[1 << 18];
    u32 n = 0, eaten_of[POOL_COUNT] = {0};
    for (u32 p = POOL_CLOCK_LEAF; p <= POOL_CLOCK_HUGE; p++)
        while (n < 1 << 18 && (eaten[n] = arena_alloc(p, 16)))
            n++, eaten_of[p]++;
    for (u32 i = 0; i < 40000; i++)
        step(actors, ACTORS, 1 + i % SYNCS, &seed);
    CU_ASSERT(run()->lost[LOSS_arena_full] > 100);
    n = 0;
    for (u32 p = POOL_CLOCK_LEAF; p <= POOL_CLOCK_HUGE; n += eaten_of[p], p++)
        arena_free_many(p, eaten + n, eaten_of[p]);
    for (u32 i = 0; i < SYNCS; i++)
        clear(&actors[0], &syncs[i]);
    u64 lost = run()->lost[LOSS_arena_full];
    for (u32 i = 0; i < 2000; i++)
        step(actors, ACTORS, 16, &seed);
    CU_ASSERT_EQUAL(run()->lost[LOSS_arena_full], lost);
    finish(actors, ACTORS);
    free(actors);
}

static void lane_waits_for_its_end_to_be_known(void)
{
    begin(64ULL << 20);
    static struct actor a[4];
    CU_ASSERT_EQUAL_FATAL(start(&a[0], NULL), 0);
    CU_ASSERT_EQUAL_FATAL(start(&a[1], &a[0]), 0);
    release(&a[1], &syncs[0]);
    u32 lane = a[1].c.lane;
    u64 last = clock_now(&a[1].c);
    end(&a[1]);
    CU_ASSERT_EQUAL_FATAL(start(&a[2], &a[0]), 0); /* the creator has not heard of the end */
    CU_ASSERT_NOT_EQUAL(a[2].c.lane, lane);
    acquire(&a[0], &syncs[0]);
    CU_ASSERT_EQUAL_FATAL(start(&a[3], &a[0]), 0);
    CU_ASSERT_EQUAL(a[3].c.lane, lane);
    CU_ASSERT_EQUAL(clock_now(&a[3].c), last + 1);
    CU_ASSERT(clock_time(&a[2].c, lane) < last);
    CU_ASSERT(agrees(&a[2]) && agrees(&a[3]));
    /* The memory of the ended one serves again and has forgotten everything. */
    CU_ASSERT_EQUAL_FATAL(start(&a[1], NULL), 0);
    CU_ASSERT(agrees(&a[1]));
    finish(a, 4);
}

/* Many ended lanes that the creator does not know stand in front of one that it does. */
static void passed_lanes_get_their_turn(void)
{
    begin(64ULL << 20);
    enum { MANY = 400 };
    static struct actor boss, child, stranger;
    CU_ASSERT_EQUAL_FATAL(start(&boss, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(start(&child, &boss), 0);
    u32 lane = child.c.lane;
    release(&child, &syncs[0]);
    end(&child);
    acquire(&boss, &syncs[0]);
    for (u32 i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL_FATAL(start(&stranger, NULL), 0);
        end(&stranger);
    }
    u32 tries = 0;
    do {
        CU_ASSERT_EQUAL_FATAL(start(&child, &boss), 0);
        end(&child);
        tries++;
    } while (child.c.lane != lane && tries < MANY);
    CU_ASSERT(tries < MANY / 16);
    finish(&boss, 1);
    unmap(&child.c);
    unmap(&stranger.c);
}

static void lanes_used_up(void)
{
    begin(64ULL << 20);
    static struct clock c, creator, high, late;
    static struct sync_clock s, t;
    CU_ASSERT_EQUAL_FATAL(clock_start(&creator, NULL), 0);
    for (u32 i = 2; i < CLOCK_LANES; i++) {
        CU_ASSERT_EQUAL_FATAL(clock_start(&c, NULL), 0);
        clock_end(&c);
    }
    CU_ASSERT_EQUAL_FATAL(clock_start(&high, NULL), 0);
    CU_ASSERT_EQUAL(high.lane, CLOCK_LANES - 1);
    run()->ended_lanes = run()->passed_lanes = 0; /* as if all those lived */
    CU_ASSERT_EQUAL(clock_start(&c, NULL), -EAGAIN);
    CU_ASSERT_EQUAL(clock_start(&c, &creator), -EAGAIN);
    /* Snapshots reach from the first lane to the last. */
    clock_release(&creator, &s);
    clock_tick(&creator);
    CU_ASSERT(clock_acquire(&high, &s));
    clock_release(&high, &s);
    clock_tick(&high);
    clock_release_join(&creator, &t);
    clock_tick(&creator);
    clock_release_join(&high, &t);
    clock_tick(&high);
    CU_ASSERT(clock_acquire(&creator, &t));
    CU_ASSERT(!clock_acquire(&creator, &s));
    CU_ASSERT(!clock_acquire(&creator, &t));
    CU_ASSERT_EQUAL(clock_time(&creator, CLOCK_LANES - 1), 2);
    clock_release(&high, &s);
    clock_end(&high);
    CU_ASSERT(clock_acquire(&creator, &s));
    CU_ASSERT_EQUAL_FATAL(clock_start(&late, &creator), 0);
    CU_ASSERT_EQUAL(run()->lost[LOSS_lanes_forced], 0);
    CU_ASSERT_EQUAL(late.lane, CLOCK_LANES - 1);
    clock_end(&late);
    /* The same memory on few lanes: nothing of the last lane is left. */
    clock_end(&creator);
    sync_clock_clear(NULL, &s);
    sync_clock_clear(NULL, &t);
    CU_ASSERT_EQUAL(pools_live(), 0);
    run()->ended_lanes = run()->passed_lanes = 0;
    CU_ASSERT_EQUAL(clock_start(&late, NULL), -EAGAIN);
    for (u32 i = 0; i <= CLOCK_LANES; i++)
        CU_ASSERT_EQUAL_FATAL(late.times[i], 0);
    unmap(&c), unmap(&creator), unmap(&high), unmap(&late);
}

/* No fresh lane and none whose end the creator knows: an ended one serves all the same, and its new owner knows what the
 * old one did, since the others will think so. */
static void forced_lane(void)
{
    begin(64ULL << 20);
    static struct actor old, teller, creator, new, reader;
    CU_ASSERT_EQUAL_FATAL(start(&old, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(start(&teller, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(start(&creator, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(start(&reader, NULL), 0);
    release(&teller, &syncs[0]);
    tick(&teller);
    acquire(&old, &syncs[0]);
    release(&old, &syncs[1]);
    tick(&old);
    end(&old);
    run()->next_lane = CLOCK_LANES;
    CU_ASSERT_EQUAL_FATAL(start(&new, &creator), 0);
    CU_ASSERT_EQUAL(new.c.lane, old.c.lane);
    CU_ASSERT_EQUAL(run()->lost[LOSS_lanes_forced], 1);
    CU_ASSERT_EQUAL(clock_time(&new.c, teller.c.lane), 1);
    release(&new, &syncs[2]);
    tick(&new);
    exact = false;
    acquire(&reader, &syncs[2]);
    acquire(&reader, &syncs[1]); /* passed by: it must know all of it */
    CU_ASSERT_EQUAL(clock_time(&reader.c, teller.c.lane), 1);
    CU_ASSERT(agrees(&reader));
    static struct actor *all[] = {&teller, &creator, &new, &reader};
    for (u32 i = 0; i < SYNCS; i++)
        clear(NULL, &syncs[i]);
    for (u32 i = 0; i < ARRAY_LEN(all); i++)
        end(all[i]), unmap(&all[i]->c);
    unmap(&old.c);
    CU_ASSERT_EQUAL(pools_live(), 0);
}

/* The same at random, with few lanes for many ends that nobody knows. */
static void forced_lanes(void)
{
    enum { ACTORS = 17, LANES = 24 };
    begin(64ULL << 20);
    struct actor *actors = calloc(ACTORS, sizeof *actors);
    u32 seed = 3;
    for (u32 i = 0; i < LANES; i++) {
        CU_ASSERT_EQUAL_FATAL(start(&actors[i % ACTORS], NULL), 0);
        if (i >= ACTORS || i < LANES - ACTORS)
            end(&actors[i % ACTORS]);
    }
    for (u32 i = 0; i < LANES - ACTORS; i++)
        CU_ASSERT_EQUAL_FATAL(start(&actors[i], &actors[ACTORS - 1]), 0);
    exact = false;
    run()->next_lane = CLOCK_LANES;
    for (u32 i = 0; i < 20000; i++) {
        step(actors, ACTORS, 8, &seed);
        struct actor *a = &actors[1 + random_next(&seed) % (ACTORS - 1)];
        if (i % 40 == 0 && a->alive)
            end(a); /* unseen */
    }
    CU_ASSERT(run()->lost[LOSS_lanes_forced] > 20);
    finish(actors, ACTORS);
    free(actors);
}

/* A joined release leaves what its thread does not know itself: not even who knows that thread at that very time may
 * pass it by. */
static void joined_is_always_looked_at(void)
{
    begin(64ULL << 20);
    static struct actor a[4];
    for (u32 i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(start(&a[i], NULL), 0);
    release(&a[0], &syncs[0]);
    tick(&a[0]);
    release_join(&a[1], &syncs[0]); /* a1 has not acquired it */
    release(&a[1], &syncs[1]);      /* at the same time */
    tick(&a[1]);
    acquire(&a[2], &syncs[1]);
    CU_ASSERT_EQUAL(clock_time(&a[2].c, a[0].c.lane), 0);
    acquire(&a[2], &syncs[0]);
    CU_ASSERT_EQUAL(clock_time(&a[2].c, a[0].c.lane), 1);
    CU_ASSERT_EQUAL(syncs[0].s.lane, CLOCK_LANES);
    release_join(&a[2], &syncs[0]); /* knows all of it */
    CU_ASSERT_EQUAL(syncs[0].s.lane, a[2].c.lane);
    tick(&a[2]);
    acquire(&a[3], &syncs[0]);
    for (u32 i = 0; i < 4; i++)
        CU_ASSERT(agrees(&a[i]));
    finish(a, 4);
}

static void releases_share_snapshots(void)
{
    begin(64ULL << 20);
    static struct actor a[2];
    CU_ASSERT_EQUAL_FATAL(start(&a[0], NULL), 0);
    CU_ASSERT_EQUAL_FATAL(start(&a[1], &a[0]), 0);
    for (u32 i = 0; i < SYNCS; i++) {
        release(&a[1], &syncs[i]);
        tick(&a[1]);
    }
    u32 live = pools_live();
    for (u32 i = 1; i < SYNCS; i++)
        CU_ASSERT_EQUAL(syncs[i].s.base, syncs[0].s.base);
    /* Two threads that take turns need nothing new. */
    for (u32 i = 0; i < 1000; i++) {
        acquire(&a[i % 2], &syncs[0]);
        release(&a[i % 2], &syncs[0]);
        tick(&a[i % 2]);
    }
    CU_ASSERT(pools_live() <= live + 16);
    finish(a, 2);
}

static void other_process(void)
{
    begin(64ULL << 20);
    static struct clock parent, other;
    CU_ASSERT_EQUAL_FATAL(clock_start(&parent, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(clock_start(&other, &parent), 0);
    clock_tick(&parent);
    struct sync_clock *s = arena_at(arena_blob(2 * sizeof *s));
    clock_release(&other, &s[0]);
    clock_tick(&other);
    clock_acquire(&parent, &s[0]);
    clock_release(&parent, &s[0]);
    clock_tick(&parent);
    pid_t pid = fork();
    if (!pid) {
        ilock_forked();
        bool good = clock_forked(&parent) == 0 && parent.lane == 2 && clock_now(&parent) == 1 &&
                    clock_time(&parent, 0) == 3 && clock_time(&parent, 1) == 1 && !clock_acquire(&parent, &s[0]);
        clock_tick(&parent);
        clock_release_join(&parent, &s[0]);
        clock_release(&parent, &s[1]);
        clock_end(&parent);
        _exit(good ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    clock_tick(&parent);
    CU_ASSERT_EQUAL(clock_time(&parent, 2), 0);
    CU_ASSERT(clock_acquire(&parent, &s[1]));
    CU_ASSERT_EQUAL(clock_time(&parent, 2), 2);
    CU_ASSERT(!clock_acquire(&parent, &s[0]));
    sync_clock_clear(&parent, &s[0]);
    sync_clock_clear(&parent, &s[1]);
    clock_end(&parent);
    clock_end(&other);
    CU_ASSERT_EQUAL(pools_live(), 0);
    unmap(&parent), unmap(&other);
}

/* Real threads over few sync clocks; what a sync clock should know lies beside it under its lock. */
enum { HAMMERS = 4, HAMMER_SYNCS = 6, HAMMER_STEPS = 12000 };

static void spin_lock(struct sync *s)
{
    while (__atomic_exchange_n(&s->spin, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&s->spin, __ATOMIC_RELAXED))
            sched_yield();
}
static void spin_unlock(struct sync *s)
{
    __atomic_store_n(&s->spin, 0, __ATOMIC_RELEASE);
}

/* Of the lives only those that a knows of can be looked at while others go on; later ones on a lane have later times. */
static bool hammer_agrees(const struct actor *a)
{
    static __thread u64 time[LIVES];
    u32 lanes = lanes_used();
    memset(time, 0, sizeof time);
    for (u32 life = 0; life < LIVES; life++)
        if (a->k.time[life] && a->k.time[life] > time[lives[life].lane])
            time[lives[life].lane] = a->k.time[life];
    return lanes <= LIVES && memcmp(time, a->c.times, lanes * sizeof time[0]) == 0;
}

struct hammer {
    struct actor root, a;
    u32 seed;
    bool good;
};

static void hammer_step(struct hammer *h)
{
    struct actor *a = &h->a;
    struct sync *s = &syncs[random_next(&h->seed) % HAMMER_SYNCS], *t = &syncs[HAMMER_SYNCS + h->seed % 8];
    u32 what = random_next(&h->seed) % 16;
    spin_lock(s);
    if (what < 7) {
        bool news = known_join(&a->k, &s->k);
        if (clock_acquire(&a->c, &s->s) != news)
            h->good = false;
    } else if (what < 11) {
        release(a, s);
    } else if (what < 14) {
        release_join(a, s);
    } else if (what < 15) {
        spin_lock(t); /* always behind the first kind */
        copy(a, t, s);
        spin_unlock(t);
    } else {
        clear(a, s);
    }
    spin_unlock(s);
    if (what >= 7 && what < 14) {
        clock_tick(&a->c);
        a->k.time[a->life] = clock_now(&a->c);
    }
}

static void hammer_start(struct hammer *h, struct actor *a, struct actor *creator)
{
    if (clock_start(&a->c, creator ? &creator->c : NULL) != 0) {
        h->good = false;
        return;
    }
    a->life = __atomic_fetch_add(&nlives, 1, __ATOMIC_RELAXED);
    a->k = creator ? creator->k : (struct known){{0}};
    a->k.time[a->life] = clock_now(&a->c);
    lives[a->life].lane = a->c.lane;
    if (creator) {
        clock_tick(&creator->c);
        creator->k.time[creator->life] = clock_now(&creator->c);
    }
}

static void *hammer(void *arg)
{
    struct hammer *h = arg;
    static __thread struct sync last;
    h->good = true;
    hammer_start(h, &h->root, NULL);
    for (u32 i = 0; h->good && i < HAMMER_STEPS; i++) {
        if (i % 100 == 0) {
            if (i) {
                release(&h->a, &last);
                clock_end(&h->a.c);
                acquire(&h->root, &last);
            }
            hammer_start(h, &h->a, &h->root);
        }
        hammer_step(h);
        if (i % 10 == 0)
            h->good &= hammer_agrees(&h->a);
    }
    sync_clock_clear(NULL, &last.s);
    clock_end(&h->a.c);
    clock_end(&h->root.c);
    return NULL;
}

static void hammered(void)
{
    begin(64ULL << 20);
    memset(lives, 0, sizeof lives);
    struct hammer *h = calloc(HAMMERS, sizeof *h);
    pthread_t id[HAMMERS];
    for (u32 i = 0; i < HAMMERS; i++) {
        h[i].seed = 77 * i + 1;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&id[i], NULL, hammer, &h[i]), 0);
    }
    for (u32 i = 0; i < HAMMERS; i++) {
        pthread_join(id[i], NULL);
        CU_ASSERT(h[i].good);
        unmap(&h[i].a.c);
        unmap(&h[i].root.c);
    }
    CU_ASSERT(run()->next_lane < nlives / 4);
    free(h);
    finish(NULL, 0);
}

UNIT_TESTS("clock", {"random_two", random_two}, {"random_seventeen", random_seventeen},
           {"random_three_hundred", random_three_hundred}, {"arena_full", arena_full},
           {"lane_waits_for_its_end_to_be_known", lane_waits_for_its_end_to_be_known},
           {"passed_lanes_get_their_turn", passed_lanes_get_their_turn}, {"lanes_used_up", lanes_used_up},
           {"forced_lane", forced_lane}, {"forced_lanes", forced_lanes},
           {"joined_is_always_looked_at", joined_is_always_looked_at},
           {"releases_share_snapshots", releases_share_snapshots}, {"other_process", other_process},
           {"hammered", hammered})
