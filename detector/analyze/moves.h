/* Plain moves that may be atomic operations: see moves.c. Nothing outside detector/analyze includes this. */
#ifndef SNARL_ANALYZE_MOVES_H
#define SNARL_ANALYZE_MOVES_H

#include "analyze/accesses.h"

enum move_meeting {
    MOVES_NOT,   /* a race */
    MOVES_MAYBE, /* one, if these are no atomic operations */
    MOVES_ATOMIC /* none: they are, or what orders the two cannot be seen any more */
};
/* The other access. */
struct move_past {
    ref_t stack;
    u32 flags, kind; /* flags: of ACCESS_FLAGS */
    u32 lane;
    u64 time;
};
/* a's access races with that of the record. Where it may be, their instructions are atomic ones from now on. */
enum move_meeting move_meets(const struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 record);
enum move_meeting move_meets_past(const struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack,
                                  const struct move_past *past);

#endif
