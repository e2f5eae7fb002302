/* Makes the dynamic loader call us whenever it has changed its list of modules.
 *
 * The loader calls one function for debuggers (r_debug.r_brk, an empty one) before and after each change, in the thread
 * that loads and before constructors run. Nothing else does: audit libraries cannot be preloaded, wrapping dlopen
 * changes whose RUNPATH is searched and does not see libc's own loads. The compiler leaves 16 aligned bytes to the
 * empty function: a return and padding. We put a jump there:
 *
 *     before   c3                     ret                    after   ff 25 00 00 00 00    jmp *0(%rip)
 *              66 66 2e 0f 1f 84 ..   nop (15 bytes)                 <8 bytes>            address of modules_on_r_brk
 *                                                                    <2 bytes of the old padding>
 *
 * A debugger may still set its breakpoint on the first byte. When something else than return and padding stands there
 * (a debugger came first, another C library) or the write is refused, hook_install says so and modules.c does without.
 *
 * Called once by modules_start, while there is one thread. Takes no lock, allocates nothing. */
#include <fcntl.h>
#include <sys/mman.h>

#include "base/sys.h"
#include "modules_internal.h"
#include "unwind/safe.h"

#define PATCH_BYTES 14

/* What the loader calls. It may count on the empty function to change no register (gcc's -fipa-ra), so all but the
 * flags are kept; vector registers too, as our C code may use them to copy. */
void modules_on_r_brk(void) __attribute__((visibility("hidden")));
__asm__(".pushsection .text\n"
        ".globl modules_on_r_brk\n"
        ".hidden modules_on_r_brk\n"
        ".type modules_on_r_brk, @function\n"
        ".balign 16\n"
        "modules_on_r_brk:\n"
        ".cfi_startproc\n"
        "pushq %rbp\n"
        ".cfi_def_cfa_offset 16\n"
        ".cfi_offset %rbp, -16\n"
        "movq %rsp, %rbp\n"
        ".cfi_def_cfa_register %rbp\n"
        "pushq %rax\n"
        "pushq %rcx\n"
        "pushq %rdx\n"
        "pushq %rsi\n"
        "pushq %rdi\n"
        "pushq %r8\n"
        "pushq %r9\n"
        "pushq %r10\n"
        "pushq %r11\n"
        "subq $520, %rsp\n" /* 512 for fxsave, and the alignment of the stack to 16 */
        "fxsave64 (%rsp)\n"
        "cld\n"
        "call modules_loader_event\n"
        "fxrstor64 (%rsp)\n"
        "addq $520, %rsp\n"
        "popq %r11\n"
        "popq %r10\n"
        "popq %r9\n"
        "popq %r8\n"
        "popq %rdi\n"
        "popq %rsi\n"
        "popq %rdx\n"
        "popq %rcx\n"
        "popq %rax\n"
        "popq %rbp\n"
        ".cfi_def_cfa %rsp, 8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size modules_on_r_brk, .-modules_on_r_brk\n"
        ".popsection\n");

/* Length of the no-operation at p in its forms used for padding, 0 for anything else. */
static u32 nop_length(const u8 *p)
{
    u32 n = 0;
    while (n < 8 && (p[n] == 0x66 || p[n] == 0x2e))
        n++;
    if (p[n] == 0x90)
        return n + 1;
    if (p[n] != 0x0f || p[n + 1] != 0x1f)
        return 0;
    u8 modrm = p[n + 2];
    if ((modrm & 0x38) != 0 || (modrm & 0xc0) == 0xc0)
        return 0;
    u32 sib = (modrm & 7) == 4, displacement = (modrm >> 6) == 1 ? 1 : (modrm >> 6) == 2 ? 4 : 0;
    if ((modrm >> 6) == 0 && (modrm & 7) == 5)
        return 0;
    return n + 3 + sib + displacement;
}

/* Only [endbr64] ret, then padding up to the end of 16 aligned bytes. */
static bool is_empty_function(const u8 *f)
{
    u32 at = 0;
    if ((u64)f & 15)
        return false;
    if (f[0] == 0xf3 && f[1] == 0x0f && f[2] == 0x1e && f[3] == 0xfa)
        at = 4;
    if (f[at++] != 0xc3)
        return false;
    while (at < 16) {
        u32 n = f[at] == 0xcc ? 1 : nop_length(f + at);
        if (!n)
            return false;
        at += n;
    }
    return at == 16;
}

/* Through /proc/self/mem the page never becomes writable; where that is closed (no /proc, hardened kernel), the page is
 * opened. */
static bool write_code(u64 at, const u8 *bytes)
{
    int fd = sys_open("/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
    if (fd >= 0) {
        long n = sys_call6(SYS_pwrite64, fd, (long)bytes, PATCH_BYTES, (long)at, 0, 0);
        sys_close(fd);
        if (n == PATCH_BYTES)
            return true;
    }
    u64 page = at & ~4095ULL;
    if (sys_call3(SYS_mprotect, page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC))
        return false;
    __builtin_memcpy((void *)at, bytes, PATCH_BYTES);
    sys_call3(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC);
    return true;
}

bool hook_install(u64 r_brk)
{
    u8 patch[PATCH_BYTES] = {0xff, 0x25, 0, 0, 0, 0};
    u64 to = (u64)modules_on_r_brk;
    /* The next function begins behind the padding at the earliest, so 16 bytes can be read wherever one can. */
    if (!r_brk || (r_brk & 15) || !safe_readable(r_brk) || !is_empty_function((const u8 *)r_brk))
        return false;
    __builtin_memcpy(patch + 6, &to, sizeof to);
    return write_code(r_brk, patch) && !__builtin_memcmp((const u8 *)r_brk, patch, PATCH_BYTES);
}
