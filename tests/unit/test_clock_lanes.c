/* Lanes of vector clocks: when one may serve again, and what happens when there are none. */
#include <errno.h>

#include "clock_fixture.h"

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

UNIT_TESTS("clock lanes", {"lane_waits_for_its_end_to_be_known", lane_waits_for_its_end_to_be_known},
           {"passed_lanes_get_their_turn", passed_lanes_get_their_turn}, {"lanes_used_up", lanes_used_up},
           {"forced_lane", forced_lane}, {"forced_lanes", forced_lanes})
