/* Which instruction of the original an address in a copy belongs to, and the other way round. What stays of the work on a
 * module: for signals, backtraces, faults. */
#ifndef SNARL_ACCESS_REWRITE_MAP_H
#define SNARL_ACCESS_REWRITE_MAP_H

#include "access/rewrite_arena.h"

struct map_place {
    u32 at, copy;
};
struct map_check {
    u32 hot;
    u16 back, end;
    u32 cold;
    u32 access; /* offset of the access in the text */
    u32 after;  /* behind a locked instruction: offset of the next one in the text; else 0 */
};
struct rewrite_map {
    u64 text_lo, text_hi;
    u64 lo, hi; /* the arena's code */
    u64 stubs_lo, stubs_hi;
    u64 cold;                 /* ways out begin here */
    struct map_place *places; /* sorted by both */
    struct map_check *checks; /* sorted by both hot and cold */
    u32 nplaces, nchecks;
    u64 bytes;
};

/* What an address in the arena is in. */
enum map_where {
    MAP_NONE,   /* not in a copy */
    MAP_CODE,   /* an instruction of the program, or what stands for it */
    MAP_CHECK,  /* a check, up to `back` */
    MAP_RETURN, /* a check, behind `back`: what it borrowed is given back */
    MAP_COLD,   /* the way out of a check */
    MAP_AFTER,  /* the end of a locked instruction; `original` is the next one, `copy` where the end begins */
    MAP_STUB    /* a jump to a copy */
};
struct map_found {
    enum map_where where;
    u64 original; /* the instruction that has not been executed yet */
    u64 copy;     /* where its copy begins, checks included */
    u64 code;     /* MAP_CODE: where the checks before it end */
    u64 check;    /* the check's beginning, and where it is done */
    u64 back;
    u64 cold; /* MAP_COLD: the way out's beginning */
};

/* From a module whose copies are complete. False when there is no memory. */
bool map_make(struct rewrite_map *m, const struct rewrite *r, const struct arena *a)
    __attribute__((visibility("hidden")));
void map_free(struct rewrite_map *m) __attribute__((visibility("hidden")));

/* Any thread, any time; signal handlers, too. */
bool map_find(const struct rewrite_map *m, u64 in_copy, struct map_found *out) __attribute__((visibility("hidden")));
/* The copy of the instruction that begins there, 0: there is none. */
u64 map_copy_of(const struct rewrite_map *m, u64 original) __attribute__((visibility("hidden")));

#endif
