/* CPython's line tables: tables that the interpreters themselves made, with the lines that they tell for each
 * instruction (code.co_lines(), before 3.10 dis.findlinestarts()), and tables that make no sense. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../detector/model/python_lines.c"
#include "unit.h"

struct line_run {
    u32 from; /* offset of the first instruction */
    u32 line; /* of it and those behind; 0: the table gives none */
};

struct line_table {
    const char *name;
    enum python_lines form;
    const u8 *table;
    u32 size, first_line, code_size;
    const struct line_run *lines;
    u32 nlines;
};

/* "body": statements over several lines, blank lines, loops, with, a comprehension, try and finally. "far": lines
 * hundreds apart, backwards too.
 */
/* clang-format off */
static const u8 body_39[] = {
    0, 2, 2, 1, 2, 255, 4, 4, 4, 1, 2, 1, 2, 255, 8, 2, 6, 1, 42, 2, 6, 1, 6, 255, 6, 2, 4, 1, 4, 1, 2, 255, 8, 2,
    14, 1, 26, 2, 8, 1};
static const struct line_run body_39_lines[] = {
    {0, 3}, {2, 4}, {4, 3}, {8, 7}, {12, 8}, {14, 9}, {16, 8}, {24, 10}, {30, 11}, {72, 13}, {78, 14}, {84, 13},
    {90, 15}, {94, 16}, {98, 17}, {100, 16}, {108, 18}, {122, 19}, {148, 21}, {156, 22}};
static const u8 far_39[] = {
    0, 1, 4, 127, 0, 127, 0, 47, 2, 128, 0, 128, 0, 211, 4, 127, 0, 127, 0, 127, 0, 121};
static const struct line_run far_39_lines[] = {
    {0, 2}, {4, 303}, {6, 2}, {10, 504}};
static const u8 body_310[] = {
    2, 2, 2, 1, 4, 255, 4, 4, 2, 1, 2, 1, 8, 255, 6, 2, 10, 1, 28, 255, 2, 128, 2, 254, 6, 5, 6, 1, 6, 255, 4, 2, 4,
    1, 2, 1, 8, 255, 2, 5, 4, 1, 14, 252, 2, 1, 8, 128, 2, 255, 4, 3};
static const struct line_run body_310_lines[] = {
    {0, 3}, {2, 4}, {4, 3}, {8, 7}, {12, 8}, {14, 9}, {16, 8}, {24, 10}, {30, 11}, {40, 10}, {68, 0}, {70, 8},
    {72, 13}, {78, 14}, {84, 13}, {90, 15}, {94, 16}, {98, 17}, {100, 16}, {108, 21}, {110, 22}, {114, 18},
    {128, 19}, {130, 0}, {138, 18}, {140, 21}};
static const u8 far_310[] = {
    4, 1, 0, 127, 0, 127, 2, 47, 0, 129, 0, 129, 4, 209, 0, 127, 0, 127, 0, 127, 4, 121};
static const struct line_run far_310_lines[] = {
    {0, 2}, {4, 303}, {6, 2}, {10, 504}};
static const u8 body_311[] = {
    128, 0, 224, 9, 10, 216, 9, 10, 241, 3, 1, 10, 11, 128, 65, 240, 8, 0, 8, 9, 240, 0, 7, 5, 26, 221, 17, 22, 216,
    16, 18, 241, 3, 1, 18, 20, 244, 0, 1, 18, 20, 240, 0, 3, 9, 23, 240, 0, 3, 9, 23, 136, 65, 224, 17, 18, 240, 0,
    1, 13, 23, 144, 97, 216, 16, 17, 144, 81, 145, 6, 144, 1, 240, 3, 1, 13, 23, 240, 0, 1, 13, 23, 240, 0, 1, 13,
    23, 241, 0, 1, 13, 23, 244, 0, 1, 13, 23, 240, 0, 1, 13, 23, 240, 0, 1, 13, 23, 240, 0, 1, 13, 23, 240, 0, 1,
    13, 23, 240, 0, 1, 13, 23, 240, 0, 1, 13, 23, 248, 248, 248, 240, 0, 1, 13, 23, 240, 0, 1, 13, 23, 240, 0, 1,
    13, 23, 240, 0, 1, 13, 23, 248, 240, 5, 3, 9, 23, 240, 10, 1, 13, 26, 240, 0, 1, 13, 26, 221, 16, 21, 144, 97,
    145, 8, 148, 8, 240, 3, 1, 13, 26, 241, 0, 1, 13, 26, 244, 0, 1, 13, 26, 136, 1, 240, 4, 6, 5, 14, 221, 12, 13,
    136, 97, 216, 14, 15, 241, 3, 1, 13, 17, 244, 0, 1, 13, 17, 136, 1, 136, 1, 248, 229, 11, 21, 240, 0, 1, 5, 14,
    240, 0, 1, 5, 14, 240, 0, 1, 5, 14, 216, 8, 13, 248, 248, 248, 248, 240, 3, 1, 5, 14, 248, 248, 248, 240, 5, 0,
    9, 10, 240, 10, 0, 13, 14, 136, 65, 248, 136, 65, 136, 5, 136, 5, 136, 5, 136, 5, 216, 11, 12, 128, 72};
static const struct line_run body_311_lines[] = {
    {0, 1}, {2, 3}, {4, 4}, {6, 3}, {12, 7}, {16, 8}, {28, 9}, {30, 8}, {50, 10}, {56, 11}, {66, 10}, {98, 0},
    {104, 10}, {112, 0}, {114, 8}, {116, 13}, {120, 14}, {148, 13}, {166, 15}, {168, 16}, {182, 17}, {184, 16},
    {202, 0}, {204, 18}, {222, 19}, {224, 0}, {232, 18}, {234, 0}, {240, 16}, {242, 21}, {246, 0}, {248, 21},
    {258, 22}};
static const u8 far_311[] = {
    128, 0, 216, 4, 5, 135, 67, 130, 67, 240, 90, 9, 0, 9, 10, 241, 91, 9, 109, 4, 5, 11, 244, 0, 109, 4, 5, 11,
    240, 0, 109, 4, 5, 11, 240, 108, 15, 0, 12, 13, 128, 72};
static const struct line_run far_311_lines[] = {
    {0, 1}, {2, 2}, {26, 303}, {28, 2}, {44, 504}};
static const u8 body_312[] = {
    128, 0, 224, 9, 10, 216, 9, 10, 241, 3, 1, 10, 11, 128, 65, 241, 8, 0, 8, 9, 220, 17, 22, 216, 16, 18, 243, 3,
    1, 18, 20, 242, 0, 3, 9, 23, 136, 65, 224, 17, 18, 240, 0, 1, 13, 23, 144, 97, 216, 16, 17, 144, 81, 145, 6,
    144, 1, 247, 3, 1, 13, 23, 240, 0, 1, 13, 23, 241, 5, 3, 9, 23, 244, 12, 0, 17, 22, 144, 97, 147, 8, 246, 3, 1,
    13, 26, 144, 49, 138, 81, 240, 0, 1, 13, 26, 136, 1, 240, 0, 1, 13, 26, 240, 4, 6, 5, 14, 220, 12, 13, 136, 97,
    216, 14, 15, 243, 3, 1, 13, 17, 136, 1, 240, 10, 0, 13, 14, 216, 11, 12, 128, 72, 247, 25, 1, 13, 23, 240, 0, 1,
    13, 23, 252, 242, 6, 1, 13, 26, 248, 244, 10, 0, 12, 22, 242, 0, 1, 5, 14, 216, 8, 13, 251, 240, 3, 1, 5, 14,
    251, 241, 6, 0, 13, 14, 250};
static const struct line_run body_312_lines[] = {
    {0, 1}, {2, 3}, {4, 4}, {6, 3}, {12, 7}, {16, 8}, {26, 9}, {28, 8}, {44, 10}, {50, 11}, {60, 10}, {78, 8},
    {82, 14}, {102, 13}, {130, 15}, {132, 16}, {144, 17}, {146, 16}, {156, 21}, {158, 22}, {162, 10}, {180, 0},
    {190, 13}, {196, 0}, {198, 18}, {214, 19}, {216, 0}, {224, 18}, {226, 0}, {234, 21}, {238, 0}};
static const u8 far_312[] = {
    128, 0, 216, 4, 5, 135, 67, 129, 67, 240, 90, 9, 0, 9, 10, 244, 91, 9, 109, 4, 5, 11, 240, 108, 15, 0, 12, 13,
    128, 72};
static const struct line_run far_312_lines[] = {
    {0, 1}, {2, 2}, {24, 303}, {26, 2}, {36, 504}};
static const u8 body_313[] = {
    128, 0, 224, 9, 10, 216, 9, 10, 241, 3, 1, 10, 11, 128, 65, 246, 8, 0, 8, 9, 220, 17, 22, 216, 16, 18, 246, 3,
    1, 18, 20, 136, 65, 225, 17, 18, 144, 97, 216, 16, 17, 145, 6, 144, 1, 247, 3, 0, 18, 19, 145, 17, 242, 5, 1,
    18, 20, 244, 12, 0, 17, 22, 144, 97, 148, 8, 243, 3, 1, 13, 26, 217, 16, 24, 240, 3, 0, 20, 21, 138, 81, 217,
    16, 24, 240, 3, 0, 9, 10, 240, 0, 1, 13, 26, 240, 4, 6, 5, 14, 220, 12, 13, 136, 97, 216, 14, 15, 243, 3, 1, 13,
    17, 137, 1, 240, 10, 0, 13, 14, 216, 11, 12, 128, 72, 247, 25, 0, 18, 19, 150, 17, 252, 242, 6, 1, 13, 26, 248,
    244, 10, 0, 12, 22, 243, 0, 1, 5, 14, 216, 8, 13, 251, 240, 3, 1, 5, 14, 251, 241, 6, 0, 13, 14, 250};
static const struct line_run body_313_lines[] = {
    {0, 1}, {2, 3}, {4, 4}, {6, 3}, {12, 7}, {26, 8}, {36, 9}, {38, 8}, {54, 10}, {60, 11}, {68, 10}, {88, 8},
    {94, 14}, {116, 13}, {124, 14}, {128, 13}, {136, 14}, {140, 13}, {144, 15}, {146, 16}, {158, 17}, {160, 16},
    {172, 21}, {174, 22}, {178, 10}, {208, 0}, {218, 13}, {224, 0}, {226, 18}, {244, 19}, {246, 0}, {254, 18},
    {256, 0}, {264, 21}, {268, 0}};
static const u8 far_313[] = {
    128, 0, 216, 4, 5, 135, 67, 129, 67, 240, 90, 9, 0, 9, 10, 244, 91, 9, 109, 4, 5, 11, 240, 108, 15, 0, 12, 13,
    128, 72};
static const struct line_run far_313_lines[] = {
    {0, 1}, {2, 2}, {24, 303}, {26, 2}, {36, 504}};
/* clang-format on */

#define TABLE(what, version, form, code_size)                                                                          \
    {                                                                                                                  \
#what " " #version, form, what##_##version, sizeof what##_##version, 1, code_size, what##_##version##_lines,   \
            ARRAY_LEN(what##_##version##_lines)                                                                        \
    }

static const struct line_table tables[] = {
    TABLE(body, 39, LINES_LNOTAB, 160),     TABLE(far, 39, LINES_LNOTAB, 14),
    TABLE(body, 310, LINES_310, 144),       TABLE(far, 310, LINES_310, 14),
    TABLE(body, 311, LINES_LOCATIONS, 262), TABLE(far, 311, LINES_LOCATIONS, 48),
    TABLE(body, 312, LINES_LOCATIONS, 244), TABLE(far, 312, LINES_LOCATIONS, 40),
    TABLE(body, 313, LINES_LOCATIONS, 274), TABLE(far, 313, LINES_LOCATIONS, 40),
};

/* The table where one byte more is a fault. */
static const u8 *at_the_edge(const void *bytes, u32 size)
{
    static char *pages;
    long page = sysconf(_SC_PAGESIZE);
    if (!pages) {
        pages = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(pages + page, (size_t)page, PROT_NONE);
    }
    return memcpy(pages + page - size, bytes, size);
}

static void check(const struct line_table *t)
{
    const u8 *table = at_the_edge(t->table, t->size);
    u32 run = 0, wrong = 0;
    for (u32 at = 0; at < t->code_size; at += 2) {
        if (run + 1 < t->nlines && t->lines[run + 1].from == at)
            run++;
        u32 want = t->lines[run].line, got = python_line(t->form, table, t->size, t->first_line, at);
        if (want && want != got && !wrong++)
            printf("%s: line of %u is %u, not %u ", t->name, at, got, want);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void lnotab(void)
{
    for (u32 i = 0; i < ARRAY_LEN(tables); i++)
        if (tables[i].form == LINES_LNOTAB)
            check(&tables[i]);
}

static void line_ranges(void)
{
    for (u32 i = 0; i < ARRAY_LEN(tables); i++)
        if (tables[i].form == LINES_310)
            check(&tables[i]);
}

static void locations(void)
{
    for (u32 i = 0; i < ARRAY_LEN(tables); i++)
        if (tables[i].form == LINES_LOCATIONS)
            check(&tables[i]);
}

static void empty_table(void)
{
    for (u32 form = LINES_LNOTAB; form <= LINES_LOCATIONS; form++)
        CU_ASSERT_EQUAL(python_line((enum python_lines)form, at_the_edge("", 0), 0, 42, 10), 42);
}

static void behind_the_end(void)
{
    for (u32 i = 0; i < ARRAY_LEN(tables); i++) {
        const struct line_table *t = &tables[i];
        python_line(t->form, at_the_edge(t->table, t->size), t->size, 1, 1u << 30);
    }
}

/* Every beginning of a good table, and tables of bytes that were drawn: read within their bounds, to an end. */
static void cut_tables(void)
{
    for (u32 i = 0; i < ARRAY_LEN(tables); i++)
        for (u32 n = 0; n < tables[i].size; n++)
            python_line(tables[i].form, at_the_edge(tables[i].table, n), n, 1, tables[i].code_size);
}

static void drawn_tables(void)
{
    u8 bytes[64];
    srand(1);
    for (u32 round = 0; round < 20000; round++) {
        u32 n = (u32)rand() % (sizeof bytes + 1);
        for (u32 i = 0; i < n; i++)
            bytes[i] = (u8)(rand() >> 7 | (round & 1 ? 0xc0 : 0)); /* odd rounds: numbers that go on and on */
        for (u32 form = LINES_LNOTAB; form <= LINES_LOCATIONS; form++)
            python_line((enum python_lines)form, at_the_edge(bytes, n), n, 1, (u64)rand());
    }
}

UNIT_TESTS("python_lines", {"lnotab", lnotab}, {"line_ranges", line_ranges}, {"locations", locations},
           {"empty_table", empty_table}, {"behind_the_end", behind_the_end}, {"cut_tables", cut_tables},
           {"drawn_tables", drawn_tables})
