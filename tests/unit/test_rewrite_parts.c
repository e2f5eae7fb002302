/* The steps of rewriting one by one, on a few instructions each: bytes in, facts and bytes out. */
#include "unit.h"

#include <elf.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "access/rewrite_copy.h"
#include "access/rewrite_map.h"
#include "access/rewrite_patch.h"

#define PAGE 4096u

/* A module of three pages: code, constants, variables. */
static u8 *base;
static struct rewrite r;

static void begin(void)
{
    if (!base) {
        base = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CU_ASSERT_FATAL(base != MAP_FAILED);
    }
    rewrite_free(&r);
    memset(base, 0, 3 * PAGE);
    memset(base, 0xcc, PAGE);
    u64 at = (u64)base;
    r = (struct rewrite){.image = {.nparts = 3, .bias = at, .text_lo = at, .text_hi = at + PAGE}};
    r.image.part[0] = (struct image_part){at, at + PAGE, false, true};
    r.image.part[1] = (struct image_part){at + PAGE, at + 2 * PAGE, false, false};
    r.image.part[2] = (struct image_part){at + 2 * PAGE, at + 3 * PAGE, true, false};
}

/* Puts code at an offset; returns the offset behind it. */
static u32 code(u32 at, const u8 *bytes, u32 n)
{
    memcpy(base + at, bytes, n);
    return at + n;
}
#define CODE(at, ...) code(at, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

struct range {
    u32 lo, hi;
    u64 lsda;
};
static void scan(const struct range *f, u32 n)
{
    struct code_range ranges[8];
    for (u32 i = 0; i < n; i++)
        ranges[i] = (struct code_range){(u64)base + f[i].lo, (u64)base + f[i].hi, f[i].lsda};
    CU_ASSERT_TRUE_FATAL(rewrite_ranges(&r, ranges, n) && rewrite_scan(&r));
}
#define SCAN(...)                                                                                                      \
    scan((const struct range[]){__VA_ARGS__}, sizeof((const struct range[]){__VA_ARGS__}) / sizeof(struct range))

static void analyse(void)
{
    CU_ASSERT_TRUE_FATAL(rewrite_entries(&r) && rewrite_live(&r));
}

static const struct place *at(u32 offset)
{
    u32 i = place_at(&r, (u64)base + offset);
    CU_ASSERT_NOT_EQUAL_FATAL(i, NOWHERE);
    return &r.places.item[i];
}
static bool is_entry(u32 offset)
{
    return at(offset)->marks & PLACE_ENTRY;
}
static bool is_checked(u32 offset)
{
    return at(offset)->marks & PLACE_CHECKED;
}

/* ---- functions ---- */

static void functions(void)
{
    begin();
    CODE(0, 0x90, 0xc3);                          /* nop; ret */
    CODE(16, 0x06, 0xc3);                         /* no instruction */
    CODE(32, 0x90, 0x90, 0xc3);                   /* two that overlap */
    CODE(48, 0x74, 0x01, 0xf0, 0xff, 0x07, 0xc3); /* je over the prefix of lock inc: into an instruction */
    CODE(64, 0xc7, 0xf8, 0, 0, 0, 0, 0xc3);       /* xbegin */
    SCAN({64, 71, 0}, {0, 2, 0}, {16, 18, 0}, {32, 35, 0}, {33, 36, 0}, {48, 54, 0});
    CU_ASSERT_EQUAL(r.functions.n, 1);
    CU_ASSERT_EQUAL(r.places.n, 2);
    CU_ASSERT_EQUAL(r.counts.undecoded, 2);
    CU_ASSERT_EQUAL(r.counts.overlapping, 2);
    CU_ASSERT_EQUAL(r.counts.entangled, 1);
    CU_ASSERT_EQUAL(place_at(&r, (u64)base + 1), 1);
    CU_ASSERT_EQUAL(place_at(&r, (u64)base + 16), NOWHERE);
    CU_ASSERT_EQUAL(place_at(&r, (u64)base + 5 * PAGE), NOWHERE);
}

/* ---- entries ---- */

static void calls_and_addresses(void)
{
    begin();
    u32 p = CODE(0, 0xe8, 27, 0, 0, 0);                   /* call 32 */
    CODE(p, 0x48, 0x8d, 0x05, 0x25, 0, 0, 0, 0x90, 0xc3); /* lea rax, [49]; nop; ret */
    CODE(32, 0x90, 0xc3);
    CODE(48, 0x90, 0x90, 0xf3, 0x0f, 0x1e, 0xfa, 0x90, 0xc3); /* endbr64 in the midst */
    SCAN({0, 14, 0}, {32, 34, 0}, {48, 56, 0});
    analyse();
    CU_ASSERT_TRUE(is_entry(0) && is_entry(5) && is_entry(32) && is_entry(48) && is_entry(49) && is_entry(50));
    CU_ASSERT_FALSE(is_entry(12) || is_entry(33) || is_entry(54));
    CU_ASSERT_TRUE(at(0)->marks & PLACE_IN_PLACE);
}

static void tables(void)
{
    begin();
    u64 table = (u64)base + PAGE;
    u32 p = CODE(0, 0x48, 0x8d, 0x15, 0xf9, 0x0f, 0, 0);               /* lea rdx, [table] */
    p = CODE(p, 0x48, 0x63, 0x04, 0x8a, 0x48, 0x01, 0xd0, 0xff, 0xe0); /* movsxd rax, [rdx + rcx * 4]; add; jmp */
    u32 first = p;
    CODE(p, 0x90, 0x90, 0x90, 0xc3);
    for (u32 i = 0; i < 3; i++) {
        int32_t to = (int32_t)((u64)base + first + i - table);
        memcpy(base + PAGE + 4ULL * i, &to, 4);
    }
    SCAN({0, first + 4, 0});
    analyse();
    CU_ASSERT_TRUE(is_entry(first) && is_entry(first + 1) && is_entry(first + 2));
    CU_ASSERT_FALSE(is_entry(first + 3));
    CU_ASSERT_EQUAL(r.counts.table_entries, 3);
}

static void relocations(void)
{
    begin();
    CODE(0, 0x90, 0x90, 0x90, 0x90, 0xc3);
    Elf64_Rela *rela = (Elf64_Rela *)(void *)(base + PAGE);
    rela[0] = (Elf64_Rela){.r_info = ELF64_R_INFO(0, R_X86_64_RELATIVE), .r_addend = 1};
    rela[1] = (Elf64_Rela){.r_info = ELF64_R_INFO(0, R_X86_64_64), .r_addend = 2};
    u64 *relr = (u64 *)(void *)(base + PAGE + 512), *words = (u64 *)(void *)(base + 2 * PAGE);
    relr[0] = 2 * PAGE;
    relr[1] = 1 | 2 << 1; /* the second word after it */
    words[0] = (u64)base + 3;
    words[1] = (u64)base + 2;
    words[2] = (u64)base + 4;
    Elf64_Dyn *d = (Elf64_Dyn *)(void *)(base + PAGE + 1024);
    d[0] = (Elf64_Dyn){DT_RELA, {(u64)rela}};
    d[1] = (Elf64_Dyn){DT_RELASZ, {2 * sizeof *rela}};
    d[2] = (Elf64_Dyn){36, {PAGE + 512}}; /* DT_RELR, as it stands in the file */
    d[3] = (Elf64_Dyn){35, {16}};
    r.image.dynamic = (u64)d;
    SCAN({0, 5, 0});
    analyse();
    CU_ASSERT_TRUE(is_entry(0) && is_entry(1) && is_entry(3) && is_entry(4));
    CU_ASSERT_FALSE(is_entry(2));
}

static void landing_pads(void)
{
    begin();
    static const u8 lsda[] = {0xff, 0xff, 1, 8,  /* no base of its own, no types, numbers as uleb128, 8 bytes */
                              0,    2,    0, 0,  /* bytes 0 to 2: no pad */
                              2,    2,    4, 1}; /* the next two: 4 */
    CODE(0, 0x90, 0x90, 0x90, 0x90, 0x90, 0xc3);
    memcpy(base + PAGE, lsda, sizeof lsda);
    SCAN({0, 6, (u64)base + PAGE});
    analyse();
    CU_ASSERT_TRUE(is_entry(4));
    CU_ASSERT_FALSE(is_entry(2) || is_entry(3));
    CU_ASSERT_EQUAL(r.counts.pads, 1);
}

/* ---- liveness ---- */

static void registers(void)
{
    begin();
    /* mov eax, [rdi]; mov ecx, eax; add eax, ecx; ret */
    CODE(0, 0x8b, 0x07, 0x89, 0xc1, 0x01, 0xc8, 0xc3);
    SCAN({0, 7, 0});
    analyse();
    CU_ASSERT_FALSE(at(0)->live & (1 << RAX | 1 << RCX));
    CU_ASSERT_TRUE(at(0)->live & 1 << RDI);
    CU_ASSERT_TRUE(at(2)->live & 1 << RAX);
    CU_ASSERT_TRUE(at(4)->live & 1 << RCX);
    CU_ASSERT_TRUE(at(6)->live & 1 << RAX && at(6)->live & 1 << R12);
    CU_ASSERT_FALSE(at(6)->live & 1 << RCX);
    CU_ASSERT_TRUE(at(6)->live & 1 << R8); /* left alone */
    CU_ASSERT_EQUAL(at(2)->flags_live, 0);
}

static void flags(void)
{
    begin();
    /* cmp eax, ecx; mov rdx, [rdi]; jg 1f; nop; 1: ret */
    CODE(0, 0x39, 0xc8, 0x48, 0x8b, 0x17, 0x7f, 1, 0x90, 0xc3);
    SCAN({0, 9, 0});
    analyse();
    CU_ASSERT_EQUAL(at(0)->flags_live, 0);
    CU_ASSERT_EQUAL(at(2)->flags_live, FLAG_ZF | FLAG_SF | FLAG_OF);
    CU_ASSERT_EQUAL(at(7)->flags_live, 0);
}

/* A function that returns in the carry flag and in r8, and one that is passed the zero flag: only who calls tells. */
static void private_conventions(void)
{
    begin();
    u32 p = CODE(0, 0xe8, 0x1b, 0, 0, 0, 0x72, 3, 0x4c, 0x89, 0xc0); /* call 32; jc 1f; mov rax, r8 */
    CODE(p, 0xe8, 0x31, 0, 0, 0, 0xc3);                              /* 1: call 64; ret */
    CODE(32, 0x49, 0x89, 0xf8, 0xf8, 0x8b, 0x0e, 0xc3);              /* mov r8, rdi; clc; mov ecx, [rsi]; ret */
    CODE(64, 0x74, 0, 0xc3);                                         /* jz */
    CODE(96, 0x31, 0xc9, 0xf8, 0x8b, 0x0e, 0xc3); /* nobody's: xor ecx, ecx; clc; mov ecx, [rsi]; ret */
    SCAN({0, p + 6, 0}, {32, 39, 0}, {64, 67, 0}, {96, 102, 0});
    CU_ASSERT_EQUAL(r.functions.n, 4);
    analyse();
    CU_ASSERT_TRUE(at(36)->flags_live & FLAG_CF);
    CU_ASSERT_TRUE(at(36)->live & 1 << R8);
    CU_ASSERT_EQUAL(at(99)->flags_live, 0);
    CU_ASSERT_TRUE(at(10)->flags_live & FLAG_ZF);
}

/* ---- what is checked ---- */

static void select_all(void)
{
    analyse();
    CU_ASSERT_TRUE_FATAL(rewrite_select(&r));
}

static void not_checked(void)
{
    begin();
    u32 p = CODE(0, 0x48, 0x89, 0x44, 0x24, 0xf8);            /* mov [rsp - 8], rax */
    p = CODE(p, 0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0); /* mov rax, fs:[0x28] */
    p = CODE(p, 0x8b, 0x05, 0xec, 0x0f, 0, 0);                /* mov eax, [constants] */
    p = CODE(p, 0x48, 0x8d, 0x47, 8, 0x50, 0x58);             /* lea rax, [rdi + 8]; push; pop */
    u32 variable = p;
    p = CODE(p, 0x8b, 0x05, 0xe0, 0x1f, 0, 0); /* mov eax, [variables] */
    u32 string = p;
    CODE(p, 0xf3, 0xaa, 0xc3); /* rep stosb */
    SCAN({0, p + 3, 0});
    select_all();
    CU_ASSERT_EQUAL(r.counts.eligible, 2);
    CU_ASSERT_TRUE(is_checked(variable) && is_checked(string));
    CU_ASSERT_EQUAL(r.counts.calls, 1);
}

/* The address of something on the stack is given away: then that is looked at, and what lies above it. */
static void escaping_stack(void)
{
    begin();
    u32 p = CODE(0, 0x48, 0x8d, 0x7c, 0x24, 0xf0);   /* lea rdi, [rsp - 16] */
    p = CODE(p, 0x48, 0x89, 0x44, 0x24, 0xf0);       /* mov [rsp - 16], rax */
    p = CODE(p, 0x48, 0x89, 0x44, 0x24, 0xe8);       /* mov [rsp - 24], rax */
    p = CODE(p, 0x48, 0x89, 0x44, 0x24, 0xf8, 0xc3); /* mov [rsp - 8], rax */
    SCAN({0, p, 0});
    select_all();
    CU_ASSERT_TRUE(is_checked(5) && is_checked(15));
    CU_ASSERT_FALSE(is_checked(10));
}

/* What a table says is not checked, unless the table can be written, or the register may be another one's. */
static void constant_tables(void)
{
    begin();
    u32 p = CODE(0, 0x48, 0x8d, 0x15, 0xf9, 0x0f, 0, 0, 0x8b, 0x04,
                 0x8a); /* lea rdx, [constants]; mov eax, [rdx + rcx * 4] */
    u32 variable = p + 7;
    p = CODE(p, 0x48, 0x8d, 0x15, 0xef, 0x1f, 0, 0, 0x8b, 0x04,
             0x8a);                                           /* lea rdx, [variables]; mov eax, [rdx + rcx * 4] */
    p = CODE(p, 0x48, 0x8d, 0x15, 0xe5, 0x0f, 0, 0, 0x74, 0); /* lea rdx, [constants]; je */
    u32 unknown = p;
    p = CODE(p, 0x8b, 0x04, 0x8a, 0xc3);
    SCAN({0, p, 0});
    select_all();
    CU_ASSERT_TRUE(is_checked(variable) && is_checked(unknown));
    CU_ASSERT_FALSE(is_checked(7));
}

static void merged(void)
{
    begin();
    u32 p = CODE(0, 0x8b, 0x07, 0x0f, 0xb6, 0x4f, 1); /* mov eax, [rdi]; movzx ecx, byte [rdi + 1]: among its bytes */
    p = CODE(p, 0x8b, 0x4f, 8, 0x89, 0x4f, 8);        /* mov ecx, [rdi + 8]; mov [rdi + 8], ecx: the write says both */
    p = CODE(p, 0xff, 0xc7, 0x8b, 0x07);              /* inc edi; mov eax, [rdi]: another address */
    CODE(p, 0xc3);
    SCAN({0, p + 1, 0});
    select_all();
    CU_ASSERT_TRUE(is_checked(0));
    CU_ASSERT_FALSE(is_checked(2) || is_checked(6));
    CU_ASSERT_TRUE(is_checked(9) && at(9)->marks & PLACE_READ_TOO);
    CU_ASSERT_TRUE(is_checked(14));
    CU_ASSERT_EQUAL(r.counts.merged, 2);
}

/* What may order threads, or let another one in for long, stands between. */
static void not_merged(void)
{
    begin();
    u32 p = CODE(0, 0x8b, 0x07, 0xf0, 0xff, 0x06, 0x8b, 0x0f); /* mov eax, [rdi]; lock inc [rsi]; mov ecx, [rdi] */
    p = CODE(p, 0x74, 0, 0x8b, 0x17, 0xc3);                    /* je; mov edx, [rdi] */
    SCAN({0, p, 0});
    select_all();
    CU_ASSERT_TRUE(is_checked(0) && is_checked(2) && is_checked(5) && is_checked(9));
    CU_ASSERT_EQUAL(r.counts.merged, 0);
}

/* Above the comparison, whose flags are wanted; not above what makes the address. */
static void hoisted(void)
{
    begin();
    u32 p = CODE(0, 0x39, 0xc8, 0x48, 0x8b, 0x17, 0x7f, 0); /* cmp eax, ecx; mov rdx, [rdi]; jg */
    p = CODE(p, 0x39, 0xc8, 0x0f, 0x4f, 0xfe, 0x48, 0x8b, 0x17, 0x7f, 0,
             0xc3); /* cmp; cmovg edi, esi; mov rdx, [rdi]; jg */
    SCAN({0, p, 0});
    select_all();
    CU_ASSERT_NOT_EQUAL(at(0)->checks, NOWHERE);
    CU_ASSERT_EQUAL(at(2)->checks, NOWHERE);
    CU_ASSERT_NOT_EQUAL(at(12)->checks, NOWHERE);
    CU_ASSERT_EQUAL(r.counts.hoisted, 1);
}

/* ---- code ---- */

static u8 memory[1024] __attribute__((aligned(64)));

static void code_of_a_check(void)
{
    struct emit hot = {memory, memory + 256, false}, cold = {memory + 256, memory + 512, false};
    struct check_target to = {
        .now = -8, .spare = {-64, -48, -32}, .address = -72, .cells = (u64)memory + 768, .slow = (u64)memory + 800};
    struct check_site site = {.number = 7, .live = REGS_ALL & ~(1 << RAX | 1 << RCX)};
    struct check_code made;
    static const u8 load[] = {0x8b, 0x47, 4}; /* mov eax, [rdi + 4] */
    CU_ASSERT_TRUE(insn_decode(load, sizeof load, &site.in));
    check_emit(&hot, &cold, &to, &site, &made);
    static const u8 want[] = {0x48, 0x8d, 0x47, 4,                                  /* lea rax, [rdi + 4] */
                              0x48, 0x8b, 0xc8,                                     /* mov rcx, rax */
                              0x48, 0x83, 0xe1, 0xf8,                               /* and rcx, -8 */
                              0x48, 0x33, 0x0d, 0xee, 2,    0,    0,                /* xor rcx, [cells] */
                              0x8b, 0x09,                                           /* mov ecx, [rcx] */
                              0x81, 0xe1, 0xff, 0xfe, 0xff, 0xff,                   /* and ecx, ~WRITE */
                              0x83, 0xe0, 7,                                        /* and eax, 7 */
                              0x64, 0x66, 0x0b, 0x0c, 0x45, 0xe0, 0xff, 0xff, 0xff, /* or cx, fs:[rax * 2 - 32] */
                              0x64, 0x3b, 0x0c, 0x25, 0xf8, 0xff, 0xff, 0xff,       /* cmp ecx, fs:[-8] */
                              0x0f, 0x85, 0xcc, 0,    0,    0};                     /* jne cold */
    CU_ASSERT_EQUAL((u64)(hot.p - memory), sizeof want);
    CU_ASSERT_EQUAL(memcmp(memory, want, sizeof want), 0);
    CU_ASSERT_TRUE(made.back == sizeof want && made.end == made.back && !made.saves_flags && !made.spills);
    CU_ASSERT_TRUE(cold.p > memory + 256 && !cold.full);
}

/* With nothing to spare: both registers and rax come back, and the flags. */
static void code_that_borrows(void)
{
    struct emit hot = {memory, memory + 256, false}, cold = {memory + 256, memory + 512, false};
    struct check_target to = {.now = -8,
                              .spare = {-64, -48, -32},
                              .saved = {-80, -88, -96},
                              .address = -72,
                              .cells = (u64)memory + 768,
                              .slow = (u64)memory + 800};
    struct check_site site = {.live = REGS_ALL, .flags_live = FLAG_CF};
    struct check_code made;
    static const u8 load[] = {0x8b, 0x04, 0x08}; /* mov eax, [rax + rcx] */
    CU_ASSERT_TRUE(insn_decode(load, sizeof load, &site.in));
    check_emit(&hot, &cold, &to, &site, &made);
    CU_ASSERT_TRUE(made.saves_flags && made.spills == 2 && made.end > made.back);
    hot = (struct emit){memory, memory + 20, false};
    check_emit(&hot, &cold, &to, &site, &made);
    CU_ASSERT_TRUE(hot.full);
}

/* ---- jumps ---- */

static void heads_and_map(void)
{
    struct arena a;
    struct check_target to = {.now = -8, .spare = {-64, -48, -32}, .saved = {-80, -88, -96}, .address = -72};
    begin();
    /* push rbx; mov rbx, rdi; mov eax, [rbx]; pop rbx; ret */
    CODE(0, 0x53, 0x48, 0x89, 0xfb, 0x8b, 0x03, 0x5b, 0xc3);
    SCAN({0, 8, 0});
    select_all();
    CU_ASSERT_TRUE_FATAL(arena_near(&a, &r.image, PAGE, PAGE));
    CU_ASSERT_TRUE_FATAL(rewrite_copy(&r, &a, &to, 0) && rewrite_patch(&r, &a));
    CU_ASSERT_EQUAL(r.counts.entries, 1);
    CU_ASSERT_EQUAL(r.counts.failed, 0);
    CU_ASSERT_EQUAL(r.patched[0], 0xe9);
    CU_ASSERT_TRUE(patch_is_trap(r.patched[1])); /* mov rbx's first byte */
    CU_ASSERT_TRUE(patch_is_trap(r.patched[4])); /* mov eax's */
    CU_ASSERT_EQUAL(memcmp(r.patched + 5, base + 5, 3), 0);
    CU_ASSERT_EQUAL(base[0], 0x53); /* nothing has been changed yet */

    struct rewrite_map m;
    struct map_found found;
    CU_ASSERT_TRUE_FATAL(map_make(&m, &r, &a));
    CU_ASSERT_TRUE(m.nplaces == 5 && m.nchecks == 1);
    u64 copy = map_copy_of(&m, (u64)base + 4);
    CU_ASSERT_TRUE(copy && map_find(&m, copy, &found));
    CU_ASSERT_TRUE(found.where == MAP_CHECK && found.original == (u64)base + 4 && found.check == copy);
    CU_ASSERT_TRUE(map_find(&m, found.check + m.checks[0].end, &found));
    CU_ASSERT_TRUE(found.where == MAP_CODE && found.original == (u64)base + 4);
    CU_ASSERT_TRUE(map_find(&m, a.lo + m.checks[0].cold + 3, &found));
    CU_ASSERT_TRUE(found.where == MAP_COLD && found.original == (u64)base + 4);
    CU_ASSERT_EQUAL(map_copy_of(&m, (u64)base + 5), 0);
    CU_ASSERT_FALSE(map_find(&m, (u64)base, &found));
    map_free(&m);
    CU_ASSERT_TRUE(arena_seal(&a) && rewrite_commit(&r));
    CU_ASSERT_EQUAL(memcmp(base, r.patched, PAGE), 0);
    arena_drop(&a);
    mprotect(base, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* Jumps to the stubs end in a byte that faults. */
static void window(void)
{
    struct arena a;
    begin();
    CU_ASSERT_TRUE_FATAL(arena_near(&a, &r.image, 1 << 20, 1 << 20));
    for (u64 to = a.stubs; to < a.stubs_end; to += 65521) {
        CU_ASSERT_TRUE(patch_is_trap((u8)((u32)(to - ((u64)base + 5)) >> 24)));
        CU_ASSERT_TRUE(patch_is_trap((u8)((u32)(to - ((u64)base + PAGE)) >> 24)));
    }
    CU_ASSERT_TRUE(arena_take(&a, a.stubs + 10, 5));
    CU_ASSERT_FALSE(arena_take(&a, a.stubs + 14, 5));
    CU_ASSERT_TRUE(arena_take(&a, a.stubs + 15, 5));
    CU_ASSERT_FALSE(arena_take(&a, a.stubs_end - 4, 5));
    arena_release_all(&a);
    CU_ASSERT_TRUE(arena_take(&a, a.stubs + 14, 5));
    arena_drop(&a);
}

/* ---- what has come of it ---- */

static u32 left_accesses(enum coverage_reason why)
{
    return r.coverage.left[why].accesses;
}

/* Of what is left alone the accesses count, too; between functions only the bytes. */
static void coverage_of_functions(void)
{
    begin();
    CODE(0, 0x8b, 0x07, 0x8b, 0x07, 0xc3);                 /* twice mov eax, [rdi]: one check for both */
    CODE(16, 0x06, 0x8b, 0x07, 0x8b, 0x44, 0x24, 8, 0xc3); /* no instruction; mov eax, [rdi]; mov eax, [rsp + 8] */
    CODE(32, 0x8b, 0x07, 0x8b, 0x0f, 0xc3);                /* two that overlap: two accesses */
    CODE(48, 0x74, 0x01, 0xf0, 0xff, 0x07, 0xc3);          /* lock inc [rdi], entangled */
    CODE(64, 0xc7, 0xf8, 0, 0, 0, 0, 0x8b, 0x07, 0xc3);    /* xbegin; mov eax, [rdi] */
    CODE(80, 0x0f, 0x1f, 0x40, 0, 0x90, 0x8b, 0x07, 0xc3); /* nobody's: nop, nop; mov eax, [rdi]; ret */
    CODE(96, 0x0f, 0xa3, 0x07, 0xc3);                      /* bt [rdi], eax: which byte? */
    SCAN({0, 5, 0}, {16, 24, 0}, {32, 37, 0}, {34, 37, 0}, {48, 54, 0}, {64, 73, 0}, {96, 100, 0});
    select_all();
    rewrite_coverage(&r);
    CU_ASSERT_EQUAL(r.coverage.functions, 7);
    CU_ASSERT_EQUAL(r.coverage.watched, 2);
    CU_ASSERT_EQUAL(left_accesses(COVERAGE_undecoded), 1);
    CU_ASSERT_EQUAL(left_accesses(COVERAGE_overlapping), 2);
    CU_ASSERT_EQUAL(r.coverage.left[COVERAGE_overlapping].functions, 2);
    CU_ASSERT_EQUAL(left_accesses(COVERAGE_entangled), 1);
    CU_ASSERT_EQUAL(left_accesses(COVERAGE_barred), 1);
    CU_ASSERT_EQUAL(left_accesses(COVERAGE_unmeasured), 1);
    CU_ASSERT_EQUAL(left_accesses(COVERAGE_crowded), 0);
    CU_ASSERT_EQUAL(r.coverage.eligible, 8);
    CU_ASSERT_EQUAL(r.coverage.unlisted, 3);
    coverage_refused(&r.coverage);
    CU_ASSERT_TRUE(r.coverage.watched == 0 && left_accesses(COVERAGE_unplaced) == 2);
}

/* An entry of two bytes before a call, and nothing near it to jump from: what follows runs as it is. */
static void coverage_of_entries(void)
{
    struct arena a;
    struct check_target to = {.now = -8, .spare = {-64, -48, -32}, .saved = {-80, -88, -96}, .address = -72};
    begin();
    CODE(0, 0xc3);
    CODE(1, 0x8b, 0x07, 0xc3); /* mov eax, [rdi]; ret */
    CODE(4, 0xc3);             /* a function by itself, without a check: it stays */
    SCAN({0, 1, 0}, {1, 4, 0}, {4, 5, 0});
    select_all();
    CU_ASSERT_TRUE_FATAL(arena_near(&a, &r.image, PAGE, PAGE));
    CU_ASSERT_TRUE_FATAL(rewrite_copy(&r, &a, &to, 0) && rewrite_patch(&r, &a));
    rewrite_coverage(&r);
    CU_ASSERT_EQUAL(r.coverage.eligible, 1);
    CU_ASSERT_EQUAL(r.coverage.watched + left_accesses(COVERAGE_crowded), 1);
    CU_ASSERT_EQUAL(left_accesses(COVERAGE_crowded), r.counts.failed);
    arena_drop(&a);
}

UNIT_TESTS("rewriting, step by step", {"functions", functions}, {"calls_and_addresses", calls_and_addresses},
           {"tables", tables}, {"relocations", relocations}, {"landing_pads", landing_pads}, {"registers", registers},
           {"flags", flags}, {"private_conventions", private_conventions}, {"not_checked", not_checked},
           {"escaping_stack", escaping_stack}, {"constant_tables", constant_tables}, {"merged", merged},
           {"not_merged", not_merged}, {"hoisted", hoisted}, {"code_of_a_check", code_of_a_check},
           {"code_that_borrows", code_that_borrows}, {"heads_and_map", heads_and_map}, {"window", window},
           {"coverage_of_functions", coverage_of_functions}, {"coverage_of_entries", coverage_of_entries})
