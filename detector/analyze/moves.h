/* Plain moves that may be atomic operations: see moves.c. Nothing outside detector/analyze includes this. */
#ifndef SNARL_ANALYZE_MOVES_H
#define SNARL_ANALYZE_MOVES_H

#include "analyze/accesses.h"

/* The access of that record is before a's, by what cannot be seen any more. */
bool move_excused(const struct accesses *a, u64 record);

enum move_meeting {
    MOVES_NOT,   /* a race */
    MOVES_MAYBE, /* one, if these are no atomic operations */
    MOVES_ATOMIC /* none */
};
/* The two race. Unless MOVES_NOT, their instructions are atomic ones from now on. */
enum move_meeting move_meets(u64 addr, u32 mask, u32 kind, ref_t stack, u64 record);

#endif
