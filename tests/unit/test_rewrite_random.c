/* Random code, the original against the rewritten: the same registers, flags, vectors and memory afterwards, whatever the
 * checks find; from the beginning and from places that rewriting could not know of. And of the checks, exactly those call
 * the slow path whose bytes the shadow does not have. */
#include "unit.h"

#include "access/rewrite_module.h"
#include "rewrite_random.h"

static struct machine machine;
static u64 state;

static u64 draw(void *arg)
{
    (void)arg;
    state ^= state << 13;
    state ^= state >> 7;
    return (state ^= state << 17) >> 11;
}

struct outcome {
    struct cpu cpu;
    u8 data[DATA_BYTES], stack[STACK_BYTES];
    u32 faults;
};

static u8 first_data[DATA_BYTES], first_stack[STACK_BYTES];
static struct cpu first_cpu;

static void prepare(void)
{
    u64 *words = (u64 *)(void *)machine.data;
    for (u32 i = HEAP_AT / 8; i < DATA_BYTES / 8; i++)
        words[i] = draw(NULL) * 0x9e3779b97f4a7c15ULL;
    for (u32 i = 0; i < STACK_BYTES; i++)
        machine.stack[i] = (u8)i;
    for (u32 i = 0; i < 16; i++)
        first_cpu.reg[i] = draw(NULL) * 0x9e3779b97f4a7c15ULL;
    first_cpu.reg[RBX] = (u64)machine.data + HEAP_AT + 2048 + draw(NULL) % 64 * 8;
    first_cpu.reg[R12] = (u64)machine.data + HEAP_AT + 6144 + draw(NULL) % 512;
    first_cpu.flags = 0x202 | (draw(NULL) & 0x8d5);
    for (u32 i = 0; i < 16; i++)
        memset(first_cpu.vector[i], (int)draw(NULL) & 0xff, 32);
    memcpy(first_data, machine.data, DATA_BYTES);
    memcpy(first_stack, machine.stack, STACK_BYTES);
}

static void run_from(u64 pc, struct outcome *out)
{
    memcpy(machine.data, first_data, DATA_BYTES);
    memcpy(machine.stack, first_stack, STACK_BYTES);
    u64 back = (u64)(uintptr_t)cpu_back, sp = (u64)machine.stack + STACK_BYTES - 1024;
    memcpy((void *)sp, &back, 8);
    cpu_now = first_cpu;
    cpu_now.reg[RSP] = sp;
    cpu_now.pc = pc;
    machine_logged = 0;
    u32 faults = machine_faults;
    cpu_run();
    if (!out)
        return;
    out->cpu = cpu_now;
    out->faults = machine_faults - faults;
    memcpy(out->data, machine.data, DATA_BYTES);
    memcpy(out->stack, machine.stack, STACK_BYTES);
}

/* Registers that nobody needs after a return may differ. */
static bool same(const struct outcome *a, const struct outcome *b)
{
    static const u8 kept[] = {RAX, RDX, RBX, RSP, RBP, R12, R13, R14, R15};
    for (u32 i = 0; i < sizeof kept; i++)
        if (a->cpu.reg[kept[i]] != b->cpu.reg[kept[i]])
            return false;
    u32 red_zone = STACK_BYTES - 1024 - 128;
    return !memcmp(a->cpu.vector, b->cpu.vector, sizeof a->cpu.vector) && !memcmp(a->data, b->data, DATA_BYTES) &&
           !memcmp(a->stack + red_zone, b->stack + red_zone, STACK_BYTES - red_zone);
}

#define EPOCH 77u

/* ---- what the slow path should be told ---- */

static bool slot_fits(u64 address, const struct access_site *s)
{
    u32 kind = s->how & SITE_WRITE ? ACCESS_WRITE : ACCESS_READ;
    for (u64 at = address, end = address + s->size; at < end;) {
        u64 next = (at | 7) + 1 < end ? (at | 7) + 1 : end;
        u32 slot = (u32) * (u64 *)(uintptr_t)((at & ~7ULL) ^ machine.shadow);
        u32 want = machine_now | (kind ? SLOT_WRITE : 0), mask = granule_mask(at, (u32)(next - at));
        u32 care = SLOT_SAME_EPOCH | mask | SLOT_ATOMIC | (kind ? SLOT_WRITE : 0);
        if ((slot ^ want) & care)
            return false;
        at = next;
    }
    return true;
}

/* A check of several granules, or of a whole one, asks for aligned ones. */
static bool hits(const struct logged *l)
{
    const struct access_site *s = &machine_module->sites[l->site];
    if (!(s->how & SITE_INLINE))
        return false;
    if (s->size >= 8 ? l->address % 8 : l->address % 8 + s->size > 8)
        return false;
    return slot_fits(l->address, s);
}

static struct logged all[LOG_MOST];

static void fill_shadow(void)
{
    u64 lo = (u64)machine.data, hi = (u64)machine.stack + STACK_BYTES;
    for (u64 at = lo; at < hi; at += 8) {
        u32 epoch = EPOCH + (draw(NULL) % 8 == 0);
        u32 mask = draw(NULL) % 3 ? SLOT_MASK : (u32)draw(NULL) & SLOT_MASK;
        u32 kind = (draw(NULL) % 4 ? SLOT_WRITE : 0) | (draw(NULL) % 8 ? 0 : SLOT_ATOMIC);
        *(u64 *)(uintptr_t)(at ^ machine.shadow) = (epoch << SLOT_EPOCH_SHIFT | kind | mask) | draw(NULL) << 32;
    }
}

static struct outcome original, rewritten;

static void complain(const struct logged *want, const struct logged *have)
{
    const struct access_site *s = &machine_module->sites[want->site];
    fprintf(stderr, "\n  text + %llx, %u bytes at data + %llx (how %x) was to call, cell %llx",
            (unsigned long long)(s->pc - (u64)machine.text), s->size,
            (unsigned long long)(want->address - (u64)machine.data), s->how,
            *(unsigned long long *)(uintptr_t)((want->address & ~7ULL) ^ machine.shadow));
    if (have)
        fprintf(stderr, "; but text + %llx called, data + %llx, cell %llx",
                (unsigned long long)(machine_module->sites[have->site].pc - (u64)machine.text),
                (unsigned long long)(have->address - (u64)machine.data),
                *(unsigned long long *)(uintptr_t)((have->address & ~7ULL) ^ machine.shadow));
}

static bool checks_agree(u64 pc, u32 nall)
{
    machine_now = EPOCH << SLOT_EPOCH_SHIFT | SLOT_MASK;
    fill_shadow();
    run_from(pc, &rewritten);
    if (nall == LOG_MOST || !same(&original, &rewritten))
        return nall == LOG_MOST;
    u32 n = 0;
    for (u32 i = 0; i < nall; i++)
        if (!hits(&all[i])) {
            if (n == machine_logged || machine_log[n].site != all[i].site || machine_log[n].address != all[i].address) {
                complain(&all[i], n < machine_logged ? &machine_log[n] : NULL);
                return false;
            }
            n++;
        }
    return n == machine_logged;
}

static void show_difference(const struct outcome *a, const struct outcome *b)
{
    for (u32 i = 0; i < 16; i++)
        if (a->cpu.reg[i] != b->cpu.reg[i])
            fprintf(stderr, "\n    register %u: %llx, %llx", i, (unsigned long long)a->cpu.reg[i],
                    (unsigned long long)b->cpu.reg[i]);
    for (u32 i = 0, n = 0; i < DATA_BYTES && n < 4; i++)
        if (a->data[i] != b->data[i])
            fprintf(stderr, "\n    data + %x: %x, %x", i, a->data[i], b->data[i]), n++;
    for (u32 i = STACK_BYTES - 1024 - 128, n = 0; i < STACK_BYTES && n < 4; i++)
        if (a->stack[i] != b->stack[i])
            fprintf(stderr, "\n    stack %d: %x, %x", (int)i - (int)(STACK_BYTES - 1024), a->stack[i], b->stack[i]),
                n++;
}

/* Every access to the data that the original has made has been checked, by itself or by another one's check. */
static bool is_checked(const struct traced *t, u32 nall)
{
    if (t->address < (u64)machine.data || t->address + t->size > (u64)machine.data + DATA_BYTES)
        return true; /* the stack, perhaps a thread's own; jump tables are constant */
    if (t->address < (u64)machine.data + HIDDEN_TABLES_AT)
        return true;
    for (u32 i = 0; i < nall; i++) {
        const struct access_site *s = &machine_module->sites[all[i].site];
        bool all_of_it = all[i].address <= t->address && t->address + t->size <= all[i].address + s->size;
        if (all_of_it && (!t->write || (s->how & SITE_WRITE)))
            return true;
    }
    return false;
}

static bool all_checked(u32 nall)
{
    for (u32 i = 0; i < machine_traced; i++) {
        const struct traced *t = &machine_trace[i];
        if (is_checked(t, nall))
            continue;
        fprintf(stderr, "\n  text + %llx: %u bytes at data + %llx are not checked",
                (unsigned long long)(t->pc - (u64)machine.text), t->size,
                (unsigned long long)(t->address - (u64)machine.data));
        return false;
    }
    return true;
}

/* ---- one program ---- */

struct result {
    u32 starts, unchecked, differ, disagree, none, faults;
};
static u64 total_checks, total_entries, total_failed;

static bool rewrite_all(struct random_code *g, struct rewritten *out)
{
    struct check_target to = machine_target();
    struct image image = machine_image(&machine);
    image.part[2] = (struct image_part){(u64)machine.data, (u64)machine.data + HIDDEN_TABLES_AT, false, false};
    image.part[1].lo += HIDDEN_TABLES_AT;
    image.nparts = 3;
    struct code_range functions[FUNCTIONS];
    for (u32 i = 0; i < FUNCTIONS; i++)
        functions[i] = (struct code_range){(u64)g->begin[i], (u64)g->end[i], 0};
    return rewrite_module(out, &image, &to, (u64)(uintptr_t)rewrite_enter, machine.shadow, 0, functions, FUNCTIONS) ==
           REWRITTEN;
}

static bool is_function(const struct random_code *g, u64 pc)
{
    for (u32 i = 0; i < FUNCTIONS; i++)
        if ((u64)g->begin[i] == pc)
            return true;
    return false;
}

static void drop(struct rewritten *out)
{
    machine_module = NULL;
    rewritten_drop(out);
}

static void one_program(u64 seed, struct result *result)
{
    static struct outcome outcomes[STARTS_MOST];
    struct random_code g = {.m = &machine, .draw = draw};
    struct rewritten out;
    state = seed * 0x9e3779b97f4a7c15ULL + 1;
    machine_module = NULL;
    mprotect(machine.text, TEXT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
    memset(machine.data, 0, DATA_BYTES);
    random_program(&g);
    prepare();
    for (u32 i = 0; i < g.nstarts; i++)
        run_from(g.starts[i], &outcomes[i]);
    u32 traced = (u32)(seed % g.nstarts);
    while (!is_function(&g, g.starts[traced]))
        traced--; /* the first start is one */
    first_cpu.flags |= TRAP_FLAG;
    machine_traced = 0;
    run_from(g.starts[traced], NULL);
    first_cpu.flags &= ~(u64)TRAP_FLAG;
    if (!rewrite_all(&g, &out)) {
        result->none++;
        return;
    }
    machine_module = &out;
    total_checks += out.counts.checks;
    total_entries += out.counts.entries;
    total_failed += out.counts.failed;
    for (u32 i = 0; i < g.nstarts; i++) {
        machine_now = ~0u; /* no slot is like that */
        fill_shadow();
        run_from(g.starts[i], &rewritten);
        result->starts++;
        if (outcomes[i].faults || rewritten.faults) {
            result->differ += outcomes[i].faults != rewritten.faults;
            if (outcomes[i].faults != rewritten.faults)
                fprintf(stderr, "\n  seed %llu, start %u: %u faults, %u", (unsigned long long)seed, i,
                        outcomes[i].faults, rewritten.faults);
            continue;
        }
        if (!same(&outcomes[i], &rewritten)) {
            result->differ++;
            fprintf(stderr, "\n  seed %llu, start %u (text + %llx) differs", (unsigned long long)seed, i,
                    (unsigned long long)(g.starts[i] - (u64)machine.text));
            show_difference(&outcomes[i], &rewritten);
            continue;
        }
        u32 nall = machine_logged;
        memcpy(all, machine_log, nall * sizeof *all);
        original = outcomes[i];
        if (i == traced && !g.hidden_tables && !out.counts.failed && is_function(&g, g.starts[i]) &&
            !all_checked(nall)) {
            result->unchecked++;
            fprintf(stderr, "\n  seed %llu, start %u", (unsigned long long)seed, i);
        }
        if (!checks_agree(g.starts[i], nall)) {
            result->disagree++;
            fprintf(stderr, "\n  seed %llu, start %u: checks disagree", (unsigned long long)seed, i);
        }
    }
    drop(&out);
}

static u64 first_seed = 1, seeds = 400;

static void programs(void)
{
    struct result result = {0};
    if (!__builtin_cpu_supports("avx"))
        return;
    CU_ASSERT_TRUE_FATAL(machine_map(&machine));
    machine_catch();
    CU_ASSERT_TRUE_FATAL(rewrite_enter_start());
    for (u64 i = 0; i < seeds && result.differ + result.disagree < 10; i++)
        one_program(first_seed + i, &result);
    result.faults = machine_faults;
    fprintf(stderr,
            "\n  %u faults, %u starts, %u programs without checks, %llu checks, %llu entries, %llu without a jump, %u "
            "traps ",
            result.faults, result.starts, result.none, (unsigned long long)total_checks,
            (unsigned long long)total_entries, (unsigned long long)total_failed, machine_traps);
    CU_ASSERT_EQUAL(result.differ, 0);
    CU_ASSERT_EQUAL(result.disagree, 0);
    CU_ASSERT_EQUAL(result.unchecked, 0);
    CU_ASSERT_TRUE(result.none <= seeds / 10);
}

/* With a number: programs from that seed on, that many. */
int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {{"programs", programs}};
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 10);
        seeds = strtoull(argv[2], NULL, 10);
        argc = 1;
    }
    return unit_main("random code, rewritten", tests, ARRAY_LEN(tests), argc, argv);
}
