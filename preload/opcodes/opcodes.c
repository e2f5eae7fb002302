/* Writes the table of opcodes that rewriting decodes by (preload/access/rewrite_opcode.h): opcodes > FILE.c
 *
 * Run while building. Every opcode is tried with every prefix, register field and so on that may change what it does;
 * Zydis says what that is, and what does not matter is left out of the table. So Zydis itself is not needed in the
 * watched program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "try.h"

static const u32 all_cases[DIMS] = {
#define X(name, n) n,
    OPCODE_DIMENSIONS(X)
#undef X
};

/* How many cases of each dimension exist for opcodes of this map; 1: it has no such thing. */
static void cases_of(u32 map, u32 n[DIMS])
{
    memcpy(n, all_cases, sizeof all_cases);
    if (map < MAP_VEX + 1) {
        n[DIM_LENGTH] = n[DIM_BROADCAST] = n[DIM_MASKED] = 1;
        return;
    }
    n[DIM_PREFIX] = 4;
    n[DIM_RM] = 1;
    if (map < MAP_EVEX + 1) {
        n[DIM_LENGTH] = 2;
        n[DIM_BROADCAST] = n[DIM_MASKED] = 1;
    }
}

#define MOST_CASES (2 * 8 * 8 * 6 * 2 * 4 * 2 * 2)
#define MOST_FACTS 4096
#define MOST_TABLE (1u << 20)

static struct opcode_facts facts[MOST_FACTS];
static u32 nfacts;
static u16 table[MOST_TABLE];
static u32 ntable;
static struct opcode_row rows[MAPS][256];

static u16 number_of(const struct opcode_facts *f)
{
    for (u32 i = 0; i < nfacts; i++)
        if (memcmp(&facts[i], f, sizeof *f) == 0)
            return (u16)i;
    if (nfacts == MOST_FACTS) {
        fputs("opcodes: too many different facts\n", stderr);
        exit(1);
    }
    facts[nfacts] = *f;
    return (u16)nfacts++;
}

/* The cases along dimension d are all alike: keeps the first of each. Returns how many are left. */
static u32 fold(u16 *cases, u32 total, u32 inner, u32 n)
{
    u32 out = 0;
    for (u32 i = 0; i < total; i += inner * n)
        for (u32 j = 0; j < inner; j++)
            cases[out++] = cases[i + j];
    return out;
}

static int matters(const u16 *cases, u32 total, u32 inner, u32 n)
{
    for (u32 i = 0; i < total; i += inner * n)
        for (u32 j = 0; j < inner * n; j++)
            if (cases[i + j] != cases[i + j % inner])
                return 1;
    return 0;
}

static void make_row(u32 map, u32 opcode)
{
    static u16 cases[MOST_CASES];
    u32 n[DIMS], total = 1, inner = 1;
    struct opcode_row *row = &rows[map][opcode];
    cases_of(map, n);
    for (u32 d = 0; d < DIMS; d++)
        total *= n[d];
    for (u32 i = 0; i < total; i++) {
        struct opcode_case c = {.map = map, .opcode = opcode};
        struct opcode_facts f;
        for (u32 d = 0, rest = i; d < DIMS; rest /= n[d++])
            c.at[d] = rest % n[d];
        opcode_try(&c, &f);
        cases[i] = number_of(&f);
    }
    for (u32 d = 0; d < DIMS; d++) {
        if (matters(cases, total, inner, n[d])) {
            row->dims |= (u16)(1u << d);
            inner *= n[d];
        } else {
            total = fold(cases, total, inner, n[d]);
        }
    }
    for (u32 at = 0; at + total <= ntable; at++) {
        if (memcmp(&table[at], cases, total * sizeof *cases) == 0) {
            row->first = at;
            return;
        }
    }
    if (ntable + total > MOST_TABLE) {
        fputs("opcodes: the table is too large\n", stderr);
        exit(1);
    }
    row->first = ntable;
    memcpy(&table[ntable], cases, total * sizeof *cases);
    ntable += total;
}

static void print_facts(const struct opcode_facts *f)
{
    printf("    {0x%x, %u, %u, %u, %u, %u, %u, %u, %u, %u, %u, %u, 0x%x, 0x%x, 0x%x, %u, %u},\n", f->what, f->flow,
           f->memory, f->immediate, f->disp8_shift, f->size, f->element, f->bits, f->reg, f->rm, f->opcode_reg, f->vvvv,
           f->reads, f->writes, f->wholes, f->flags_read, f->flags_written);
}

int main(void)
{
    const struct opcode_facts none = {0};
    number_of(&none); /* entry 0: not an instruction */
    for (u32 map = 0; map < MAPS; map++)
        for (u32 opcode = 0; opcode < 256; opcode++)
            make_row(map, opcode);
    puts("/* Made by preload/opcodes. */\n#include \"access/rewrite_opcode.h\"\n");
    puts("const struct opcode_row opcode_rows[MAPS][256] = {");
    for (u32 map = 0; map < MAPS; map++) {
        printf("    {");
        for (u32 i = 0; i < 256; i++)
            printf("{0x%x, %u},%s", rows[map][i].dims, rows[map][i].first, i % 8 == 7 ? "\n     " : " ");
        puts("},");
    }
    puts("};\n\nconst u16 opcode_cases[] = {");
    for (u32 i = 0; i < ntable; i++)
        printf("%u,%s", table[i], i % 20 == 19 ? "\n" : " ");
    puts("};\n\nconst struct opcode_facts opcode_facts[] = {");
    for (u32 i = 0; i < nfacts; i++)
        print_facts(&facts[i]);
    puts("};");
    return ferror(stdout) || fflush(stdout);
}
