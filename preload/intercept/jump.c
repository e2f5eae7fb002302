/* longjmp and its names. Called by the watched program and its libraries. Takes the engine's locks only when a wait
 * ends here; does not allocate.
 *
 * A signal handler may leave a blocked call by longjmp: then the thread waits no longer, though the call has not
 * returned. (When it jumps inside itself instead, and the blocked call goes on, that wait is not seen any more: a
 * deadlock missed rather than invented.) Everything else that a jump skips is found stale by its frame. */
#include "cond.h"
#include "start.h"

#include <setjmp.h>

static SNARL_COLD void jump_out_of_wait(const u64 *fp)
{
    struct cond_wait *w = cond_waiting;
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    if (w && w->thread == t) {
        cond_waiting = NULL;
        engine_cond_wait_end(t, w->cond, w->mutex, w->depth, fp); /* glibc takes the mutex again as it jumps */
    }
    engine_wait_end(t);
    engine_wait_failed(t);
    interceptor_leave(t);
}

/* Where a jump goes: x86-64's setjmp keeps the stack pointer in the seventh word, disguised. */
static u64 target_sp(jmp_buf env)
{
    u64 sp = (u64)env[0].__jmpbuf[6];
    __asm__("ror $17, %0\n\txor %%fs:0x30, %0" : "+r"(sp)::"cc");
    return sp;
}

static SNARL_HOT void jump(jmp_buf env, const u64 *fp)
{
    struct thread *t = snarl_thread;
    if ((uintptr_t)t > 1 && snarl_unlikely(t->rec->wait.seq & 1))
        jump_out_of_wait(fp);
    if ((uintptr_t)t > 1 && snarl_unlikely(t->inside | t->handler_depth)) /* maybe out of what never goes on */
        signal_jump(t, target_sp(env));
}

EXPORT void longjmp(jmp_buf env, int value)
{
    jump(env, INTERCEPTOR_FP());
    REAL(longjmp)(env, value);
    __builtin_unreachable();
}

EXPORT void _longjmp(jmp_buf env, int value)
{
    jump(env, INTERCEPTOR_FP());
    REAL(_longjmp)(env, value);
    __builtin_unreachable();
}

EXPORT void siglongjmp(sigjmp_buf env, int value)
{
    jump(env, INTERCEPTOR_FP());
    REAL(siglongjmp)(env, value);
    __builtin_unreachable();
}

/* What longjmp is under _FORTIFY_SOURCE. */
EXPORT void __longjmp_chk(jmp_buf env, int value)
{
    jump(env, INTERCEPTOR_FP());
    REAL(__longjmp_chk)(env, value);
    __builtin_unreachable();
}
