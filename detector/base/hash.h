/* Integer mixing and byte hashing. Pure functions; used for tables, never for security.
 * mix64 is the finaliser of MurmurHash3 (Appleby, public domain constants); bytes use FNV-1a. */
#ifndef SNARL_BASE_HASH_H
#define SNARL_BASE_HASH_H

#include "types.h"

static inline u64 hash_mix64(u64 x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

/* Order matters: combine(a, b) != combine(b, a). */
static inline u64 hash_combine(u64 a, u64 b)
{
    return hash_mix64(a * 0x9e3779b97f4a7c15ULL + b);
}

static inline u64 hash_bytes(const void *data, size_t n, u64 seed)
{
    const u8 *p = data;
    u64 h = 0xcbf29ce484222325ULL ^ seed;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3ULL;
    return h;
}

#endif
