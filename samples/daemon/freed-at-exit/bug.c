/* A daemon thread and the memory of others: `main` frees what the thread still uses.
 *
 * The section teaches: a detached thread lives until the program ends. It does not know that `main` is tidying up, and
 * `main` does not know what the thread is doing just now.
 *
 * What goes wrong: the thread beats to the tempo of `settings`; `main` frees them before it returns. The next beat
 * reads memory that belongs to nobody, or to somebody else.
 *
 * What to look for: it nearly always ends well, because the program ends too. `snarl run` reports the data race of the
 * `free` in `main` and the read in the thread: nothing orders them.
 *
 * Usage: bug */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    unsigned microseconds;
};
static struct settings *settings;
static atomic_int beats;

static void *beat(void *unused)
{
    for (;;) {
        usleep(settings->microseconds);
        atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed);
    }
    return unused;
}

/* A relaxed counter tells that the thread has begun, and orders nothing else. */
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
    pthread_detach(thread);
    work();
    free(settings);
    puts("main: done");
    return 0;
}
