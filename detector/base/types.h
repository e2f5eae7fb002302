/* Short integer names and compiler helpers used all over the detector.
 * No dependency, safe inside any program. */
#ifndef SNARL_BASE_TYPES_H
#define SNARL_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* A place in the run's arena: byte offset / 16, so that 32 bits reach 64 GiB. 0 is "none". The same in every process of
 * the run. */
typedef u32 ref_t;

#define snarl_likely(x) __builtin_expect(!!(x), 1)
#define snarl_unlikely(x) __builtin_expect(!!(x), 0)
#define SNARL_COLD __attribute__((noinline, cold))
#define SNARL_HOT inline __attribute__((always_inline))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
