/* Function-local statics: their guard orders what the initialiser has done before every later passage, by
 * __cxa_guard_acquire or by the look at the guard that compilers put before it.
 *
 * @case guard_orders passes
 * @clean
 * What the initialiser has written elsewhere is known, too, to who passes; not to who does not.
 * @case guard_not_passed beside
 * @finding data-race memory=beside side=make side=uses
 * What is done after the initialisation is not ordered by the guard.
 * @case guard_later later
 * @finding data-race memory=beside side=first side=uses
 * Many at a time.
 * @case guard_crowd crowd
 * @clean
 */
#include "case.h"

static int beside;
static char **words;

static NOINLINE int make()
{
    beside = 1;
    return 41;
}

static NOINLINE int *passes()
{
    static int *it = new int(make());
    return it;
}

static NOINLINE int uses()
{
    return *(volatile int *)&beside;
}

static void *first(void *unused)
{
    passes();
    if (shape_is(words, "later"))
        *(volatile int *)&beside = 2;
    step_done(1);
    step_wait(2);
    return unused;
}

static void *second(void *unused)
{
    step_wait(1);
    if (!shape_is(words, "beside"))
        CHECK(*passes() == 41);
    uses();
    step_done(2);
    return unused;
}

static void *one_of_many(void *unused)
{
    meet(2, 8);
    CHECK(*passes() == 41);
    uses();
    return unused;
}

int main(int, char **argv)
{
    words = argv;
    if (shape_is(argv, "crowd")) {
        pthread_t all[8];
        for (auto &t : all)
            t = start(one_of_many, nullptr);
        for (auto t : all)
            join(t);
        return 0;
    }
    pthread_t a = start(first, nullptr), b = start(second, nullptr);
    join(a);
    join(b);
    return 0;
}
