/* Bookkeeping of file locks: ranges as fcntl means them, and what is left after partial unlocks, against a map of
 * bytes. */
#include "unit.h"

#include <errno.h>

#include "file_holds.h"

static bool range(int64_t start, int64_t len, u64 lo, u64 hi)
{
    struct file_range r = {1, 0};
    return file_range_of(start, len, &r) && r.start == lo && r.end == hi;
}

static void ranges(void)
{
    struct file_range r;
    CU_ASSERT_TRUE(range(0, 0, 0, FILE_END));
    CU_ASSERT_TRUE(range(10, 0, 10, FILE_END));
    CU_ASSERT_TRUE(range(10, 5, 10, 14));
    CU_ASSERT_TRUE(range(10, -5, 5, 9)); /* negative length: the bytes before */
    CU_ASSERT_TRUE(range(5, -5, 0, 4));
    CU_ASSERT_FALSE(file_range_of(4, -5, &r));
    CU_ASSERT_FALSE(file_range_of(-1, 0, &r));
    CU_ASSERT_FALSE(file_range_of(INT64_MAX, 2, &r));
    CU_ASSERT_FALSE(file_range_of(INT64_MIN, -1, &r));
}

/* Cuts that do not make a hole, against a bit for each byte. */
static void cuts(void)
{
    for (u64 hs = 0; hs < 8; hs++)
        for (u64 he = hs; he < 8; he++)
            for (u64 cs = 0; cs < 8; cs++)
                for (u64 ce = cs; ce < 8; ce++) {
                    struct file_hold h = {.range = {hs, he}};
                    struct file_range cut = {cs, ce};
                    u32 want = 0;
                    for (u64 b = hs; b <= he; b++)
                        want |= b < cs || b > ce ? 1u << b : 0;
                    bool hole = cs > hs && ce < he;
                    bool gone = file_hold_cut(&h, cut);
                    CU_ASSERT_EQUAL(gone, want == 0);
                    u32 left = 0;
                    for (u64 b = h.range.start; !gone && b <= h.range.end; b++)
                        left |= 1u << b;
                    CU_ASSERT_EQUAL(left, hole ? ((2u << he) - (1u << hs)) : want);
                }
}

static void open_end(void)
{
    struct file_hold h = {.range = {100, FILE_END}};
    CU_ASSERT_FALSE(file_hold_cut(&h, (struct file_range){0, 99}));
    CU_ASSERT_FALSE(file_hold_cut(&h, (struct file_range){200, FILE_END}));
    CU_ASSERT_EQUAL(h.range.end, 199);
    CU_ASSERT_TRUE(file_hold_cut(&h, (struct file_range){0, FILE_END}));
}

static void list(void)
{
    struct file_holds holds = {0};
    enum { N = 1000 };
    for (u32 i = 0; i < N; i++) {
        struct file_hold h = {.ino = i, .type = (u8)(i % 3)};
        CU_ASSERT_EQUAL_FATAL(file_holds_add(&holds, &h), 0);
    }
    for (u32 i = 0; i < N / 2; i++)
        file_holds_remove(&holds, holds.n / 2);
    CU_ASSERT_EQUAL(holds.n, N / 2);
    file_holds_after_fork(&holds);
    for (u32 i = 0; i < holds.n; i++) {
        CU_ASSERT_NOT_EQUAL(holds.item[i].type, FILE_POSIX);
        CU_ASSERT_TRUE(holds.item[i].inherited);
    }
}

UNIT_TESTS("file holds", {"ranges", ranges}, {"cuts", cuts}, {"open_end", open_end}, {"list", list})
