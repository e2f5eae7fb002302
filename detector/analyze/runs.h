/* Runs of cells (cell.h) that look the same: what ranges of memory mostly have. Two cells at a time; a load or store of
 * two is one of each to other threads. Pure, but for the stores. */
#ifndef SNARL_ANALYZE_RUNS_H
#define SNARL_ANALYZE_RUNS_H

#include <emmintrin.h>

#include "base/types.h"

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

/* What an access makes of a cell and its sites. */
struct run_step {
    u64 seen, words; /* before */
    u64 cell, sites; /* after */
    bool by_words;   /* it depends on `words`, too */
};

static SNARL_HOT bool run_takes(const u64 *cell, const u64 *site, u64 i, const struct run_step *s)
{
    return __atomic_load_n(cell + i, __ATOMIC_RELAXED) == s->seen && (!s->by_words || site[i] == s->words);
}

/* Does the step to as many of n cells, from the first on, as it fits. */
static SNARL_HOT u64 run_repeat(u64 *cell, u64 *site, u64 n, const struct run_step *s)
{
    __m128i seen = run_pair(s->seen), fresh = run_pair(s->cell), sites = run_pair(s->sites), words = run_pair(s->words);
    u64 i = 0;
    for (; i + 2 <= n; i += 2) {
        __m128i d = _mm_xor_si128(run_load(cell + i), seen);
        if (s->by_words)
            d = _mm_or_si128(d, _mm_xor_si128(run_load(site + i), words));
        if (!run_none(d))
            break;
        run_store(cell + i, fresh);
        run_store(site + i, sites);
    }
    for (; i < n && run_takes(cell, site, i, s); i++) {
        __atomic_store_n(cell + i, s->cell, __ATOMIC_RELAXED);
        __atomic_store_n(site + i, s->sites, __ATOMIC_RELAXED);
    }
    return i;
}

#endif
