/* One bug that strikes or not, as told: its id is the same (command_test.py compares them).
 *
 * @case same_id_not_striking quiet
 * @finding lock-order locks=a,b side=one side=two
 * @case same_id_striking strike
 * @finding deadlock verdict=observed locks=a,b side=one side=two
 * @strikes
 *
 * Results live outside the process: whatever ends it, they are there.
 * @case survives_kill kill
 * @finding lock-order locks=a,b side=one side=two
 * @exit 137
 * @case survives_exit_now exit_now
 * @finding lock-order locks=a,b side=one side=two
 * @exit 5
 * @case survives_abort abort
 * @finding lock-order locks=a,b side=one side=two
 * @exit 134
 * @case survives_crash crash
 * @finding lock-order locks=a,b side=one side=two
 * @exit 139
 * @case survives_exec exec
 * @finding lock-order locks=a,b side=one side=two
 * @exit 0
 * @case survives_quick_exit quick_exit
 * @finding lock-order locks=a,b side=one side=two
 * @exit 6
 */
#include "case.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static int strikes;

NOINLINE static void first_then_second(pthread_mutex_t *first, pthread_mutex_t *second)
{
    lock(first);
    if (strikes)
        meet(0, 2);
    lock(second);
    unlock(second);
    unlock(first);
}

static void *one(void *arg)
{
    first_then_second(&a, &b);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    if (!strikes)
        step_wait(1);
    first_then_second(&b, &a);
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    strikes = shape_is(argv, "strike");
    pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
    join(t1);
    join(t2);
    if (shape_is(argv, "kill"))
        kill(getpid(), SIGKILL);
    if (shape_is(argv, "exit_now"))
        _exit(5);
    if (shape_is(argv, "abort"))
        abort();
    if (shape_is(argv, "crash"))
        *(volatile int *)8 = 1;
    if (shape_is(argv, "exec"))
        execl("/bin/true", "true", (char *)NULL);
    if (shape_is(argv, "quick_exit"))
        quick_exit(6);
    if (shape_is(argv, "wait"))
        for (;;)
            pause();
    return 0;
}
