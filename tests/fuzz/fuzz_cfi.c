/* Unwind tables with anything in them. They belong to the watched program, and are read inside it: the reader must stay
 * within the range that it was given and come to an end.
 *
 * Input: how to begin (4 bytes), the place in code relative to the tables (4 bytes, signed), the tables. They are
 * copied to memory of just that size, so that one byte beyond is a fault. */
#include <stdlib.h>
#include <string.h>

#include "../../preload/unwind/cfi.c"
#include "../../preload/unwind/cfi_bytes.c"
#include "../../preload/unwind/expression.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool get(void *arg, u64 addr, u64 *value)
{
    u64 *budget = arg;
    *value = addr * 0x9e3779b97f4a7c15ULL;
    return (*budget)++ < 100000 && addr % 7 != 0;
}

static bool seen(void *arg, const struct cfi_function *f)
{
    return f->hi >= f->lo && ++*(u32 *)arg < 1000;
}

static void evaluate(const struct cfi_memory *m, const struct cfi_rule *rule)
{
    struct cfi_frame frame = {.known = 0xfff8};
    u64 result, budget = 0;
    for (u32 i = 0; i < CFI_REGS; i++)
        frame.reg[i] = 0x7fff00000000 + i;
    if (rule->value < (int64_t)m->lo || (u64)rule->value + rule->length > m->hi)
        abort(); /* an expression outside of the tables */
    cfi_evaluate(m, rule, &frame, rule->length & 1, 42, get, &budget, &result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u32 how;
    int32_t place;
    struct cfi_row row;
    if (size < 9)
        return 0;
    memcpy(&how, data, 4);
    memcpy(&place, data + 4, 4);
    size -= 8;
    char *tables = malloc(size);
    memcpy(tables, data + 8, size);
    u64 base = (u64)tables;
    struct cfi_memory m = {base, base + size};
    int err = how & 1 ? cfi_entry(&m, base + (how >> 2) % size, base + (u64)(int64_t)place, &row)
                      : cfi_find(&m, base, base + (u64)(int64_t)place, &row);
    if (!err) {
        if (row.cfa.kind == CFI_IS_EXPR)
            evaluate(&m, &row.cfa);
        else if (row.cfa.kind != CFI_REGISTER || row.cfa.length >= CFI_REGS)
            abort();
        for (u32 i = 0; i < CFI_REGS; i++) {
            if (row.reg[i].kind == CFI_AT_EXPR || row.reg[i].kind == CFI_IS_EXPR)
                evaluate(&m, &row.reg[i]);
            else if (row.reg[i].kind == CFI_REGISTER && row.reg[i].value >= CFI_REGS)
                abort();
        }
    }
    u32 functions = 0;
    cfi_functions(&m, base, seen, &functions);
    free(tables);
    return 0;
}
