/* Random code is interrupted at every instruction of its copies. Rolled back, the thread is where the original would be,
 * with the registers and flags that the original would have there, as far as they are needed. */
#include "unit.h"

#include "access/rewrite_interrupt.h"
#include "rewrite_random.h"

#define STATES 20000u

static struct machine machine;
static struct check_target target;
static u64 thread_pointer, random_state;
static struct interrupted states[STATES]; /* of the original, one for each instruction */
static u32 nstates;
static struct rewrite analysis;

static u64 draw(void *arg)
{
    (void)arg;
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return (random_state ^= random_state << 17) >> 11;
}

static const int number[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                             REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static bool in_machine(u64 pc)
{
    return pc >= (u64)machine.text && pc < (u64)machine.text + TEXT_BYTES;
}

static struct interrupted state_of(const greg_t *g)
{
    struct interrupted s = {.flags = (u64)g[REG_EFL], .pc = (u64)g[REG_RIP]};
    for (u32 i = 0; i < 16; i++)
        s.reg[i] = (u64)g[number[i]];
    return s;
}

/* ---- stepping ---- */

static bool comparing;
static u32 position, rolled, wrong, lost;
static bool pushed;

static bool same(const struct interrupted *a, const struct interrupted *b)
{
    u32 i = place_at(&analysis, a->pc);
    if (a->pc != b->pc || i == NOWHERE)
        return false;
    const struct place *p = &analysis.places.item[i];
    for (u32 r = 0; r < 16; r++)
        if ((p->live >> r & 1) && a->reg[r] != b->reg[r])
            return false;
    static const u32 bit[] = {FLAG_CF, 0x001, FLAG_PF, 0x004, FLAG_AF, 0x010,
                              FLAG_ZF, 0x040, FLAG_SF, 0x080, FLAG_OF, 0x800};
    for (u32 k = 0; k < 12; k += 2)
        if ((p->flags_live & bit[k]) && ((a->flags ^ b->flags) & bit[k + 1]))
            return false;
    return true;
}

/* It is either still before the same instruction, or before the next. */
static void compare(const struct interrupted *s)
{
    if (position < nstates && same(&states[position], s)) {
        rolled++;
        return;
    }
    if (position + 1 < nstates && same(&states[position + 1], s)) {
        position++;
        rolled++;
        return;
    }
    if (!wrong++)
        fprintf(stderr, "\n  text + %llx was to be %llx or %llx", (unsigned long long)(s->pc - (u64)machine.text),
                (unsigned long long)(states[position].pc - (u64)machine.text),
                (unsigned long long)(states[position + 1 < nstates ? position + 1 : position].pc - (u64)machine.text));
}

static void on_step(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct interrupted s = state_of(g);
    u64 resume;
    (void)sig;
    (void)info;
    if (pushed)
        *(u64 *)(uintptr_t)s.reg[RSP] &= ~(u64)TRAP_FLAG;
    pushed = *(const u8 *)(uintptr_t)s.pc == 0x9c;
    if (s.pc == (u64)(uintptr_t)cpu_back) {
        g[REG_EFL] &= ~TRAP_FLAG;
        return;
    }
    if (!comparing) {
        if (in_machine(s.pc) && nstates < STATES)
            states[nstates++] = s;
        return;
    }
    const struct rewrite_map *m = &machine_module->map;
    if (in_machine(s.pc)) {
        if (*(const u8 *)(uintptr_t)s.pc != 0xeb) /* a short jump to a copy, or the original's */
            compare(&s);
    } else if ((s.pc >= m->lo && s.pc < m->hi && s.pc >= m->lo + sizeof(struct arena_head)) ||
               (s.pc >= m->stubs_lo && s.pc < m->stubs_hi)) {
        if (interrupt_roll_back(m, &target, thread_pointer, &s, &resume))
            compare(&s);
        else
            lost++;
    }
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    machine_fault(sig, info, context);
}

/* ---- one program ---- */

static u8 first_data[DATA_BYTES];

static u32 run(u64 pc)
{
    u64 back = (u64)(uintptr_t)cpu_back, sp = (u64)machine.stack + STACK_BYTES - 1024;
    u32 faults = machine_faults;
    memcpy(machine.data, first_data, DATA_BYTES);
    memset(machine.stack, 0, STACK_BYTES);
    memcpy((void *)sp, &back, 8);
    memset(&cpu_now, 0, sizeof cpu_now);
    for (u32 i = 0; i < 16; i++)
        cpu_now.reg[i] = 0x1111111111111111ULL * i;
    cpu_now.reg[RBX] = (u64)machine.data + HEAP_AT + 2048;
    cpu_now.reg[R12] = (u64)machine.data + HEAP_AT + 6144;
    cpu_now.reg[RSP] = sp;
    cpu_now.flags = 0x202 | TRAP_FLAG;
    cpu_now.pc = pc;
    machine_logged = 0;
    pushed = false;
    cpu_run();
    return machine_faults - faults;
}

static void analyse(const struct image *image, const struct code_range *functions)
{
    rewrite_free(&analysis);
    analysis = (struct rewrite){.image = *image};
    CU_ASSERT_TRUE_FATAL(rewrite_ranges(&analysis, functions, FUNCTIONS) && rewrite_scan(&analysis) &&
                         rewrite_entries(&analysis) && rewrite_live(&analysis));
}

static u32 programs_done;

static void one_program(u64 seed)
{
    struct random_code g = {.m = &machine, .draw = draw};
    struct code_range functions[FUNCTIONS];
    struct rewritten out;
    random_state = seed * 0x9e3779b97f4a7c15ULL + 1;
    mprotect(machine.text, TEXT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
    memset(machine.data, 0, DATA_BYTES);
    random_program(&g);
    for (u32 i = HEAP_AT; i < DATA_BYTES; i++)
        machine.data[i] = (u8)(i * 7);
    memcpy(first_data, machine.data, DATA_BYTES);
    for (u32 i = 0; i < FUNCTIONS; i++)
        functions[i] = (struct code_range){(u64)g.begin[i], (u64)g.end[i], 0};
    struct image image = machine_image(&machine);
    analyse(&image, functions);
    comparing = false;
    nstates = position = 0;
    machine_module = NULL;
    if (run(g.starts[0]) || nstates == STATES)
        return;
    target = machine_target();
    if (rewrite_module(&out, &image, &target, (u64)(uintptr_t)rewrite_enter, machine.shadow, 0, functions, FUNCTIONS) !=
        REWRITTEN)
        return;
    machine_module = &out;
    machine_now = seed % 2 ? ~0u : 0xff; /* every check calls; or some do */
    comparing = true;
    u32 before = wrong;
    run(g.starts[0]);
    if (wrong != before)
        fprintf(stderr, ", seed %llu", (unsigned long long)seed);
    programs_done++;
    comparing = false;
    machine_module = NULL;
    rewritten_drop(&out);
}

static u64 first_seed = 1, seeds = 60;

static void rolled_back(void)
{
    struct sigaction a = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    if (!__builtin_cpu_supports("avx"))
        return;
    CU_ASSERT_TRUE_FATAL(machine_map(&machine) && rewrite_enter_start());
    machine_catch();
    sigaction(SIGTRAP, &a, NULL);
    a.sa_sigaction = on_fault;
    sigaction(SIGSEGV, &a, NULL);
    __asm__("mov %%fs:0, %0" : "=r"(thread_pointer));
    for (u64 i = 0; i < seeds && wrong < 10; i++)
        one_program(first_seed + i);
    fprintf(stderr, "\n  %u programs, %u states ", programs_done, rolled);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(lost, 0);
    CU_ASSERT_TRUE(rolled > 10000);
}

/* With numbers: programs from that seed on, that many. */
int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {{"rolled_back", rolled_back}};
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 10);
        seeds = strtoull(argv[2], NULL, 10);
        argc = 1;
    }
    return unit_main("interrupted in copies", tests, ARRAY_LEN(tests), argc, argv);
}
