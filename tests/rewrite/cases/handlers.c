/* Handlers that interrupt checks at every place, and make checked accesses themselves: single-threaded, so clean, and the
 * sum tells whether registers have kept their values. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

static volatile long ticks;
static unsigned table[1024];
static unsigned char bytes[4096];

static void on_tick(int sig)
{
    (void)sig;
    ticks++;
    for (int i = 0; i < 64; i++)
        bytes[i * 61 % 4096] ^= 1;
    for (int i = 0; i < 64; i++)
        bytes[i * 61 % 4096] ^= 1;
}

static unsigned mix(unsigned h, int round)
{
    for (int i = 0; i < 4096; i++) {
        h = (h ^ bytes[i]) * 16777619u + (unsigned)round;
        table[h % 1024] += h >> 3;
        __atomic_fetch_add(&table[(h >> 10) % 1024], 1, __ATOMIC_SEQ_CST);
    }
    return h;
}

int main(void)
{
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    unsigned h[2] = {2166136261u, 2166136261u}, sum[2] = {0, 0};
    for (int i = 0; i < 4096; i++)
        bytes[i] = (unsigned char)(i * 7);
    signal(SIGALRM, on_tick);
    for (int turn = 0; turn < 2; turn++) {
        memset(table, 0, sizeof table);
        setitimer(ITIMER_REAL, turn ? &never : &often, NULL);
        for (int round = 0; round < 100; round++)
            h[turn] = mix(h[turn], round);
        setitimer(ITIMER_REAL, &never, NULL);
        for (int i = 0; i < 1024; i++)
            sum[turn] = sum[turn] * 31 + table[i];
    }
    puts(h[0] == h[1] && sum[0] == sum[1] && ticks ? "same" : "different");
}
