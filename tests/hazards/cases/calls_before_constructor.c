/* Calls before our constructor has run and after the program's own end: the program's earliest and latest code takes
 * locks.
 *
 * @case calls_before_our_constructor x
 * @clean
 * What happens in a constructor is seen all the same, since ours runs before all others.
 * @case our_constructor_after_others order
 * @finding lock-order locks=a,b side=in_constructor
 * @link hazard-early
 */
#include "case.h"

extern int early_calls(void);

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t s;
static int before;

static void inner(void) {}

static void everything(void)
{
    lock(&a);
    lock(&b);
    unlock(&b);
    unlock(&a);
    pthread_once(&once, inner);
    sem_init(&s, 0, 1);
    sem_wait(&s);
    sem_post(&s);
    free(malloc(1000));
    before++;
}

static void preinit(int argc, char **argv, char **env)
{
    (void)argc, (void)argv, (void)env;
    everything();
}
__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **, char **) = preinit;

static int wants_order, constructor_thread_done;

NOINLINE static void *in_constructor(void *arg)
{
    lock(&b);
    lock(&a);
    unlock(&a);
    unlock(&b);
    word_set(&constructor_thread_done, 1);
    return arg;
}

__attribute__((constructor(101))) static void first_constructor(int argc, char **argv)
{
    everything();
    wants_order = argc > 1 && !strcmp(argv[1], "order");
    if (wants_order) {
        pthread_t t = start(in_constructor, NULL);
        pthread_detach(t);
    }
}

NOINLINE static void later(void)
{
    everything();
}

static void at_the_end(void)
{
    everything();
}

__attribute__((destructor)) static void last_destructor(void)
{
    everything();
    dprintf(1, "last\n");
}

static void *after_detach(void *arg)
{
    later();
    step_done(1);
    return arg;
}

int main(void)
{
    atexit(at_the_end);
    CHECK(before >= 2 && early_calls() >= 1);
    if (wants_order) {
        word_wait(&constructor_thread_done, 1);
        start(after_detach, NULL);
        step_wait(1);
    }
    return 0;
}
