/* Runs one kernel and prints "ns per element" and the peak resident memory in kB. hooks.c, when it is linked in, counts
 * the calls of hooks in between. */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

long size, times, threads;
void hooks_count(bool on) __attribute__((weak));
void hooks_print(long elements) __attribute__((weak));

struct part {
    void (*run)(long);
    long number;
};

void require(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "wrong: %s\n", what);
    exit(1);
}

void *memory(long bytes)
{
    void *p = malloc((size_t)bytes);
    require(p, "no memory");
    return p;
}

static void *start(void *arg)
{
    struct part *part = arg;
    part->run(part->number);
    return NULL;
}

void in_threads(void (*what)(long))
{
    pthread_t id[MOST_THREADS];
    struct part parts[MOST_THREADS];
    for (long i = 0; i < threads; i++) {
        parts[i] = (struct part){what, i};
        require(!pthread_create(&id[i], NULL, start, &parts[i]), "no thread");
    }
    for (long i = 0; i < threads; i++)
        pthread_join(id[i], NULL);
}

__attribute__((weak)) void run(void)
{
    in_threads(part);
}

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static long resident_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "VmHWM:", 6))
            kb = atol(line + 6);
    if (f)
        fclose(f);
    return kb;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 64;
    size = atol(argv[1]);
    times = atol(argv[2]);
    threads = atol(argv[3]);
    if (size < 1 || times < 1 || threads < 1 || threads > MOST_THREADS)
        return 64;
    prepare();
    if (hooks_count)
        hooks_count(true);
    double begin = now_ns();
    run();
    double ns = now_ns() - begin;
    if (hooks_count)
        hooks_count(false);
    long kb = resident_kb(), elements = check();
    if (hooks_print)
        hooks_print(elements);
    printf("%.4f %ld\n", ns / (double)elements, kb);
    return 0;
}
