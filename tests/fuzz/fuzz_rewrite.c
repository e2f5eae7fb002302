/* Rewriting code that may be anything. An even first byte: the rest is code, of which every function is decoded, copied
 * and patched, but not executed; whatever it is, that must end and stay within bounds. An odd one: the rest decides what
 * program is drawn, which must do the same when it is rewritten. */
#include "../unit/rewrite_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct machine machine;

static bool start(void)
{
    static bool done;
    if (!done && !machine_map(&machine))
        abort();
    if (!done)
        machine_catch();
    done = true;
    return rewrite_enter_start() && __builtin_cpu_supports("avx");
}

static bool rewrite(struct rewritten *out, const struct code_range *functions, u32 n)
{
    struct check_target to = machine_target();
    struct image image = machine_image(&machine);
    return rewrite_module(out, &image, &to, (u64)(uintptr_t)rewrite_enter, machine.shadow, 0, functions, n) ==
           REWRITTEN;
}

static void drop(struct rewritten *out)
{
    machine_module = NULL;
    rewritten_drop(out);
}

static void unlock_text(void)
{
    if (mprotect(machine.text, TEXT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC))
        abort();
}

/* ---- any code ---- */

static void any_code(const u8 *data, size_t size)
{
    struct rewritten out;
    u32 half = (u32)size / 2;
    if (size < 2 || size > TEXT_BYTES)
        return;
    for (size_t i = 0; i < size; i++) {
        struct insn in;
        u8 *exact = malloc(size - i);
        memcpy(exact, data + i, size - i);
        if (insn_decode(exact, size - i, &in) && (in.length > size - i || in.length > INSN_LONGEST || !in.length))
            abort();
        free(exact);
        if (i > 64)
            break;
    }
    unlock_text();
    memset(machine.text, 0xcc, TEXT_BYTES);
    memcpy(machine.text, data, size);
    u64 lo = (u64)machine.text;
    struct code_range functions[] = {{lo, lo + half, 0}, {lo + half, lo + size, lo}}; /* unwind data that is none */
    if (rewrite(&out, functions, 2)) {
        for (u32 i = 0; i < out.map.nplaces; i++) {
            struct map_found found;
            if (!map_find(&out.map, out.map.lo + out.map.places[i].copy, &found) ||
                found.original != out.map.text_lo + out.map.places[i].at)
                abort();
        }
        drop(&out);
    }
}

/* ---- programs ---- */

struct bytes {
    const u8 *data;
    size_t size, at;
    u64 more;
};

static u64 draw(void *arg)
{
    struct bytes *b = arg;
    if (b->at < b->size)
        return b->data[b->at++];
    return b->more = b->more * 6364136223846793005ULL + 1442695040888963407ULL, b->more >> 33;
}

static u8 first_data[DATA_BYTES], after_data[DATA_BYTES];

static u32 run(u64 pc)
{
    u64 back = (u64)(uintptr_t)cpu_back, sp = (u64)machine.stack + STACK_BYTES - 1024;
    u32 faults = machine_faults;
    memcpy(machine.data, first_data, DATA_BYTES);
    memset(machine.stack, 0, STACK_BYTES);
    memcpy((void *)sp, &back, 8);
    memset(&cpu_now, 0, sizeof cpu_now);
    cpu_now.reg[RBX] = (u64)machine.data + HEAP_AT + 2048;
    cpu_now.reg[R12] = (u64)machine.data + HEAP_AT + 6144;
    cpu_now.reg[RSP] = sp;
    cpu_now.flags = 0x202;
    cpu_now.pc = pc;
    machine_logged = 0;
    cpu_run();
    return machine_faults - faults;
}

static void program(const u8 *data, size_t size)
{
    struct bytes b = {data, size, 0, 1};
    struct random_code g = {.m = &machine, .draw = draw, .arg = &b};
    struct code_range functions[FUNCTIONS];
    struct rewritten out;
    unlock_text();
    memset(machine.data, 0, DATA_BYTES);
    random_program(&g);
    for (u32 i = HEAP_AT; i < DATA_BYTES; i++)
        machine.data[i] = (u8)(i * 7);
    memcpy(first_data, machine.data, DATA_BYTES);
    for (u32 i = 0; i < FUNCTIONS; i++)
        functions[i] = (struct code_range){(u64)g.begin[i], (u64)g.end[i], 0};
    u32 faults = run(g.starts[0]);
    memcpy(after_data, machine.data, DATA_BYTES);
    if (!rewrite(&out, functions, FUNCTIONS))
        return;
    machine_module = &out;
    machine_now = ~0u;
    if (run(g.starts[0]) != faults || (!faults && memcmp(machine.data, after_data, DATA_BYTES) != 0))
        abort();
    drop(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || !start())
        return 0;
    if (data[0] & 1)
        program(data + 1, size - 1);
    else
        any_code(data + 1, size - 1);
    return 0;
}
