/* Notes on heap blocks against an oracle that knows every live block. Addresses are made up: nothing is read behind
 * them. */
#include "unit.h"

#include <stdlib.h>

#include "alloc_notes.h"

#define BASE 0x7f1200000000ULL

struct block {
    u64 addr, size, pc;
    bool found;
};

static u32 seed;

static u32 pick(u32 n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* The heap of the oracle: cells of one block each, so that blocks never overlap. */
struct heap {
    u64 cell_bytes, least; /* no block is smaller */
    u32 cells;
    struct block *block; /* size ~0: free */
};

static void heap_new(struct heap *h, u32 cells, u64 cell_bytes, u64 least)
{
    *h = (struct heap){cell_bytes, least, cells, malloc(cells * sizeof(struct block))};
    CU_ASSERT_FATAL(h->block != NULL);
    for (u32 i = 0; i < cells; i++)
        h->block[i].size = ~0ULL;
}

static void block_make(struct heap *h, u32 i)
{
    struct block *b = &h->block[i];
    u64 room = h->cell_bytes - 16;
    u64 shift = 16 * pick(h->cell_bytes > 64 ? 3 : 1);
    b->addr = BASE + i * h->cell_bytes + shift;
    b->size = pick(3) ? h->least + pick((u32)(room - shift - h->least)) : room - shift;
    b->pc = 0x555500000000ULL + 4 * pick(5000);
    b->found = false;
    if (pick(2))
        notes_add_hot((void *)b->addr, b->size, b->pc);
    else
        CU_ASSERT_PTR_EQUAL(notes_add((void *)b->addr, b->size, b->pc), (void *)b->addr);
}

/* Ends a block the way free does; returns whether its note was still there. */
static bool block_end(struct block *b)
{
    struct note n;
    bool noted;
    if (notes_take_plain(b->addr)) {
        CU_ASSERT_FALSE(b->found); /* a block that carries an object must not pass unnoticed */
        noted = true;
    } else if ((noted = notes_take(b->addr, &n))) {
        CU_ASSERT_EQUAL(n.base, b->addr);
        CU_ASSERT_EQUAL(n.size, b->size);
        CU_ASSERT(n.pc == b->pc || n.pc == 0);
        CU_ASSERT_EQUAL(n.carries, b->found);
    }
    CU_ASSERT_FALSE(notes_take(b->addr, &n));
    b->size = ~0ULL;
    return noted;
}

/* Asks for an address anywhere in the heap. Returns -1: no block there and none found, 0: lost, 1: found. Never a
 * wrong one. */
static int ask(struct heap *h)
{
    u32 i = pick(h->cells);
    struct block *b = &h->block[i];
    u64 addr = BASE + i * h->cell_bytes + pick((u32)h->cell_bytes);
    bool inside = b->size != ~0ULL && addr >= b->addr && addr < b->addr + b->size;
    struct note n;
    bool found = notes_find(addr, &n);
    if (!found)
        return inside ? 0 : -1;
    CU_ASSERT_FATAL(inside);
    CU_ASSERT_EQUAL_FATAL(n.base, b->addr);
    CU_ASSERT_EQUAL_FATAL(n.size, b->size);
    CU_ASSERT_FATAL(n.pc == b->pc || n.pc == 0);
    b->found = true;
    return 1;
}

static void live_through(struct heap *h, u32 steps, bool may_lose)
{
    u32 lost = 0, found = 0;
    for (u32 s = 0; s < steps; s++) {
        u32 i = pick(h->cells);
        if (h->block[i].size == ~0ULL) {
            block_make(h, i);
        } else if (pick(2)) {
            bool noted = block_end(&h->block[i]);
            CU_ASSERT(noted || may_lose);
        }
        int r = ask(h);
        lost += r == 0;
        found += r == 1;
    }
    CU_ASSERT(found > 0);
    CU_ASSERT(may_lose || lost == 0);
    for (u32 i = 0; i < h->cells; i++)
        if (h->block[i].size != ~0ULL)
            block_end(&h->block[i]);
    free(h->block);
}

static void small_blocks(void)
{
    struct heap h;
    heap_new(&h, 20000, 64, 0);
    live_through(&h, 300000, false);
}

static void medium_blocks(void)
{
    struct heap h;
    heap_new(&h, 2000, 8192, 0);
    live_through(&h, 100000, false);
}

static void large_blocks(void)
{
    struct heap h;
    heap_new(&h, 60, 4u << 20, NOTES_LARGE);
    live_through(&h, 50000, false);
}

/* Blocks around the limit between the two tables, in one heap. */
static void mixed_blocks(void)
{
    struct heap h;
    heap_new(&h, 400, NOTES_LARGE + 4096, 0);
    live_through(&h, 100000, false);
}

/* Several windows of the table: notes overwrite each other, answers stay right. */
static void heap_larger_than_the_table(void)
{
    struct heap h;
    heap_new(&h, 200000, 2048, 0);
    live_through(&h, 600000, true);
}

static void many_sites(void)
{
    struct note n;
    u32 known = 0, calls = 3 * NOTES_SITES;
    for (u32 i = 0; i < calls; i++) {
        u64 addr = BASE + 64ULL * (i % 1000), pc = 0x7fff00000000ULL + 16ULL * i;
        notes_add_hot((void *)addr, 40, pc);
        CU_ASSERT_FATAL(notes_find(addr + 39, &n));
        CU_ASSERT_FATAL(n.pc == pc || n.pc == 0); /* too many: unknown, never another one's */
        known += n.pc != 0;
        notes_take(addr, &n);
    }
    CU_ASSERT(known > NOTES_SITES / 4);
}

/* operator new: the note of the malloc inside gets the caller's site, but none is made where there was none. */
static void correct(void)
{
    static const u64 sizes[] = {8, 500, NOTES_LARGE, 1u << 20};
    struct note n;
    for (u32 i = 0; i < 4; i++) {
        for (u64 pc = 1000; pc < 1002; pc++) {
            notes_add_hot((void *)BASE, sizes[i], 77);
            CU_ASSERT_PTR_EQUAL(notes_correct((void *)BASE, sizes[i], pc), (void *)BASE);
            CU_ASSERT_FATAL(notes_take(BASE, &n));
            CU_ASSERT_EQUAL(n.pc, pc);
            CU_ASSERT_EQUAL(n.size, sizes[i]);
            notes_correct((void *)BASE, sizes[i], pc);
            CU_ASSERT_FALSE(notes_take(BASE, &n));
        }
    }
    CU_ASSERT_PTR_NULL(notes_correct(NULL, 10, 1));
}

static void odd_addresses(void)
{
    struct note n;
    CU_ASSERT_PTR_NULL(notes_add(NULL, 10, 1));
    CU_ASSERT_PTR_NULL(notes_add_hot(NULL, 10, 1));
    CU_ASSERT_FALSE(notes_find(0, &n));
    CU_ASSERT_FALSE(notes_take(0, &n));
    CU_ASSERT_FALSE(notes_take_plain(0));
    CU_ASSERT_FALSE(notes_find(~0ULL, &n));
    notes_add((void *)0xffff800000001000ULL, 64, 1);
    CU_ASSERT_FALSE(notes_find(0xffff800000001000ULL, &n));
    notes_add((void *)BASE, 0, 1); /* malloc(0) */
    CU_ASSERT_FALSE(notes_find(BASE, &n));
    CU_ASSERT_TRUE(notes_take_plain(BASE));
}

UNIT_TESTS("allocation notes", {"small_blocks", small_blocks}, {"medium_blocks", medium_blocks},
           {"large_blocks", large_blocks}, {"mixed_blocks", mixed_blocks},
           {"heap_larger_than_the_table", heap_larger_than_the_table}, {"correct", correct},
           {"many_sites", many_sites}, /* fills the table of sites */
           {"odd_addresses", odd_addresses})
