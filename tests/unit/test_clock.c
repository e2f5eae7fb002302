/* Vector clocks against their oracle. */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "clock_fixture.h"

#include "model/lanes.h"

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
    static struct clock parent, other, third;
    CU_ASSERT_EQUAL_FATAL(clock_start(&parent, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(clock_start(&other, &parent), 0);
    clock_tick(&parent);
    CU_ASSERT_EQUAL_FATAL(clock_start(&third, NULL), 0);
    struct sync_clock *s = arena_at(arena_blob(2 * sizeof *s));
    clock_release(&other, &s[0]);
    clock_tick(&other);
    clock_acquire(&parent, &s[0]);
    clock_release(&parent, &s[0]);
    clock_tick(&parent);
    pid_t pid = fork();
    if (!pid) {
        ilock_forked();
        bool good = clock_forked(&parent) == 0 && parent.lane == 3 && clock_now(&parent) == 1 &&
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
    CU_ASSERT_EQUAL(clock_time(&parent, 3), 0);
    CU_ASSERT(clock_acquire(&parent, &s[1]));
    CU_ASSERT_EQUAL(clock_time(&parent, 3), 2);
    CU_ASSERT(clock_acquire(&third, &s[1])); /* and with it what the parent knew at the fork */
    CU_ASSERT_EQUAL(clock_time(&third, 0), 3);
    CU_ASSERT_EQUAL(clock_time(&third, 1), 1);
    CU_ASSERT(!clock_acquire(&parent, &s[0]));
    sync_clock_clear(&parent, &s[0]);
    sync_clock_clear(&parent, &s[1]);
    clock_end(&parent);
    clock_end(&other);
    clock_end(&third);
    CU_ASSERT_EQUAL(pools_live(), 0);
    unmap(&parent), unmap(&other), unmap(&third);
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
           {"joined_is_always_looked_at", joined_is_always_looked_at},
           {"releases_share_snapshots", releases_share_snapshots}, {"other_process", other_process},
           {"hammered", hammered})
