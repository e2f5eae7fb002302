/* In the place of a race detector's library: counts the calls that gcc's or clang's instrumentation makes while the
 * kernel's measured part runs. For `run.py --hooks`. Has what the kernels need, no more. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum what { ACCESS, ATOMIC, RANGE, FUNCTION, WHATS };
static unsigned long counts[WHATS];
static bool counting;

void hooks_count(bool on);
void hooks_print(long elements);

void hooks_count(bool on)
{
    counting = on;
}

void hooks_print(long elements)
{
    fprintf(stderr, "hooks");
    for (int i = 0; i < WHATS; i++)
        fprintf(stderr, " %.4f", (double)counts[i] / (double)elements);
    fprintf(stderr, "\n");
}

static void count(enum what what)
{
    if (counting)
        __atomic_fetch_add(&counts[what], 1, __ATOMIC_RELAXED);
}

#define HOOK(name, what)                                                                                               \
    void name(void *p);                                                                                                \
    void name(void *p)                                                                                                 \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        count(what);                                                                                                   \
    }
#define HOOKS(size)                                                                                                    \
    HOOK(__tsan_read##size, ACCESS)                                                                                    \
    HOOK(__tsan_write##size, ACCESS)                                                                                   \
    HOOK(__tsan_unaligned_read##size, ACCESS)                                                                          \
    HOOK(__tsan_unaligned_write##size, ACCESS)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
HOOK(__tsan_read_range, RANGE)
HOOK(__tsan_write_range, RANGE)
HOOK(__tsan_func_entry, FUNCTION)
HOOK(__tsan_func_exit, FUNCTION)

void __tsan_init(void);
void __tsan_init(void) {}

long __tsan_atomic64_load(const long *p, int order);
long __tsan_atomic64_load(const long *p, int order)
{
    (void)order;
    count(ATOMIC);
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

void __tsan_atomic64_store(long *p, long value, int order);
void __tsan_atomic64_store(long *p, long value, int order)
{
    (void)order;
    count(ATOMIC);
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}

void *__tsan_memcpy(void *to, const void *from, unsigned long size);
void *__tsan_memcpy(void *to, const void *from, unsigned long size)
{
    count(RANGE);
    return memcpy(to, from, size);
}

void *__tsan_memset(void *to, int byte, unsigned long size);
void *__tsan_memset(void *to, int byte, unsigned long size)
{
    count(RANGE);
    return memset(to, byte, size);
}
