/* Calibrates the time stamp counter. Called when a run is made that measures times. Takes no lock; does not allocate. */
#include "base/ticks.h"

#include <cpuid.h>

#define CALIBRATION_NS 500000u
#define TRIES 5

struct moment {
    u64 ticks, ns;
};

/* Whether it runs at one rate in all states of the processor; hypervisors say no where a guest may move to another machine. */
static bool is_invariant(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & 1u << 8);
}

/* Both clocks at the same moment: of several readings the one with the least time between. */
static struct moment read_both(void)
{
    struct moment best = {0, 0};
    u64 shortest = ~0ULL;
    for (int i = 0; i < TRIES; i++) {
        u64 before = __rdtsc(), ns = sys_now(), after = __rdtsc();
        if (after - before < shortest) {
            shortest = after - before;
            best = (struct moment){before + shortest / 2, ns};
        }
    }
    return best;
}

u64 ticks_calibrate(void)
{
    if (!is_invariant())
        return 0;
    struct moment begin = read_both(), end;
    while (sys_now() - begin.ns < CALIBRATION_NS)
        _mm_pause();
    end = read_both();
    u64 ticks = end.ticks - begin.ticks, ns = end.ns - begin.ns;
    /* Of 100 MHz to 20 GHz, or something is wrong with it. */
    if (end.ticks <= begin.ticks || ns > ticks * 10 || ticks > ns * 20)
        return 0;
    return (u64)(((u128)ns << 32) / ticks);
}
