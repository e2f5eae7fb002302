/* Internal locks over shared futexes. Called from every slow path. Takes no other lock, allocates nothing. The robust
 * part follows the idea of robust futexes: the word names the owner, a waiter that has waited long asks the kernel
 * whether that thread still exists and takes the lock over if not. */
#include "ilock.h"

#include <errno.h>
#include <sys/uio.h>

#include "sys.h"

#define ILOCK_WAITERS 0x80000000u
#define OWNER_CHECK_NS 50000000ULL

#ifdef SNARL_DEBUG
static __thread u32 held_ranks __attribute__((tls_model("initial-exec")));

static void rank_enter(u32 rank)
{
    if (held_ranks >> rank)
        __builtin_trap();
    held_ranks |= 1u << rank;
}
#define rank_leave(rank) (held_ranks &= ~(1u << (rank)))
#else
#define rank_enter(rank) ((void)0)
#define rank_leave(rank) ((void)0)
#endif

/* A killed process that nobody has waited for still has its number, so kill() finds it: but it has no memory any more.
 * The kernel says so before it asks whether we may read there. */
static bool has_no_memory(u32 tid)
{
    char byte;
    struct iovec here = {&byte, 1};
    return sys_call6(SYS_process_vm_readv, tid, (long)&here, 1, (long)&here, 1, 0) == -ESRCH;
}

bool ilock_process_gone(u32 pid)
{
    return sys_call3(SYS_kill, pid, 0, 0) == -ESRCH || has_no_memory(pid);
}

static bool owner_is_gone(u32 word)
{
    u32 tid = word & ~ILOCK_WAITERS;
    if (!tid || sys_call3(SYS_tgkill, sys_getpid(), tid, 0) == 0) /* a thread of this process leaves its sections */
        return false;
    return ilock_process_gone(tid);
}

static SNARL_COLD void acquire_slow(struct ilock *l, u32 me)
{
    for (int spin = 0; spin < 200; spin++) {
        u32 free_word = 0;
        if (__atomic_load_n(&l->word, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(&l->word, &free_word, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        __builtin_ia32_pause();
    }
    for (;;) {
        u32 w = __atomic_load_n(&l->word, __ATOMIC_RELAXED);
        if (w == 0) {
            if (__atomic_compare_exchange_n(&l->word, &w, me | ILOCK_WAITERS, false, __ATOMIC_ACQUIRE,
                                            __ATOMIC_RELAXED))
                return;
            continue;
        }
        if (!(w & ILOCK_WAITERS) &&
            !__atomic_compare_exchange_n(&l->word, &w, w | ILOCK_WAITERS, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            continue;
        w |= ILOCK_WAITERS;
        if (sys_futex_wait(&l->word, w, OWNER_CHECK_NS) == -ETIMEDOUT && owner_is_gone(w) &&
            __atomic_compare_exchange_n(&l->word, &w, me | ILOCK_WAITERS, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
    }
}

/* ---- signals ---- */

#define NOT_BLOCKED (~0ULL) /* no mask is that: two signals cannot be blocked */
#define CHECK_EVERY 1024u

struct ilock_signals ilock_signals;
__thread u32 ilock_signals_wait __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* How many sections this thread is in: signals are kept out once, by the outermost. And its kernel id, asked for
 * once. */
static __thread u32 held __attribute__((tls_model("initial-exec")));
static __thread u32 own_tid __attribute__((tls_model("initial-exec")));
static __thread u32 sections __attribute__((tls_model("initial-exec")));

void ilock_signals_block(void)
{
    __atomic_store_n(&ilock_signals.deferred, false, __ATOMIC_RELAXED);
}

u64 ilock_guard(void)
{
    u64 mask = held || __atomic_load_n(&ilock_signals.deferred, __ATOMIC_RELAXED) ? NOT_BLOCKED : sys_signals_block();
    held++; /* after blocking: a handler in between finds everything as it was */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return mask;
}

void ilock_unguard(u64 saved_mask)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (--held)
        return;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (saved_mask != NOT_BLOCKED) {
        sys_signals_restore(saved_mask);
        return;
    }
    if (snarl_unlikely(++sections % CHECK_EVERY == 0))
        ilock_signals.check();
    if (snarl_unlikely(ilock_signals_wait))
        ilock_signals.deliver();
}

bool ilock_guarded(void)
{
    return held != 0;
}

/* ---- locks ---- */

u64 ilock_acquire(struct ilock *l)
{
    u64 mask = ilock_guard();
    u32 me = own_tid ? own_tid : (own_tid = sys_gettid());
    u32 free_word = 0;
    rank_enter(l->rank);
    if (!__atomic_compare_exchange_n(&l->word, &free_word, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        acquire_slow(l, me);
    return mask;
}

void ilock_release(struct ilock *l, u64 saved_mask)
{
    rank_leave(l->rank);
    if (__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) & ILOCK_WAITERS)
        sys_futex_wake(&l->word, 1);
    ilock_unguard(saved_mask);
}

void ilock_disown(const struct ilock *l)
{
    (void)l;
    rank_leave(l->rank);
    held--;
}

void ilock_forked(void)
{
    own_tid = 0;
}
