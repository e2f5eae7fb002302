/* What the kernels share. Each kernel is a program of its own, with main.c: PROGRAM SIZE TIMES THREADS. It has no race,
 * and checks its result, so that a tool which changes what it computes is noticed. */
#ifndef SNARL_BENCH_RACES_H
#define SNARL_BENCH_RACES_H

#include <stdbool.h>

#define MOST_THREADS 64

extern long size, times, threads;

/* By the kernel. */
void prepare(void);     /* not measured */
void part(long number); /* what each thread does, numbered from 0 */
/* What is measured. Unless the kernel has its own: the parts, in all threads. */
void run(void);
/* Ends the program when the result is wrong; returns how many elements were worked on. */
long check(void);

/* By main.c. */
void in_threads(void (*what)(long number)); /* all of them; returns when they have ended */
void require(bool right, const char *what);
void *memory(long bytes); /* or ends the program */

/* Repeatable numbers, all over 32 bits. */
static inline unsigned random_next(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed ^ *seed >> 15;
}

/* Between two passes over the same data: the compiler may not make one of them. */
#define AGAIN() __asm__ volatile("" ::: "memory")

#endif
