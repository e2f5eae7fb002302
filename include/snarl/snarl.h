/* What a program can tell snarl about itself: locks of its own making, names and levels of locks, order that snarl
 * cannot see, races that are intended, fibers, allocators of its own. See snarl.h(3) for examples.
 *
 * There is nothing to link. While libsnarl.so is loaded (`snarl run`, LD_PRELOAD, `snarl cc`) the calls reach it;
 * without it each is one load and one test. They never fail, keep errno, allocate nothing on the program's heap and take
 * no lock of the program's. All may be called from any thread at any time, in signal handlers too, except the fiber
 * functions, which are for ordinary code. Nothing is owned: names and texts are copied.
 *
 * Addresses only identify things: they need not be aligned, and nothing is read from or written to them. Sizes are in
 * bytes.
 *
 * SNARL_NO_ANNOTATIONS, defined before this header is included, leaves no code behind; the same holds for any compiler,
 * processor and system but GNU C (gcc, clang) for x86-64 Linux. C99 and C++98, and all later. */
#ifndef SNARL_SNARL_H
#define SNARL_SNARL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- how it gets there: not for use ---- */

#if defined(__cplusplus) && __cplusplus >= 201103L
#define SNARL_NULL_ nullptr
#else
#define SNARL_NULL_ NULL
#endif

#ifdef __GNUC__
/* Part of the caller in every way: stacks begin with the line that tells something, not with this file. */
#define SNARL_FUNCTION_ static __inline__ __attribute__((__always_inline__, __artificial__, __unused__))
#else
#define SNARL_FUNCTION_ static inline
#endif

#if defined(SNARL_SCAN) /* read by the static analysis, never linked: plain calls that it knows by name */
#define SNARL_TELL_(name, parameters, arguments)                                                                       \
    do {                                                                                                               \
        extern void snarl_annotate_##name parameters;                                                                  \
        snarl_annotate_##name arguments;                                                                               \
    } while (0)
#define SNARL_ASK_(name, type, nothing, parameters, arguments) return nothing
#elif !defined(SNARL_NO_ANNOTATIONS) && defined(__GNUC__) && defined(__linux__) && defined(__x86_64__) &&              \
    !defined(__ILP32__)
/* A weak reference, through the global offset table by hand: what compilers make of `if (&function)` in code that is
 * not position-independent is settled by the linker, as "not there" (docs/decisions/0009). */
#define SNARL_FIND_(name, function)                                                                                    \
    __asm__(".weak snarl_annotate_" #name "\n\t"                                                                       \
            "{movq snarl_annotate_" #name "@GOTPCREL(%%rip), %0|"                                                      \
            "mov %0, QWORD PTR snarl_annotate_" #name "@GOTPCREL[rip]}"                                                \
            : "=r"(function))
#define SNARL_TELL_(name, parameters, arguments)                                                                       \
    do {                                                                                                               \
        void(*snarl_function) parameters;                                                                              \
        SNARL_FIND_(name, snarl_function);                                                                             \
        if (snarl_function)                                                                                            \
            snarl_function arguments;                                                                                  \
    } while (0)
#define SNARL_ASK_(name, type, nothing, parameters, arguments)                                                         \
    do {                                                                                                               \
        type(*snarl_function) parameters;                                                                              \
        SNARL_FIND_(name, snarl_function);                                                                             \
        return snarl_function ? snarl_function arguments : nothing;                                                    \
    } while (0)
#else
#define SNARL_TELL_(name, parameters, arguments) ((void)0)
#define SNARL_ASK_(name, type, nothing, parameters, arguments) return nothing
#endif

/* Non-zero while snarl watches this process. */
SNARL_FUNCTION_ int snarl_watching(void)
{
    SNARL_ASK_(watching, int, 0, (void), ());
}

/* ---- locks of the program's own making ----
 *
 * For locks that no known library makes: spin locks on atomics, locks on futexes. (pthread, C11, C++, GLib, OpenMP and
 * file locks are seen without this, and so is what is built of them; telling of those again does no harm.) snarl then
 * finds their deadlocks, orders, misuse and the data they guard.
 *
 *     snarl_lock_acquiring(l, SNARL_EXCLUSIVE);
 *     while (atomic_exchange(&l->taken, 1))
 *         pause();
 *     snarl_lock_acquired(l, SNARL_EXCLUSIVE);
 *     ...
 *     snarl_lock_released(l);
 *     atomic_store(&l->taken, 0);
 *
 * A lock is released by the thread that has taken it. What one thread takes and another one gives back is no lock but a
 * semaphore or a hand-over: tell of those by snarl_happens_before and snarl_happens_after. */

/* How a lock is taken: one of the first two, and SNARL_TRY or SNARL_TIMED where it applies. */
enum {
    SNARL_EXCLUSIVE = 0,
    SNARL_SHARED = 1, /* as a reader, beside other readers */
    SNARL_TRY = 2,    /* does not wait */
    SNARL_TIMED = 4   /* gives up by itself */
};
/* What kind of lock it is. */
enum {
    SNARL_RECURSIVE = 1 /* its holder may take it again, and releases it as many times */
};

/* After its initialisation. May be left out; then the lock begins with its first use. */
SNARL_FUNCTION_ void snarl_lock_created(const volatile void *lock, unsigned kind)
{
    (void)lock, (void)kind;
    SNARL_TELL_(lock_created, (const volatile void *, unsigned), (lock, kind));
}
/* Before its end. Memory that is freed ends the locks in it without this. */
SNARL_FUNCTION_ void snarl_lock_destroyed(const volatile void *lock)
{
    (void)lock;
    SNARL_TELL_(lock_destroyed, (const volatile void *), (lock));
}
/* Before an acquire, whether or not it will have to wait: without it, a deadlock in which threads wait for this lock is
 * not seen at the moment it happens. Then either of the next two. */
SNARL_FUNCTION_ void snarl_lock_acquiring(const volatile void *lock, unsigned how)
{
    (void)lock, (void)how;
    SNARL_TELL_(lock_acquiring, (const volatile void *, unsigned), (lock, how));
}
/* After an acquire that succeeded. */
SNARL_FUNCTION_ void snarl_lock_acquired(const volatile void *lock, unsigned how)
{
    (void)lock, (void)how;
    SNARL_TELL_(lock_acquired, (const volatile void *, unsigned), (lock, how));
}
/* After an acquire that did not: a try, a time-out, an error. */
SNARL_FUNCTION_ void snarl_lock_failed(const volatile void *lock)
{
    (void)lock;
    SNARL_TELL_(lock_failed, (const volatile void *), (lock));
}
/* Before the release, so that the next holder cannot be told of first. */
SNARL_FUNCTION_ void snarl_lock_released(const volatile void *lock)
{
    (void)lock;
    SNARL_TELL_(lock_released, (const volatile void *), (lock));
}

/* ---- names and levels, for locks of every kind ----
 *
 * Any time before or after the lock's first use; the first name and the last level count. Give a level before the lock
 * is used: orders that are known already are not looked at again. */

/* Reports and baselines call the lock by this name. Locks of one name are one class: give the same one to the locks of
 * all objects of a type, not to locks that have nothing in common. */
SNARL_FUNCTION_ void snarl_lock_name(const volatile void *lock, const char *name)
{
    (void)lock, (void)name;
    SNARL_TELL_(lock_name, (const volatile void *, const char *), (lock, name));
}
/* A lock of a level (1 and up) may only be waited for while all locks held that have a level have lower ones. Anything
 * else is a finding (lock-order), at the first time it happens, long before threads can meet in it. 0: no level. */
SNARL_FUNCTION_ void snarl_lock_level(const volatile void *lock, unsigned level)
{
    (void)lock, (void)level;
    SNARL_TELL_(lock_level, (const volatile void *, unsigned), (lock, level));
}

/* ---- order ----
 *
 * What a thread did before snarl_happens_before(address) has happened before what any thread does after a later
 * snarl_happens_after of the same address. For hand-overs that snarl cannot see: through a device, another process's
 * memory, code that is not watched. */
SNARL_FUNCTION_ void snarl_happens_before(const volatile void *address)
{
    (void)address;
    SNARL_TELL_(happens_before, (const volatile void *), (address));
}
SNARL_FUNCTION_ void snarl_happens_after(const volatile void *address)
{
    (void)address;
    SNARL_TELL_(happens_after, (const volatile void *), (address));
}

/* ---- what is not to be reported ---- */

/* Races on these bytes are meant to be: they are not reported. `why` is for whoever reads the source. */
SNARL_FUNCTION_ void snarl_intended_race(const volatile void *address, size_t size, const char *why)
{
    (void)address, (void)size, (void)why;
    SNARL_TELL_(intended_race, (const volatile void *, size_t, const char *), (address, size, why));
}
/* The calling thread's reads, or writes, are not looked at between these two. They nest. */
SNARL_FUNCTION_ void snarl_ignore_reads_begin(void)
{
    SNARL_TELL_(ignore_reads_begin, (void), ());
}
SNARL_FUNCTION_ void snarl_ignore_reads_end(void)
{
    SNARL_TELL_(ignore_reads_end, (void), ());
}
SNARL_FUNCTION_ void snarl_ignore_writes_begin(void)
{
    SNARL_TELL_(ignore_writes_begin, (void), ());
}
SNARL_FUNCTION_ void snarl_ignore_writes_end(void)
{
    SNARL_TELL_(ignore_writes_end, (void), ());
}

/* ---- memory that an allocator of the program's own gives out ---- */

/* Before the block is given out: nothing that happened there before counts any more. */
SNARL_FUNCTION_ void snarl_block_new(const volatile void *block, size_t size)
{
    (void)block, (void)size;
    SNARL_TELL_(block_new, (const volatile void *, size_t), (block, size));
}
/* When it is taken back: whoever still uses it races with this. Locks in it end. */
SNARL_FUNCTION_ void snarl_block_gone(const volatile void *block, size_t size)
{
    (void)block, (void)size;
    SNARL_TELL_(block_gone, (const volatile void *, size_t), (block, size));
}

/* ---- fibers: coroutines with stacks of their own, green threads ----
 *
 * Each fiber is a thread of its own to snarl, with locks held and a past of its own, whichever thread runs it.
 *
 *     struct task { void *fiber; ucontext_t context; char stack[65536]; };
 *
 *     task->fiber = snarl_fiber_create(task->stack, sizeof task->stack);
 *     ...
 *     scheduler->fiber = snarl_fiber_current();
 *     snarl_fiber_switch(task->fiber, 0);                  // just before
 *     swapcontext(&scheduler->context, &task->context);
 *     ...
 *     snarl_fiber_destroy(task->fiber);                    // from another fiber, when it will never run again
 *
 * Handles are NULL without the library; every function takes that. */

enum {
    SNARL_UNORDERED = 1 /* the switch does not order what was done before it before what the fiber does next */
};

/* A new fiber, which begins after what the caller has done so far. The stack's lowest address and size, if they are
 * known (else NULL, 0): then it must stay mapped as long as the fiber lives, and nothing that happened on it before
 * counts. */
SNARL_FUNCTION_ void *snarl_fiber_create(const void *stack, size_t size)
{
    (void)stack, (void)size;
    SNARL_ASK_(fiber_create, void *, SNARL_NULL_, (const void *, size_t), (stack, size));
}
/* The one that runs now; in a thread that has not switched, the thread itself. A thread's own is never destroyed: it
 * ends with the thread. */
SNARL_FUNCTION_ void *snarl_fiber_current(void)
{
    SNARL_ASK_(fiber_current, void *, SNARL_NULL_, (void), ());
}
/* From here on the calling thread is that fiber, which runs nowhere else. */
SNARL_FUNCTION_ void snarl_fiber_switch(void *fiber, unsigned flags)
{
    (void)fiber, (void)flags;
    SNARL_TELL_(fiber_switch, (void *, unsigned), (fiber, flags));
}
SNARL_FUNCTION_ void snarl_fiber_name(void *fiber, const char *name)
{
    (void)fiber, (void)name;
    SNARL_TELL_(fiber_name, (void *, const char *), (fiber, name));
}
SNARL_FUNCTION_ void snarl_fiber_destroy(void *fiber)
{
    (void)fiber;
    SNARL_TELL_(fiber_destroy, (void *), (fiber));
}

#ifdef __cplusplus
}
#endif

#endif
