/* Fibers: stacks that the program switches between itself. Told of, each is a thread of its own; untold, what one of
 * them holds looks like the other one's.
 *
 * Two fibers of one thread, each with a lock of its own held across switches, given back in another order than taken.
 * @case fibers_hold hold
 * @clean
 * The same, told through the compilers' interface.
 * @case fibers_hold_tsan hold tsan
 * @clean
 * Both fibers want the same lock and one of them has it: for one thread that would be a relock. The lock yields.
 * @case fibers_yield yield
 * @clean
 * @case fibers_yield_tsan yield tsan
 * @clean
 * @case fibers_yield_untold yield untold
 * @finding lock-misuse:relock verdict=observed locks=shared
 * @strikes
 * @output begin\n
 *
 * A fiber takes a lock in one thread and gives it back in another.
 * @case fibers_move move
 * @clean
 * @case fibers_move_tsan move tsan
 * @clean
 * @case fibers_move_untold move untold
 * @finding lock-misuse:unlock-not-owner locks=shared
 * @finding lock-misuse:lock-left-at-thread-exit locks=shared min=0
 *
 * Opposite orders in two fibers.
 * @case fibers_inversion inversion
 * @finding lock-order locks=a,b side=fiber_one side=fiber_two
 * @case fibers_inversion_tsan inversion tsan
 * @finding lock-order locks=a,b side=fiber_one side=fiber_two
 *
 * @case fibers_destroyed_holding destroyed_holding
 * @finding lock-misuse:lock-left-at-thread-exit locks=shared side=fiber_takes
 *
 * Many, one after the other and at once; their states are used again.
 * @case fibers_many many
 * @clean
 * A fork inside a fiber; the child goes on with it alone.
 * @case fibers_fork fork
 * @clean
 * Handles that are none, a thread that ends inside of a fiber, a fiber's handle after its end.
 * @case fibers_wrong_handles wrong
 * @clean
 */
#include "case.h"

#include <snarl/snarl.h>
#include <ucontext.h>

extern void *__tsan_get_current_fiber(void) __attribute__((weak));
extern void *__tsan_create_fiber(unsigned flags) __attribute__((weak));
extern void __tsan_destroy_fiber(void *fiber) __attribute__((weak));
extern void __tsan_switch_to_fiber(void *fiber, unsigned flags) __attribute__((weak));

static enum { SNARL, TSAN, UNTOLD } interface;

struct fiber {
    ucontext_t context;
    void *handle;
    char *stack;
};
#define STACK 65536u

static void *told_create(char *stack)
{
    if (interface == TSAN)
        return __tsan_create_fiber ? __tsan_create_fiber(0) : NULL;
    return interface == SNARL ? snarl_fiber_create(stack, STACK) : NULL;
}

static void *told_current(void)
{
    if (interface == TSAN)
        return __tsan_get_current_fiber ? __tsan_get_current_fiber() : NULL;
    return interface == SNARL ? snarl_fiber_current() : NULL;
}

static void fiber_make(struct fiber *f, void (*function)(void))
{
    f->stack = malloc(STACK);
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = NULL;
    makecontext(&f->context, function, 0);
    f->handle = told_create(f->stack);
}

static void go(struct fiber *from, struct fiber *to)
{
    if (interface == SNARL)
        snarl_fiber_switch(to->handle, 0);
    else if (interface == TSAN && __tsan_switch_to_fiber)
        __tsan_switch_to_fiber(to->handle, 0);
    swapcontext(&from->context, &to->context);
}

static void fiber_end(struct fiber *f)
{
    if (interface == SNARL)
        snarl_fiber_destroy(f->handle);
    else if (interface == TSAN && __tsan_destroy_fiber)
        __tsan_destroy_fiber(f->handle);
    free(f->stack);
}

/* A lock of the program's own, to be given back by any thread; whoever does not get it lets another fiber run. */
static int shared, a, b;

static int try_take(int *l)
{
    return __atomic_exchange_n(l, 1, __ATOMIC_ACQUIRE) == 0;
}

static void take(int *l)
{
    snarl_lock_acquiring(l, SNARL_EXCLUSIVE);
    CHECK(try_take(l));
    snarl_lock_acquired(l, SNARL_EXCLUSIVE);
}

static void give(int *l)
{
    snarl_lock_released(l);
    __atomic_store_n(l, 0, __ATOMIC_RELEASE);
}

static struct fiber home, first, second;

/* ---- hold ---- */

static pthread_mutex_t m1 = PTHREAD_MUTEX_INITIALIZER, m2 = PTHREAD_MUTEX_INITIALIZER;

static void holds_first(void)
{
    lock(&m1);
    take(&a);
    go(&first, &second);
    unlock(&m1);
    give(&a);
    go(&first, &second);
}

static void holds_second(void)
{
    take(&b);
    lock(&m2);
    go(&second, &first);
    give(&b);
    unlock(&m2);
    go(&second, &home);
}

static void hold(void)
{
    for (int i = 0; i < 3; i++) {
        fiber_make(&first, holds_first);
        fiber_make(&second, holds_second);
        go(&home, &first);
        fiber_end(&first);
        fiber_end(&second);
    }
}

/* ---- yield ---- */

static NOINLINE void keeps(void)
{
    take(&shared);
    go(&first, &second);
    give(&shared);
    go(&first, &second);
}

static NOINLINE void waits(void)
{
    snarl_lock_acquiring(&shared, SNARL_EXCLUSIVE);
    while (!try_take(&shared))
        go(&second, &first);
    snarl_lock_acquired(&shared, SNARL_EXCLUSIVE);
    give(&shared);
    go(&second, &home);
}

static void *idle(void *unused)
{
    step_wait(1);
    return unused;
}

static void yield(void)
{
    pthread_t t = start(idle, NULL);
    fiber_make(&first, keeps);
    fiber_make(&second, waits);
    go(&home, &first);
    fiber_end(&first);
    fiber_end(&second);
    step_done(1);
    join(t);
}

/* ---- move ---- */

static struct fiber other_home;

static NOINLINE void moves(void)
{
    take(&shared);
    go(&first, &home);
    give(&shared);
    go(&first, &other_home);
}

static void *other_thread(void *unused)
{
    other_home.handle = told_current();
    step_wait(1);
    go(&other_home, &first);
    step_done(2);
    return unused;
}

static void move(void)
{
    pthread_t t = start(other_thread, NULL);
    fiber_make(&first, moves);
    go(&home, &first);
    step_done(1);
    step_wait(2);
    fiber_end(&first);
    join(t);
}

/* ---- inversion ---- */

static NOINLINE void fiber_one(void)
{
    take(&a);
    take(&b);
    give(&b);
    give(&a);
    go(&first, &home);
}

static NOINLINE void fiber_two(void)
{
    take(&b);
    take(&a);
    give(&a);
    give(&b);
    go(&second, &home);
}

static void inversion(void)
{
    fiber_make(&first, fiber_one);
    fiber_make(&second, fiber_two);
    go(&home, &first);
    go(&home, &second);
    fiber_end(&first);
    fiber_end(&second);
}

/* ---- life ---- */

static NOINLINE void fiber_takes(void)
{
    take(&shared);
    go(&first, &home);
}

static void destroyed_holding(void)
{
    fiber_make(&first, fiber_takes);
    go(&home, &first);
    fiber_end(&first);
}

static NOINLINE void takes_and_gives(void)
{
    struct fiber *me = &first;
    lock(&m1);
    unlock(&m1);
    go(me, &home);
}

#define MANY 5000
static void many(void)
{
    static void *handles[MANY];
    for (int i = 0; i < 300; i++) {
        fiber_make(&first, takes_and_gives);
        go(&home, &first);
        fiber_end(&first);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++)
            handles[i] = told_create(NULL);
        for (int i = 0; i < MANY; i++) {
            snarl_fiber_switch(handles[i], SNARL_UNORDERED);
            lock(&m1);
            unlock(&m1);
        }
        snarl_fiber_switch(home.handle, 0);
        for (int i = 0; i < MANY; i++)
            snarl_fiber_destroy(handles[i]);
    }
}

static NOINLINE void forks(void)
{
    lock(&m1);
    pid_t child = fork();
    unlock(&m1);
    if (child == 0) {
        lock(&m2);
        unlock(&m2);
        snarl_fiber_switch(home.handle, 0); /* the parent's: goes on unwatched */
        lock(&m2);
        unlock(&m2);
        snarl_fiber_switch(first.handle, 0);
        lock(&m1);
        unlock(&m1);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    go(&first, &home);
}

static void forked(void)
{
    fiber_make(&first, forks);
    go(&home, &first);
    fiber_end(&first);
}

static void *ends_elsewhere(void *unused)
{
    void *fiber = snarl_fiber_create(NULL, 0);
    snarl_fiber_switch(fiber, 0);
    lock(&m1);
    unlock(&m1);
    *(void **)unused = fiber;
    return NULL;
}

static void wrong(void)
{
    void *left = NULL, *gone = snarl_fiber_create(NULL, 0);
    snarl_fiber_destroy(gone);
    void *handles[] = {NULL, gone, (void *)1, (void *)-1, &home, &left};
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
        snarl_fiber_destroy(handles[i]);
        snarl_fiber_name(handles[i], "none");
        snarl_fiber_switch(handles[i], 0);
        lock(&m1);
        unlock(&m1);
        snarl_fiber_switch(home.handle, 0);
        lock(&m1);
        unlock(&m1);
    }
    snarl_fiber_destroy(home.handle);
    snarl_fiber_switch(home.handle, 0);
    join(start(ends_elsewhere, &left));
    snarl_fiber_switch(left, 0);
    lock(&m1);
    unlock(&m1);
    snarl_fiber_switch(home.handle, 0);
    snarl_fiber_destroy(left);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } shapes[] = {
        {"hold", hold},   {"yield", yield},         {"move", move},   {"many", many},
        {"fork", forked}, {"inversion", inversion}, {"wrong", wrong}, {"destroyed_holding", destroyed_holding}};
    if (argc > 2)
        interface = argv[2][0] == 't' ? TSAN : UNTOLD;
    home.handle = told_current();
    dprintf(1, "begin\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shape_is(argv, shapes[i].name))
            shapes[i].run();
    return 0;
}
