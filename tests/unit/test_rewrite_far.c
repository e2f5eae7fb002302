/* A module whose stubs are above it and whose copies are below: from one to the other it is more than a displacement says. */
#include "unit.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "access/rewrite_copy.h"
#include "access/rewrite_interrupt.h"
#include "access/rewrite_patch.h"

#define PAGE 4096u
#define STUBS (1u << 21)

static u8 *map_fixed(u64 at, u64 bytes)
{
    void *p = mmap((void *)at, bytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_EQUAL_FATAL((u64)p, at);
    return p;
}

static struct rewrite r;
static struct arena a;
static const struct check_target to = {.now = -8, .spare = {-64, -48, -32}, .saved = {-80, -88, -96}, .address = -72};

static u8 *prepare(void)
{
    /* push rbx; mov rbx, rdi; mov eax, [rbx]; pop rbx; ret */
    static const u8 code[] = {0x53, 0x48, 0x89, 0xfb, 0x8b, 0x03, 0x5b, 0xc3};
    u8 *text = map_fixed(1ULL << 40, PAGE);
    u64 at = (u64)text;
    struct code_range all = {at, at + sizeof code, 0};
    struct check_target target = to;
    memcpy(text, code, sizeof code);
    r.image = (struct image){.nparts = 1, .bias = at, .text_lo = at, .text_hi = at + PAGE};
    r.image.part[0] = (struct image_part){at, at + PAGE, false, true};
    CU_ASSERT_TRUE_FATAL(rewrite_ranges(&r, &all, 1) && rewrite_scan(&r) && rewrite_entries(&r) && rewrite_live(&r) &&
                         rewrite_select(&r));
    a.lo = (u64)map_fixed(at - 0x30000000, 2 * PAGE);
    a.copies = a.lo + sizeof(struct arena_head);
    a.copies_end = a.cold = a.lo + PAGE;
    a.hi = a.cold_end = a.lo + 2 * PAGE;
    a.stubs = (u64)map_fixed(at + 0x6d000000, STUBS);
    a.stubs_end = a.stubs + STUBS;
    a.taken = calloc(1, STUBS);
    CU_ASSERT_TRUE_FATAL(rewrite_copy(&r, &a, &target, 0) && rewrite_patch(&r, &a));
    return text;
}

static void far_stubs(void)
{
    static const u8 jump[] = {0xff, 0x25, 0, 0, 0, 0};
    u8 *text = prepare();
    CU_ASSERT_EQUAL(r.counts.stubs, 1);
    CU_ASSERT_EQUAL_FATAL(r.patched[0], 0xe9);
    int32_t displacement;
    memcpy(&displacement, r.patched + 1, 4);
    u64 stub = (u64)text + 5 + (u64)(int64_t)displacement, body = a.lo + r.places.item[0].copy, resume;
    CU_ASSERT_EQUAL(memcmp((u8 *)stub, jump, sizeof jump), 0);
    CU_ASSERT_EQUAL(*(u64 *)(stub + sizeof jump), body);

    /* A signal there finds the thread before the first instruction. */
    struct interrupted there = {.pc = stub};
    struct rewrite_map m;
    CU_ASSERT_TRUE_FATAL(map_make(&m, &r, &a));
    CU_ASSERT_TRUE(interrupt_roll_back(&m, &to, 0, &there, &resume));
    CU_ASSERT_TRUE(there.pc == (u64)text && resume == body);
    map_free(&m);
    munmap((void *)a.lo, 2 * PAGE);
    munmap((void *)a.stubs, STUBS);
    munmap(text, PAGE);
    free(a.taken);
    rewrite_free(&r);
}

UNIT_TESTS("rewriting, far stubs", {"far_stubs", far_stubs})
