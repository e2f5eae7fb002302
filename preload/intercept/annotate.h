/* What a program tells snarl about itself, for the files that carry an interface for it: <snarl/snarl.h>'s functions
 * (annotate.c), the Annotate* functions (dynamic.c), the compilers' __tsan_mutex_* (preload/access).
 *
 * Called between interceptor_enter and interceptor_leave, with the frame of the function that the program called. */
#ifndef SNARL_INTERCEPT_ANNOTATE_H
#define SNARL_INTERCEPT_ANNOTATE_H

#include "interceptor.h"

/* ---- locks that the program makes for itself (kind OBJ_CUSTOM), at any address ----
 *
 * All of these do nothing for an address at which a lock of another kind lives: it is watched already, by its own
 * functions, and the annotation repeats what they say. `how`: HOW_BLOCK, HOW_TRY or HOW_TIMED. */

/* attrs: ATTR_RECURSIVE or nothing. */
void custom_lock_created(struct thread *t, u64 lock, u32 attrs, const u64 *fp) __attribute__((visibility("hidden")));
/* Known from now on, unless it is already (static initialisation). */
void custom_lock_seen(struct thread *t, u64 lock, u32 attrs, const u64 *fp) __attribute__((visibility("hidden")));
void custom_lock_destroyed(struct thread *t, u64 lock, const u64 *fp) __attribute__((visibility("hidden")));
/* Before the program's own acquire, whether or not it will have to wait; may be left out. Ends with custom_lock_acquired
 * or custom_lock_failed. */
void custom_lock_acquiring(struct thread *t, u64 lock, enum lock_mode mode, u32 how, const u64 *fp)
    __attribute__((visibility("hidden")));
void custom_lock_acquired(struct thread *t, u64 lock, enum lock_mode mode, u32 how, const u64 *fp)
    __attribute__((visibility("hidden")));
void custom_lock_failed(struct thread *t, u64 lock, const u64 *fp) __attribute__((visibility("hidden")));
/* Before the program's own release. Takes one level of recursion off, or all: returns how many were taken off. */
u32 custom_lock_released(struct thread *t, u64 lock, bool all, const u64 *fp) __attribute__((visibility("hidden")));

/* Names the lock at that address, of whatever kind, also before its first use; gives it a level. */
void any_lock_name(struct thread *t, u64 lock, const char *name, const u64 *fp) __attribute__((visibility("hidden")));
void any_lock_level(struct thread *t, u64 lock, u32 level, const u64 *fp) __attribute__((visibility("hidden")));

/* ---- memory ---- */

/* A block given out, or taken back, by an allocator of the program's own. */
void own_block_new(struct thread *t, u64 addr, u64 size, const u64 *fp) __attribute__((visibility("hidden")));
void own_block_gone(struct thread *t, u64 addr, u64 size, const u64 *fp) __attribute__((visibility("hidden")));
/* access_intended with a copy of the text, which may be of the program's memory. */
void intended_race(struct thread *t, u64 addr, u64 size, const char *why) __attribute__((visibility("hidden")));

#endif
