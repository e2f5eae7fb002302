/* The way from a check to the slow path and back. Called by copies, on the program's stack below the red zone. Takes no
 * lock, allocates nothing.
 *
 *      stack                              struct slow_frame
 *        ...          <- the program's rsp
 *        red zone, 128 bytes
 *        number                             number
 *        return to the copy                 return_to
 *        r15 ... rcx rax                    reg[]
 *        flags        <- rsp                flags
 *        (extended state, if asked for) */
#include "rewrite_enter.h"

#include <cpuid.h>

/* SSE, AVX, AVX-512. The engine does not touch the x87 unit, nor the keys of pages, and restoring those takes longer. */
#define STATE "0xe6"

u64 rewrite_state_bytes = 512 + 64; /* without AVX */
struct state_places rewrite_state_at;

__asm__(".text\n"
        ".p2align 4\n"
        ".hidden rewrite_enter\n"
        ".globl rewrite_enter\n"
        ".type rewrite_enter, @function\n"
        "rewrite_enter:\n\t"
        ".cfi_startproc\n\t"
        "push %r15; push %r14; push %r13; push %r12; push %r11; push %r10; push %r9; push %r8\n\t"
        "push %rdi; push %rsi; push %rbp; push %rsp; push %rbx; push %rdx; push %rcx; push %rax\n\t"
        "pushfq\n\t"
        "lea 280(%rsp), %rax\n\t" /* 17 pushes, the return address, the number, the red zone */
        "mov %rax, 40(%rsp)\n\t"
        "mov %rsp, %rbx\n\t"
        /* For who unwinds from further in: the program's instruction (rewrite_slow.c) is what has called. */
        ".cfi_def_cfa %rbx, 280; .cfi_offset %rbx, -248; .cfi_offset %rbp, -232; .cfi_offset %r12, -176\n\t"
        ".cfi_offset %r13, -168; .cfi_offset %r14, -160; .cfi_offset %r15, -152\n\t"
        "mov %rsp, %rdi\n\t"
        "and $-64, %rsp\n\t"
        "cld\n\t"
        "call rewrite_slow\n\t"
        "test %al, %al\n\t"
        "jne 2f\n"
        "1:\n\t"
        "mov %rbx, %rsp\n\t"
        "pop %rax\n\t"
        "test $0x400, %eax\n\t" /* the direction of strings */
        "je 3f\n\t"
        "std\n"
        "3:\n\t"
        "xchg %al, %ah\n\t" /* popfq would take longer than all the rest */
        "and $8, %al\n\t"
        "add $0x78, %al\n\t" /* overflow as it was */
        "sahf\n\t"
        "pop %rax; pop %rcx; pop %rdx; pop %rbx; lea 8(%rsp), %rsp; pop %rbp; pop %rsi; pop %rdi\n\t"
        "pop %r8; pop %r9; pop %r10; pop %r11; pop %r12; pop %r13; pop %r14; pop %r15\n\t"
        "ret\n"
        "2:\n\t"
        "sub rewrite_state_bytes(%rip), %rsp\n\t"
        "and $-64, %rsp\n\t"
        "xor %eax, %eax\n\t"
        "mov %rax, 512(%rsp); mov %rax, 520(%rsp); mov %rax, 528(%rsp); mov %rax, 536(%rsp)\n\t"
        "mov %rax, 544(%rsp); mov %rax, 552(%rsp); mov %rax, 560(%rsp); mov %rax, 568(%rsp)\n\t"
        "mov $" STATE ", %eax\n\t"
        "xor %edx, %edx\n\t"
        "xsave64 (%rsp)\n\t"
        "mov %rsp, %r12\n\t"
        "mov %rsp, %rsi\n\t"
        "mov %rbx, %rdi\n\t"
        "call rewrite_slow_deep\n\t"
        "mov $" STATE ", %eax\n\t"
        "xor %edx, %edx\n\t"
        "xrstor64 (%r12)\n\t"
        "jmp 1b\n\t"
        ".cfi_endproc\n"
        ".size rewrite_enter, .-rewrite_enter\n");

static u32 place_of(u32 component)
{
    u32 a, b, c, d;
    return __get_cpuid_count(13, component, &a, &b, &c, &d) ? b : 0;
}

bool rewrite_enter_start(void)
{
    u32 a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return false;
    if (__get_cpuid_count(13, 0, &a, &b, &c, &d) && b > rewrite_state_bytes)
        rewrite_state_bytes = (b + 63) & ~63u;
    rewrite_state_at = (struct state_places){place_of(2), place_of(5), place_of(6), place_of(7)};
    return true;
}
