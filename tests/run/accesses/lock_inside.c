/* A lock of the program's own, told by __tsan_mutex_*: its own atomics, between pre_ and post_, order nothing.
 *
 * @case inside_lock lock
 * @clean
 * A try that fails has seen the lock's word, no more.
 * @case inside_failed_try try
 * @finding data-race memory=payload side=holds_lock side=tries
 * What is told to a waiter comes under the lock; who only signals has not told anything.
 * @case inside_signal signal
 * @finding data-race memory=payload side=signals side=looks_later
 */
#include "case.h"

extern void __tsan_mutex_create(void *, unsigned) __attribute__((weak));
extern void __tsan_mutex_pre_lock(void *, unsigned) __attribute__((weak));
extern void __tsan_mutex_post_lock(void *, unsigned, int) __attribute__((weak));
extern int __tsan_mutex_pre_unlock(void *, unsigned) __attribute__((weak));
extern void __tsan_mutex_post_unlock(void *, unsigned) __attribute__((weak));
extern void __tsan_mutex_pre_signal(void *, unsigned) __attribute__((weak));
extern void __tsan_mutex_post_signal(void *, unsigned) __attribute__((weak));
enum { TRY = 1 << 4, TRY_FAILED = 1 << 5 };

static int word, payload;
static char **words;

static int try_word(void)
{
    return !__atomic_exchange_n(&word, 1, __ATOMIC_SEQ_CST);
}

static void take(void)
{
    __tsan_mutex_pre_lock(&word, 0);
    while (!try_word())
        nap_ms(1);
    __tsan_mutex_post_lock(&word, 0, 0);
}

static int try(void)
{
    __tsan_mutex_pre_lock(&word, TRY);
    int done = try_word();
    __tsan_mutex_post_lock(&word, TRY | (done ? 0 : TRY_FAILED), 0);
    return done;
}

static void give(void)
{
    __tsan_mutex_pre_unlock(&word, 0);
    __atomic_store_n(&word, 0, __ATOMIC_SEQ_CST);
    __tsan_mutex_post_unlock(&word, 0);
}

static NOINLINE void put(void)
{
    *(volatile int *)&payload += 1;
}

static NOINLINE void *holds_lock(void *unused)
{
    take();
    put();
    give();
    take();
    step_done(1);
    step_wait(2);
    give();
    return unused;
}

static NOINLINE void *tries(void *unused)
{
    step_wait(1);
    CHECK(!try());
    put();
    step_done(2);
    return unused;
}

static NOINLINE void *adds(void *unused)
{
    take();
    put();
    give();
    return unused;
}

static NOINLINE void *signals(void *unused)
{
    put();
    __tsan_mutex_pre_signal(&word, 0);
    __atomic_fetch_add(&word, 0, __ATOMIC_SEQ_CST);
    __tsan_mutex_post_signal(&word, 0);
    step_done(1);
    return unused;
}

static NOINLINE void *looks_later(void *unused)
{
    step_wait(1);
    take();
    give();
    put();
    return unused;
}

int main(int argc, char **argv)
{
    (void)argc;
    words = argv;
    if (!__tsan_mutex_create)
        return 0;
    __tsan_mutex_create(&word, 0);
    int tried = shape_is(words, "try"), signalled = shape_is(words, "signal");
    pthread_t a = start(tried ? holds_lock : signalled ? signals : adds, NULL);
    pthread_t b = start(tried ? tries : signalled ? looks_later : adds, NULL);
    join(a);
    join(b);
    return 0;
}
