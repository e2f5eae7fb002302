/* The usual path of an access, inline: is it one that the shadow has already, from this thread, in this epoch?
 * Part of the door access.h; same rules. */
#ifndef SNARL_ANALYZE_ACCESS_HOT_H
#define SNARL_ANALYZE_ACCESS_HOT_H

#include "analyze/access.h"
#include "analyze/cell.h"
#include "analyze/shadow.h"

/* What the calling thread's slots look like now: its epoch and, in the place of the mask, all ones. 0: nothing is
 * watched. ACCESS_NO_EPOCH: the next recorded access takes a new epoch (no slot looks like that). */
extern __thread u32 access_now __attribute__((tls_model("initial-exec"), visibility("hidden")));
#define ACCESS_NO_EPOCH SLOT_MASK

/* Bits of (slot ^ access_now) that tell: the epoch must be the same; of the mask the accessed bytes must be set (they
 * come out as zero); a read is content with a write; a plain access not with an atomic one. */
static SNARL_HOT bool slot_has(u32 slot, u32 now, u32 mask, u32 kind)
{
    u32 want = now | (kind & ACCESS_WRITE ? SLOT_WRITE : 0);
    u32 care = SLOT_SAME_EPOCH | mask;
    if (kind & ACCESS_WRITE)
        care |= SLOT_WRITE;
    if (!(kind & ACCESS_ATOMIC))
        care |= SLOT_ATOMIC;
    return !((slot ^ want) & care);
}

/* Where the thread is, as the functions tell that make accesses.
 *
 * The stamp is that of the present activation, never used twice. The context is a hash of the call path: of the context
 * in which the function was called, and of where. Two accesses by one instruction in the same context, at the same
 * stack pointer, have the same stack. An entry that is never left (longjmp) makes later exits return to contexts of
 * functions further in: those name the path to there, so what they stand for stays one stack, too; and to stamps that
 * are too new, never too old. So depth may wrap. */
#define FRAMES_KEPT 65536u
#define SETS_KNOWN 16u
struct access_frames {
    /* Sets of readers (readers.h) that have this thread's read of these bytes in its present epoch. */
    struct {
        u32 slot, mask;
    } sets[SETS_KNOWN];
    bool any_set;
    bool fenced; /* there was a release fence: relaxed writes leave what it has seen */
    u64 stamp, last, context;
    u32 depth;
    u32 turns;                                     /* crowd.c */
    u64 outer[FRAMES_KEPT], contexts[FRAMES_KEPT]; /* stamps and contexts of the callers */
    /* Of rewritten code (preload/access/rewrite_slow.c): the atomic instruction that the thread is at; loads that may have
     * seen what came after their checks; the last of move_excuses that it knows. */
    struct hb_hold operation;
    bool loaded;
    u32 excuses;
};
/* NULL while accesses are not watched. */
extern __thread struct access_frames *access_frames __attribute__((tls_model("initial-exec"), visibility("hidden")));

static SNARL_HOT bool set_has(u32 slot, u32 mask)
{
    const struct access_frames *f = access_frames;
    u32 i = slot >> SLOT_EPOCH_SHIFT & (SETS_KNOWN - 1);
    return f && f->sets[i].slot == slot && !(mask & ~f->sets[i].mask);
}
static SNARL_HOT void access_set_known(struct access_frames *f, u32 slot, u32 mask)
{
    u32 i = slot >> SLOT_EPOCH_SHIFT & (SETS_KNOWN - 1);
    f->sets[i].mask = (f->sets[i].slot == slot ? f->sets[i].mask : 0) | mask;
    f->sets[i].slot = slot;
    f->any_set = true;
}
static SNARL_HOT void access_sets_forget(struct access_frames *f)
{
    if (f->any_set)
        __builtin_memset(f->sets, 0, sizeof f->sets);
    f->any_set = false;
}

/* A load of the shadow that a wild pointer may lead to, and where to go on then (preload/intercept/fault.c), each as its
 * distance from the field. */
struct fault_entry {
    int64_t load, resume;
};
/* The cell of addr; jumps to the label `wild` where there is none. */
#define CELL_LOAD(cell, addr)                                                                                          \
    __asm__ goto volatile("1: movq %1, %0\n\t"                                                                         \
                          ".pushsection snarl_faults, \"a\"\n\t"                                                       \
                          ".quad 1b - ., %l[wild] - .\n\t"                                                             \
                          ".popsection"                                                                                \
                          : "=r"(cell)                                                                                 \
                          : "m"(*shadow_cell(addr))                                                                    \
                          :                                                                                            \
                          : wild)

/* True: nothing more to do. For accesses inside one granule; kind is a constant. */
static SNARL_HOT bool access_is_known(u64 addr, u32 mask, u32 kind)
{
    u32 now = access_now;
    if (snarl_unlikely(!now))
        return true;
    u64 cell = 0;
    CELL_LOAD(cell, addr);
    if (snarl_likely(slot_has((u32)cell, now, mask, kind)))
        return true;
    if (cell & CELL_MORE && slot_has((u32)__atomic_load_n(shadow_older(addr), __ATOMIC_RELAXED), now, mask, kind))
        return true;
    return kind == ACCESS_READ && (now & SLOT_SAME_EPOCH) && set_has((u32)cell, mask);
wild:
    return true; /* the program is about to see for itself */
}

static SNARL_HOT void access_function_entry(u64 caller_pc)
{
    struct access_frames *f = access_frames;
    if (snarl_unlikely(!f))
        return;
    u32 i = f->depth++ % FRAMES_KEPT;
    f->outer[i] = f->stamp;
    f->contexts[i] = f->context;
    f->stamp = ++f->last;
    f->context = (f->context ^ caller_pc) * 0x9e3779b97f4a7c15ULL;
    f->context ^= f->context >> 32;
}
static SNARL_HOT void access_function_exit(void)
{
    struct access_frames *f = access_frames;
    if (snarl_unlikely(!f))
        return;
    u32 i = --f->depth % FRAMES_KEPT;
    f->stamp = f->outer[i];
    f->context = f->contexts[i];
}

/* The rest of access_is_known, for one that it denies: among more records of the granule than two. */
bool access_is_in_crowd(u64 addr, u32 mask, u32 kind);

/* Records an access inside one granule that the thread's tables answer for, by an instruction (fp as in engine.h) whose
 * function tells of its entries: this thread's own past there, or what is known to be before. False: nothing was done.
 * May be interrupted by a signal handler that comes here, too. */
bool access_quick(struct thread *t, u64 addr, u32 mask, u32 kind, const u64 *fp);
/* The same, touching general registers only: what takes more is left to the others. Who calls it looks at
 * t->signals_wait afterwards. */
bool access_quick_plain(struct thread *t, u64 addr, u32 mask, u32 kind, const u64 *fp);
/* The next access is not in the thread's present epoch: begins the one that it is in, if that can be done now. */
void access_epoch_begin(struct thread *t);
/* The same access, in full. */
void access_seen(struct thread *t, u64 addr, u32 size, u32 kind, const u64 *fp);

#endif
