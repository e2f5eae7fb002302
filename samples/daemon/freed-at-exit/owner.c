/* A daemon thread and the memory of others, fixed: the daemon owns what it uses, and nobody else frees it.
 *
 * The section teaches: a thread that nobody waits for needs data that nobody takes away. `main` makes the settings,
 * hands them over at the start, and never touches them again.
 *
 * What to look for: the thread beats until the program ends, and `main` frees nothing of it. snarl has nothing to
 * report: the start of a thread orders what was written before it.
 *
 * Usage: owner */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    unsigned microseconds;
};
static atomic_int beats;

static void *beat(void *own_settings)
{
    struct settings *settings = own_settings;

    for (;;) {
        usleep(settings->microseconds);
        atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed);
    }
    return NULL;
}

static void work(void)
{
    while (atomic_load_explicit(&beats, memory_order_relaxed) < 3)
        sched_yield();
}

static void start_daemon(unsigned microseconds)
{
    struct settings *settings = malloc(sizeof *settings);
    pthread_t thread;

    settings->microseconds = microseconds;
    pthread_create(&thread, NULL, beat, settings);
    pthread_detach(thread);
}

int main(void)
{
    start_daemon(1000);
    work();
    puts("main: done");
    return 0;
}
