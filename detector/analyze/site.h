/* Sites: where an access was made, as a number of 24 bits that a record of the shadow has room for.
 *
 * A site is a stack, or several with the bytes that each is for: a thread that touches two fields of one granule in one
 * epoch needs one slot for both, and no stack is lost. Sites hold no time and no address, so a program has few. They are
 * this process's, immutable, and never go away. */
#ifndef SNARL_ANALYZE_SITE_H
#define SNARL_ANALYZE_SITE_H

#include "analyze/cell.h"
#include "base/types.h"

struct site {
    ref_t stack;
    u32 rest; /* next site of a list, 0 at its end */
    u8 mask;  /* bytes that the stack is for; 0: all that the slot has */
    u8 flags; /* of ACCESS_FLAGS */
    u16 reserved;
    u32 next; /* in the hash bucket */
};

int site_start(void);
/* The site of these, made if it is new; 0 when the table is full (counted). Lock-free. */
u32 site_make(ref_t stack, u32 mask, u32 flags, u32 rest);
/* A slot has `old` for the bytes in old_mask; those of mask are touched from `stack`, too: what is new among them is its. */
u32 site_merge(u32 old, u32 old_mask, ref_t stack, u32 mask);
/* What stands for byte 0..7, or NULL. */
const struct site *site_at(u32 site, u32 byte);

#endif
