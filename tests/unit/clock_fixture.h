/* Vector clocks and an oracle for them: plain arrays that say for each thread that ever lived up to which of its times
 * another one knows it. Every operation is done on both. */
#ifndef SNARL_TESTS_CLOCK_FIXTURE_H
#define SNARL_TESTS_CLOCK_FIXTURE_H

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "model/clock.h"
#include "model/run.h"
#include "unit.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

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

#endif
