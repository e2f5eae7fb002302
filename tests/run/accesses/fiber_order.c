/* Accesses of fibers: a switch hands over, unless it is told that it does not.
 *
 * @case switch_orders ordered
 * @clean
 * @case switch_unordered unordered
 * @finding data-race memory=payload side=first_fiber side=second_fiber
 * @case switch_orders_tsan tsan
 * @clean
 *
 * A fiber goes on in another thread: what it has done is still its own.
 * @case fiber_moves moves
 * @clean
 * Two fibers of two threads, with nothing between them.
 * @case fibers_apart apart
 * @finding data-race memory=payload side=first_fiber side=apart_fiber
 * What the maker did comes before what the fiber does.
 * @case fiber_made made
 * @clean
 * The stack of a fiber that has ended serves another one, in another thread.
 * @case fiber_stack_again stack_again
 * @clean
 */
#include "case.h"

#include <snarl/snarl.h>
#include <ucontext.h>

extern void *__tsan_get_current_fiber(void) __attribute__((weak));
extern void *__tsan_create_fiber(unsigned flags) __attribute__((weak));
extern void __tsan_destroy_fiber(void *fiber) __attribute__((weak));
extern void __tsan_switch_to_fiber(void *fiber, unsigned flags) __attribute__((weak));

#define STACK 65536u
struct fiber {
    ucontext_t context;
    void *handle;
};
static struct fiber home[2], first, second;
static char stacks[2][STACK] __attribute__((aligned(16)));
static int payload, unordered, tsan;

static void *current(void)
{
    return tsan ? __tsan_get_current_fiber() : snarl_fiber_current();
}

static void make(struct fiber *f, char *stack, void (*function)(void))
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = NULL;
    makecontext(&f->context, function, 0);
    f->handle = tsan ? __tsan_create_fiber(0) : snarl_fiber_create(stack, STACK);
}

static void end(struct fiber *f)
{
    if (tsan)
        __tsan_destroy_fiber(f->handle);
    else
        snarl_fiber_destroy(f->handle);
}

static void go(struct fiber *from, struct fiber *to)
{
    if (tsan)
        __tsan_switch_to_fiber(to->handle, unordered);
    else
        snarl_fiber_switch(to->handle, unordered ? SNARL_UNORDERED : 0);
    swapcontext(&from->context, &to->context);
}

static NOINLINE void put(void)
{
    payload++;
}

static NOINLINE void first_fiber(void)
{
    put();
    go(&first, &home[0]);
}

static NOINLINE void second_fiber(void)
{
    put();
    go(&second, &home[0]);
}

/* ---- one thread ---- */

static void one_thread(void)
{
    make(&first, stacks[0], first_fiber);
    make(&second, stacks[1], second_fiber);
    go(&home[0], &first);
    go(&home[0], &second);
    end(&first);
    end(&second);
}

static void made(void)
{
    put();
    unordered = 1;
    make(&first, stacks[0], first_fiber);
    go(&home[0], &first);
    end(&first);
}

/* ---- two threads ---- */

static NOINLINE void moving_fiber(void)
{
    int mine = 1;
    int *volatile escapes = &mine;
    *escapes += 1;
    put();
    go(&first, &home[0]);
    *escapes += 1;
    put();
    go(&first, &home[1]);
}

static NOINLINE void use_stack(void)
{
    volatile int on_stack[64];
    int *volatile escapes = (int *)on_stack;
    for (int i = 0; i < 64; i++)
        escapes[i] = i;
}

static NOINLINE void first_user(void)
{
    use_stack();
    go(&first, &home[0]);
}

static NOINLINE void second_user(void)
{
    use_stack();
    go(&second, &home[1]);
}

static NOINLINE void apart_fiber(void)
{
    put();
    go(&second, &home[1]);
}

static void *other_thread(void *shape)
{
    home[1].handle = current();
    step_wait(1);
    if (!strcmp(shape, "moves")) {
        snarl_happens_after(&first); /* of the handle */
        go(&home[1], &first);
    } else if (!strcmp(shape, "apart")) {
        make(&second, stacks[1], apart_fiber);
        go(&home[1], &second);
        end(&second);
    } else {
        make(&second, stacks[0], second_user);
        go(&home[1], &second);
        end(&second);
    }
    step_done(2);
    return NULL;
}

static void two_threads(char *shape)
{
    pthread_t t = start(other_thread, shape);
    make(&first, stacks[0],
         !strcmp(shape, "moves")   ? moving_fiber
         : !strcmp(shape, "apart") ? first_fiber
                                   : first_user);
    go(&home[0], &first);
    if (strcmp(shape, "moves") != 0)
        end(&first);
    snarl_happens_before(&first);
    step_done(1);
    step_wait(2);
    if (!strcmp(shape, "moves"))
        end(&first);
    join(t);
}

int main(int argc, char **argv)
{
    (void)argc;
    unordered = shape_is(argv, "unordered");
    tsan = shape_is(argv, "tsan") && __tsan_create_fiber;
    home[0].handle = current();
    if (shape_is(argv, "made"))
        made();
    else if (shape_is(argv, "ordered") || unordered || shape_is(argv, "tsan"))
        one_thread();
    else
        two_threads(argv[1]);
    return 0;
}
