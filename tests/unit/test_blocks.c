/* The table of heap blocks and the quarantine, against oracles. Addresses are made up: nothing is read behind them. */
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>

#include "blocks.h"
#include "quarantine.h"

#define BASE 0x7f1200000000ULL

static u32 pick(u32 *seed, u32 n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

/* One block a cell, so that blocks never overlap. */
struct heap {
    u64 base, cell;
    u32 cells, seed;
    struct block *block; /* base 0: none */
};

static bool held_always(u64 base)
{
    return base != 0;
}
static bool held_never(u64 base)
{
    return base == 0;
}

static void heap_new(struct heap *h, u64 base, u64 cell, u32 cells)
{
    blocks_held = held_always;
    *h = (struct heap){base, cell, cells, 1, calloc(cells, sizeof(struct block))};
    CU_ASSERT_FATAL(h->block != NULL);
}

static void heap_put(struct heap *h, u32 i, u64 align)
{
    u64 room = h->cell / align, shift = pick(&h->seed, room > 4 ? 4 : 1) * align;
    u64 size = pick(&h->seed, 3) ? pick(&h->seed, (u32)(h->cell - shift)) : h->cell - shift;
    h->block[i] = (struct block){h->base + i * h->cell + shift, size, pick(&h->seed, ~0u), pick(&h->seed, ~0u), false};
    CU_ASSERT_FATAL(blocks_put(&h->block[i], true));
}

static bool same(const struct block *a, const struct block *b)
{
    return a->base == b->base && a->size == b->size && a->stack == b->stack && a->thread == b->thread &&
           a->waiting == b->waiting;
}

static void heap_ask(struct heap *h)
{
    struct block found;
    u32 i = pick(&h->seed, h->cells);
    const struct block *b = &h->block[i];
    u64 addr = h->base + i * h->cell + pick(&h->seed, (u32)h->cell);
    bool inside = b->base && addr >= b->base && addr < b->base + b->size;
    CU_ASSERT_EQUAL_FATAL(blocks_find(addr, &found, true), inside);
    CU_ASSERT_FATAL(!inside || same(&found, b));
}

static void heap_step(struct heap *h, u64 align)
{
    u32 i = pick(&h->seed, h->cells);
    struct block *b = &h->block[i], old;
    if (!b->base) {
        heap_put(h, i, align);
    } else if (pick(&h->seed, 4) == 0) {
        CU_ASSERT_FATAL(blocks_wait(b->base, &old, true));
        CU_ASSERT_FATAL(same(&old, b));
        b->waiting = true;
    } else if (pick(&h->seed, 2)) {
        CU_ASSERT_FATAL(blocks_take(b->base, &old, true));
        CU_ASSERT_FATAL(same(&old, b));
        CU_ASSERT_FALSE_FATAL(blocks_take(b->base, &old, true));
        *b = (struct block){0};
    }
    heap_ask(h);
}

static void heap_end(struct heap *h)
{
    struct block b;
    for (u32 i = 0; i < h->cells; i++)
        CU_ASSERT(!h->block[i].base || blocks_take(h->block[i].base, &b, true));
    for (u32 i = 0; i < 1000; i++)
        CU_ASSERT_FALSE(blocks_find(h->base + i * (h->cells * h->cell / 1000), &b, true));
    free(h->block);
}

static void live_through(u64 cell, u32 cells, u64 align, u32 steps)
{
    struct heap h;
    heap_new(&h, BASE, cell, cells);
    for (u32 s = 0; s < steps; s++)
        heap_step(&h, align);
    heap_end(&h);
}

static void smallest_blocks(void)
{
    live_through(8, 200000, 8, 400000);
}
static void small_blocks(void)
{
    live_through(64, 100000, 16, 400000);
}
static void equal_distances(void)
{
    live_through(4096, 3000, 16, 100000);
}
static void odd_distances(void)
{
    live_through(16 * 331, 3000, 16, 100000);
}
static void blocks_of_megabytes(void)
{
    live_through(5u << 20, 300, 16, 30000);
}
static void around_the_limit_of_huge(void)
{
    live_through(65u << 20, 200, 16, 20000);
}

static void replaced(void)
{
    static const u64 sizes[] = {100, 65ULL << 20, 200, 1ULL << 40, 0};
    struct block b, found;
    for (u32 i = 0; i < 5; i++) {
        b = (struct block){BASE, sizes[i], i, i, false};
        CU_ASSERT_TRUE(blocks_put(&b, true));
        CU_ASSERT_EQUAL(blocks_find(BASE, &found, true), sizes[i] != 0);
        CU_ASSERT_TRUE(!sizes[i] || same(&found, &b));
        CU_ASSERT_EQUAL(blocks_find(BASE + (64ULL << 20), &found, true), sizes[i] > 64ULL << 20);
    }
    CU_ASSERT_TRUE(blocks_take(BASE, &found, true));
    CU_ASSERT_FALSE(blocks_take(BASE, &found, true));
}

static void refused(void)
{
    struct block b = {BASE + 1, 10, 0, 0, false};
    CU_ASSERT_FALSE(blocks_put(&b, true));
    b = (struct block){BASE, 1ULL << 47, 0, 0, false};
    CU_ASSERT_FALSE(blocks_put(&b, true));
    CU_ASSERT_FALSE(blocks_find(0, &b, true));
    CU_ASSERT_FALSE(blocks_take(BASE + 4, &b, true));
}

/* A holder that never goes on: who must not wait is refused, and fork's locks are the whole set. */
static void busy(void)
{
    struct block b = {BASE, 10, 1, 2, false}, found;
    CU_ASSERT_TRUE(blocks_put(&b, true));
    blocks_before_fork();
    CU_ASSERT_FALSE(blocks_put(&b, false));
    CU_ASSERT_FALSE(blocks_find(BASE, &found, false));
    CU_ASSERT_FALSE(blocks_take(BASE, &found, false));
    blocks_after_fork();
    CU_ASSERT_TRUE(blocks_take(BASE, &found, false));
}

static void *one_of_many(void *heap)
{
    for (u32 s = 0; s < 100000; s++)
        heap_step(heap, 16);
    return NULL;
}

static void threads(void)
{
    struct heap h[4];
    pthread_t t[4];
    for (u32 i = 0; i < 4; i++) {
        heap_new(&h[i], BASE + (u64)i * 128 * 1024, 64, 2048); /* parts of one region */
        h[i].seed = i;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, one_of_many, &h[i]), 0);
    }
    for (u32 i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (u32 i = 0; i < 4; i++)
        heap_end(&h[i]);
}

/* What waits no longer is not found, gives its place away and hides nothing. */
static void over(void)
{
    struct block b, found;
    blocks_held = held_never;
    for (u64 i = 0; i < 100000; i++) {
        b = (struct block){BASE + i % 5000 * 64, 40, 1, 2, false};
        CU_ASSERT_TRUE_FATAL(blocks_put(&b, true));
        CU_ASSERT_TRUE_FATAL(blocks_find(b.base + 8, &found, true) && same(&found, &b));
        CU_ASSERT_TRUE_FATAL(blocks_wait(b.base, &found, true));
        CU_ASSERT_FALSE_FATAL(blocks_find(b.base + 8, &found, true));
    }
    b = (struct block){BASE, 300000, 3, 4, false};
    CU_ASSERT_TRUE_FATAL(blocks_put(&b, true));
    CU_ASSERT_TRUE(blocks_find(BASE + 64 * 100 + 8, &found, true) && same(&found, &b));
    for (u64 i = 8; i < b.size;
         i += 40) /* thousands of locks in it: each costs little, whatever has been there before */
        CU_ASSERT_TRUE_FATAL(blocks_find(BASE + i, &found, true) && same(&found, &b));
    CU_ASSERT_TRUE(blocks_take(BASE, &found, true));
    CU_ASSERT_FALSE(blocks_find(BASE + 64 * 100 + 8, &found, true));
    b = (struct block){BASE + 640, 40, 1, 2, false};
    CU_ASSERT_TRUE(blocks_put(&b, true) && blocks_wait(b.base, &found, true));
    blocks_ending = b.base;
    CU_ASSERT_TRUE(blocks_find(BASE + 648, &found, true) && found.base == b.base && found.waiting);
    blocks_ending = 0;
    CU_ASSERT_FALSE(blocks_find(BASE + 648, &found, true));
    for (u64 i = 0; i < 5000; i++)
        blocks_take(BASE + i * 64, &found, true);
}

/* ---- quarantine ---- */

static void first_in_first_out(void)
{
    for (u64 i = 1; i <= 1000; i++) {
        u64 out = quarantine_put(i * 16, 100);
        CU_ASSERT_EQUAL_FATAL(out, i > 256 ? (i - 256) * 16 : 0);
    }
    for (u64 i = 1; i <= 1000; i++) {
        u64 filter[QUARANTINE_FILTER / 64];
        quarantine_filter(filter);
        CU_ASSERT_EQUAL(quarantine_holds(i * 16), i > 744);
        CU_ASSERT_TRUE(i <= 744 || quarantine_may_hold(filter, i * 16));
    }
    CU_ASSERT_TRUE(quarantine_take(900 * 16));
    CU_ASSERT_FALSE(quarantine_take(900 * 16));
    CU_ASSERT_FALSE(quarantine_take(700 * 16));
    u32 left = 0;
    while (quarantine_any())
        left++;
    CU_ASSERT_EQUAL(left, 255);
}

static void *puts_many(void *arg)
{
    u64 *strange = arg;
    for (u64 i = 1; i <= 1000; i++) {
        u64 out = quarantine_put((1u << 20) + i * 16, 100);
        *strange += out && out < 1u << 20;
    }
    return NULL;
}

/* Small blocks of another thread stay, and come back to none but the thread that put them in. */
static void lists_of_threads(void)
{
    pthread_t id;
    u64 strange = 0;
    for (u64 i = 1; i <= 256; i++)
        CU_ASSERT_EQUAL_FATAL(quarantine_put(i * 16, 100), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&id, NULL, puts_many, &strange), 0);
    pthread_join(id, NULL);
    CU_ASSERT_EQUAL(strange, 0);
    for (u64 i = 1; i <= 256; i++)
        CU_ASSERT_EQUAL(quarantine_put((1u << 21) + i * 16, 100), i * 16);
    while (quarantine_any())
        ;
}

static void bytes_are_bounded(void)
{
    u64 out, inside = 0, seed = 1;
    for (u32 i = 1; i <= 5000; i++) {
        u64 size = seed >> 40 & 3 ? seed % 2048 : seed % (QUARANTINE_LARGEST + 1);
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        /* the size is in the address, for the oracle */
        u64 addr = ((u64)i << 24 | size) << 4;
        inside += size;
        if ((out = quarantine_put(addr, size)))
            inside -= out >> 4 & 0xffffff;
        CU_ASSERT_FATAL(inside <= (1u << 20));
    }
    for (u64 addr; (addr = quarantine_any());)
        inside -= addr >> 4 & 0xffffff;
    CU_ASSERT_EQUAL(inside, 0);
}

UNIT_TESTS("heap blocks", {"smallest_blocks", smallest_blocks}, {"small_blocks", small_blocks},
           {"equal_distances", equal_distances}, {"odd_distances", odd_distances},
           {"blocks_of_megabytes", blocks_of_megabytes}, {"around_the_limit_of_huge", around_the_limit_of_huge},
           {"replaced", replaced}, {"refused", refused}, {"busy", busy}, {"threads", threads}, {"over", over},
           {"first_in_first_out", first_in_first_out}, {"lists_of_threads", lists_of_threads},
           {"bytes_are_bounded", bytes_are_bounded})
