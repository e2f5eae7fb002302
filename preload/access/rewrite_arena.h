/* Memory for the copies of a module's functions, near the module: jumps and operands reach it with 32 bits. */
#ifndef SNARL_ACCESS_REWRITE_ARENA_H
#define SNARL_ACCESS_REWRITE_ARENA_H

#include "access/rewrite.h"

/* What stands at an arena's beginning. */
struct arena_head {
    u64 cells;       /* shadow_cells */
    u64 slow;        /* where `call_slow` goes */
    u8 call_slow[8]; /* jmp [slow] */
    u8 reserved[40];
};

/*  lo: head | copies, growing up ... | ways out ... :hi      stubs, at addresses that punning needs, in a window */
struct arena {
    u64 lo, hi; /* 0: none */
    u64 copies, copies_end;
    u64 cold, cold_end;
    u64 stubs, stubs_end;
    u32 *taken; /* a bit for each byte of the stubs */
};

/* Keeps address space below the libraries free for arenas, while snarl maps what it needs itself; and gives it back. */
void arena_keep_room(void) __attribute__((visibility("hidden")));
void arena_give_room(void) __attribute__((visibility("hidden")));
/* Maps an arena for a module whose copies and ways out will take that many bytes. The stubs, and when there is room also
 * the rest, lie in a window below the text (or above) where the last byte of a jump to there is one that faults: see
 * rewrite_patch.c. Writable, not executable yet. False when there is no room. */
bool arena_near(struct arena *a, const struct image *image, u64 copies, u64 cold) __attribute__((visibility("hidden")));
/* Maps an arena once more as another one was that lay as far from its text. False when something else is there. */
bool arena_again(struct arena *a, const struct arena *like) __attribute__((visibility("hidden")));
/* What call_slow needs, and checks. */
void arena_set_head(struct arena *a, u64 slow, u64 cells) __attribute__((visibility("hidden")));
/* The code in it is complete: executable, not writable. False when that is refused. */
bool arena_seal(struct arena *a) __attribute__((visibility("hidden")));
void arena_drop(struct arena *a) __attribute__((visibility("hidden")));
/* After patching. */
void arena_free_taken(struct arena *a) __attribute__((visibility("hidden")));

/* n bytes, 32 at most, at exactly that address, among the stubs; false when they are not free. */
bool arena_take(struct arena *a, u64 at, u32 n) __attribute__((visibility("hidden")));
/* Five bytes at one of the 32 addresses lo, lo + 8, ...; 0: none is free. */
u64 arena_take_among(struct arena *a, u64 lo) __attribute__((visibility("hidden")));
/* None of them is taken any more. */
void arena_release_all(struct arena *a) __attribute__((visibility("hidden")));

#endif
