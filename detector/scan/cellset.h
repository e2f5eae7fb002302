/* Sets of cells: sorted words of 64 bits each. */
#ifndef SNARL_SCAN_CELLSET_H
#define SNARL_SCAN_CELLSET_H

#include "points.h"

bool cellset_add(struct cellset *s, u32 cell);
/* Adds all of b; whether there was anything new. */
bool cellset_join(struct cellset *s, const struct cellset *b);
/* What of a is not in b. */
void cellset_minus(struct cellset *out, const struct cellset *a, const struct cellset *b);
void cellset_common(struct cellset *out, const struct cellset *a, const struct cellset *b);
u32 cellset_count(const struct cellset *s);
bool cellset_equal(const struct cellset *a, const struct cellset *b);
void cellset_free(struct cellset *s);

/* for each: CELLSET_EACH(set, cell) { … } */
#define CELLSET_EACH(s, cell)                                                                                          \
    for (u32 cs_i = 0; cs_i < (s)->n; cs_i++)                                                                          \
        for (u64 cs_bits = (s)->bits[cs_i]; cs_bits; cs_bits &= cs_bits - 1)                                           \
            for (u32 cs_once = 1, cell = (s)->word[cs_i] * 64 + (u32)__builtin_ctzll(cs_bits); cs_once; cs_once = 0)

#endif
