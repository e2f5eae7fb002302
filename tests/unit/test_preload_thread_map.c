/* preload/thread_map.c against a plain array. */
#include "thread_map.h"

#include <stdlib.h>

#include "unit.h"

static void set_get_drop(void)
{
    CU_ASSERT_EQUAL(thread_map_get(0x7000), 0);
    thread_map_set(0x7000, 5);
    CU_ASSERT_EQUAL(thread_map_get(0x7000), 5);
    thread_map_drop(0x7000, 5);
    CU_ASSERT_EQUAL(thread_map_get(0x7000), 0);
}

/* The C library has given the value to a new thread before the old one's entry was dropped. */
static void reused_value_stays(void)
{
    thread_map_set(0x7000, 5);
    thread_map_set(0x7000, 6);
    thread_map_drop(0x7000, 5);
    CU_ASSERT_EQUAL(thread_map_get(0x7000), 6);
    thread_map_drop(0x7000, 6);
}

static void oracle(void)
{
    enum { KEYS = 3000, STEPS = 200000 };
    static ref_t expected[KEYS];
    u64 x = 88172645463325252ULL;
    bool right = true;
    for (int i = 0; i < STEPS; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        u32 k = (u32)(x % KEYS);
        pthread_t id = 0x7f0000000000 + (pthread_t)k * 8392704;
        if (x >> 40 & 1) {
            expected[k] = (ref_t)(x >> 41 & 0xfffff) + 1;
            thread_map_set(id, expected[k]);
        } else {
            thread_map_drop(id, expected[k]);
            expected[k] = 0;
        }
        k = (u32)(x >> 20) % KEYS;
        right &= thread_map_get(0x7f0000000000 + (pthread_t)k * 8392704) == expected[k];
    }
    CU_ASSERT(right);
}

UNIT_TESTS("thread map", {"set_get_drop", set_get_drop}, {"reused_value_stays", reused_value_stays}, {"oracle", oracle})
