/* Runs of cells (cell.h) that look the same: what ranges of memory mostly have. Two cells at a time; a load or store of
 * two is one of each to other threads. Pure, but for the stores. */
#ifndef SNARL_ANALYZE_RUNS_H
#define SNARL_ANALYZE_RUNS_H

#include <emmintrin.h>

#include "analyze/cell.h"

static SNARL_HOT __m128i run_load(const u64 *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}
static SNARL_HOT void run_store(u64 *at, __m128i value)
{
    _mm_storeu_si128((__m128i *)(void *)at, value);
}
static SNARL_HOT __m128i run_pair(u64 value)
{
    return _mm_set1_epi64x((long long)value);
}
static SNARL_HOT bool run_none(__m128i bits)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi32(bits, _mm_setzero_si128())) == 0xffff;
}

/* How many of n cells, from the first on, are `want` where `care` has bits. */
static SNARL_HOT u64 run_of(const u64 *cell, u64 n, u64 want, u64 care)
{
    __m128i w = run_pair(want), c = run_pair(care);
    u64 i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i a = _mm_xor_si128(run_load(cell + i), w), b = _mm_xor_si128(run_load(cell + i + 2), w);
        a = _mm_or_si128(a, _mm_xor_si128(run_load(cell + i + 4), w));
        b = _mm_or_si128(b, _mm_xor_si128(run_load(cell + i + 6), w));
        if (!run_none(_mm_and_si128(_mm_or_si128(a, b), c)))
            break;
    }
    while (i < n && !((__atomic_load_n(cell + i, __ATOMIC_RELAXED) ^ want) & care))
        i++;
    return i;
}

/* What an access makes of a granule's cell and its older record. */
struct run_step {
    u64 seen, older;       /* before; `older` counts when the cell says that there is one */
    u64 cell, fresh_older; /* after */
};

static SNARL_HOT bool run_takes(const u64 *cell, const u64 *older, u64 i, const struct run_step *s)
{
    return __atomic_load_n(cell + i, __ATOMIC_RELAXED) == s->seen &&
           (!(s->seen & CELL_MORE) || __atomic_load_n(older + i, __ATOMIC_RELAXED) == s->older);
}

/* Does the step to as many of n granules, from the first on, as it fits. */
static SNARL_HOT u64 run_repeat(u64 *cell, u64 *older, u64 n, const struct run_step *s)
{
    __m128i seen = run_pair(s->seen), fresh = run_pair(s->cell), was = run_pair(s->older),
            becomes = run_pair(s->fresh_older);
    bool had = s->seen & CELL_MORE, has = s->cell & CELL_MORE;
    u64 i = 0;
    for (; i + 2 <= n; i += 2) {
        __m128i d = _mm_xor_si128(run_load(cell + i), seen);
        if (had)
            d = _mm_or_si128(d, _mm_xor_si128(run_load(older + i), was));
        if (!run_none(d))
            break;
        if (has)
            run_store(older + i, becomes);
        run_store(cell + i, fresh);
    }
    for (; i < n && run_takes(cell, older, i, s); i++) {
        if (has)
            __atomic_store_n(older + i, s->fresh_older, __ATOMIC_RELAXED);
        __atomic_store_n(cell + i, s->cell, __ATOMIC_RELEASE);
    }
    return i;
}

#endif
