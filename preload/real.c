/* The table of real functions. Called at start (start.c), by the stubs below, and by interceptors that look for a
 * function of a library loaded later. Takes no lock, allocates nothing: dlsym would do both (it allocates the message
 * of a failed look-up, by an allocator that may be in the program itself and not ready yet), so the symbol tables of
 * the loaded modules are read here, in the loader's order behind our own module, as RTLD_NEXT means it. The default
 * version of a symbol is taken: of the two implementations of conditions in one libc the one that programs of today are
 * linked to.
 *
 * Why a call through the table is never a jump to nowhere, at the cost of one indirect call: every R and O row starts
 * as the address of a stub of 16 bytes. Libraries whose code runs before our constructor (IFUNC resolvers, audit
 * modules) may call an interceptor; it is not started, so it calls REAL(x), which is
 *
 *     push $row            as the PLT does it: the arguments stay where they are
 *     jmp real_lazy        saves the argument registers, calls real_lazy_target(row), restores them, jumps to what it returned
 *
 * real_lazy_target resolves the whole table, after which no stub is reachable. Not even this helps a resolver that
 * calls us before our own relocations are done; no preloaded library can be called then. */
#include "real.h"

#include <link.h>

#include "modules_internal.h"

_Static_assert(REAL_ROWS <= 256, "one stub for each row");

extern const char real_stubs[] __attribute__((visibility("hidden")));
void *real_lazy_target(u64 row) __attribute__((visibility("hidden"), used));

__asm__(".pushsection .text\n"
        ".balign 16\n"
        ".hidden real_stubs\n"
        ".globl real_stubs\n"
        "real_stubs:\n"
        ".set row, 0\n"
        ".rept 256\n"
        ".cfi_startproc\n"
        ".balign 16\n"
        "pushq $row\n"
        ".cfi_adjust_cfa_offset 8\n"
        "jmp real_lazy\n"
        ".cfi_endproc\n"
        ".set row, row + 1\n"
        ".endr\n"
        ".balign 16\n"
        "real_lazy:\n"
        ".cfi_startproc\n"
        ".cfi_def_cfa_offset 16\n"
        "pushq %rbp\n"
        ".cfi_def_cfa_offset 24\n"
        ".cfi_offset %rbp, -24\n"
        "movq %rsp, %rbp\n"
        ".cfi_def_cfa_register %rbp\n"
        "andq $-16, %rsp\n"
        "subq $192, %rsp\n"
        "movq %rax, (%rsp)\n" /* al: vector registers used by a variadic call */
        "movq %rdi, 8(%rsp)\n"
        "movq %rsi, 16(%rsp)\n"
        "movq %rdx, 24(%rsp)\n"
        "movq %rcx, 32(%rsp)\n"
        "movq %r8, 40(%rsp)\n"
        "movq %r9, 48(%rsp)\n"
        "movups %xmm0, 64(%rsp)\n"
        "movups %xmm1, 80(%rsp)\n"
        "movups %xmm2, 96(%rsp)\n"
        "movups %xmm3, 112(%rsp)\n"
        "movups %xmm4, 128(%rsp)\n"
        "movups %xmm5, 144(%rsp)\n"
        "movups %xmm6, 160(%rsp)\n"
        "movups %xmm7, 176(%rsp)\n"
        "movq 8(%rbp), %rdi\n"
        "call real_lazy_target\n"
        "movq %rax, %r11\n"
        "movups 64(%rsp), %xmm0\n"
        "movups 80(%rsp), %xmm1\n"
        "movups 96(%rsp), %xmm2\n"
        "movups 112(%rsp), %xmm3\n"
        "movups 128(%rsp), %xmm4\n"
        "movups 144(%rsp), %xmm5\n"
        "movups 160(%rsp), %xmm6\n"
        "movups 176(%rsp), %xmm7\n"
        "movq (%rsp), %rax\n"
        "movq 8(%rsp), %rdi\n"
        "movq 16(%rsp), %rsi\n"
        "movq 24(%rsp), %rdx\n"
        "movq 32(%rsp), %rcx\n"
        "movq 40(%rsp), %r8\n"
        "movq 48(%rsp), %r9\n"
        "movq %rbp, %rsp\n"
        ".cfi_def_cfa_register %rsp\n"
        "popq %rbp\n"
        ".cfi_def_cfa_offset 16\n"
        "leaq 8(%rsp), %rsp\n"
        ".cfi_def_cfa_offset 8\n"
        "jmpq *%r11\n"
        ".cfi_endproc\n"
        ".popsection\n");

union real_functions real_functions = {.slot = {
#define X(name) [REAL_ROW_##name] = (void *)&real_stubs[16 * REAL_ROW_##name],
#define NOTHING(name)
                                           REAL_FUNCTIONS(X, X, NOTHING)
#undef NOTHING
#undef X
                                       }};

bool real_memory_ready;

static enum { UNRESOLVED, RESOLVING, RESOLVED } progress;

static const char *const names[REAL_ROWS] = {
#define X(name) #name,
    REAL_FUNCTIONS(X, X, X)
#undef X
};
/* The loader's list from one module to another; the first definition wins. */
static void *search(const struct link_map *from, const struct link_map *end, const char *name)
{
    for (const struct link_map *m = from; m && m != end; m = m->l_next) {
        struct module module;
        void *f = elf_describe(&module, !m->l_prev, m->l_addr, (u64)m->l_ld) ? modules_symbol_in(&module, name) : NULL;
        if (f)
            return f;
    }
    return NULL;
}

const struct link_map *real_own_map(void)
{
    const struct link_map *m = _r_debug.r_map;
    while (m && m->l_ld != _DYNAMIC)
        m = m->l_next;
    return m;
}

void *real_lookup(const char *name)
{
    const struct link_map *own = real_own_map();
    void *f = own ? search(own->l_next, NULL, name) : NULL;
    return f ? f : search(_r_debug.r_map, own, name);
}

void real_resolve(void)
{
    if (progress != UNRESOLVED)
        return;
    progress = RESOLVING;
    for (unsigned i = 0; i < REAL_ROWS; i++)
        __atomic_store_n(&real_functions.slot[i], real_lookup(names[i]), __ATOMIC_RELAXED);
    progress = RESOLVED;
    real_memory_ready = true;
}

/* For a call of something that exists nowhere, which only a weak reference to our own export can bring about. */
static long nothing(void)
{
    return 0;
}

void *real_lazy_target(u64 row)
{
    void *f;
    real_resolve();
    f = real_functions.slot[row];
    if (f >= (void *)real_stubs && f < (void *)(real_stubs + 16 * 256))
        f = real_lookup(names[row]); /* called from within the lookup */
    if (!f && !real_late(names[row], &f))
        return (void *)(uintptr_t)nothing;
    return f;
}

bool real_late(const char *name, void **slot)
{
    real_resolve();
    if (__atomic_load_n(slot, __ATOMIC_RELAXED))
        return true;
    void *f = modules_symbol(name);
    if (!f)
        return false;
    __atomic_store_n(slot, f, __ATOMIC_RELAXED);
    return true;
}
