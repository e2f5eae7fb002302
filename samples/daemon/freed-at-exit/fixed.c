/* A daemon thread and the memory of others, fixed: `main` tells the thread to stop, and joins it before it frees.
 *
 * The section teaches: a thread that uses what somebody else frees is no daemon. It gets a flag that tells it to stop,
 * and is joined; the join orders its last read before the `free`.
 *
 * What to look for: the thread ends by itself, and then the memory is freed. snarl has nothing to report.
 *
 * Usage: fixed */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    unsigned microseconds;
};
static struct settings *settings;
static atomic_int beats;
static atomic_bool stop;

static void *beat(void *unused)
{
    while (!atomic_load(&stop)) {
        usleep(settings->microseconds);
        atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed);
    }
    return unused;
}

static void work(void)
{
    while (atomic_load_explicit(&beats, memory_order_relaxed) < 3)
        sched_yield();
}

int main(void)
{
    pthread_t thread;

    settings = malloc(sizeof *settings);
    settings->microseconds = 1000;
    pthread_create(&thread, NULL, beat, NULL);
    work();
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    free(settings);
    puts("main: done");
    return 0;
}
