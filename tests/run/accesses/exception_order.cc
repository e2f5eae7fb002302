/* An exception object that threads share: its users are counted in the library, the last one destroys it.
 *
 * @case exception_copies copies
 * @clean
 * Thrown again in each thread; the last to leave its handler may be the last user.
 * @case exception_again again
 * @clean
 * Two threads write to it: nothing of that is ordered.
 * @case exception_written written
 * @finding data-race side=writes
 * What somebody writes after it has let go of the object is not ordered by that.
 * @case exception_later later
 * @finding data-race memory=beside side=lets_go side=lets_go_first
 */
#include "case.h"

#include <exception>

struct thing {
    int words[16];
    thing()
    {
        for (int &w : words)
            w = 1;
    }
    thing(const thing &) = default;
    ~thing()
    {
        for (volatile int &w : words)
            w = 0;
    }
};
static std::exception_ptr shared[2];
static int beside;
static char **words;

static NOINLINE void writes(thing &t)
{
    *(volatile int *)&t.words[0] += 1;
}

static void *uses(void *arg)
{
    auto *mine = static_cast<std::exception_ptr *>(arg);
    try {
        std::exception_ptr copy = *mine;
        meet(1, 2);
        std::rethrow_exception(copy);
    } catch (thing &t) {
        CHECK(*(volatile int *)&t.words[3] == 1);
        if (shape_is(words, "written")) {
            meet(2, 2);
            writes(t);
            meet(3, 2);
        }
        if (!shape_is(words, "copies"))
            *mine = nullptr;
    }
    *mine = nullptr;
    return nullptr;
}

static NOINLINE void *lets_go_first(void *arg)
{
    *static_cast<std::exception_ptr *>(arg) = nullptr;
    *(volatile int *)&beside = 1;
    step_done(1);
    return nullptr;
}

static NOINLINE void *lets_go(void *arg)
{
    step_wait(1);
    *static_cast<std::exception_ptr *>(arg) = nullptr;
    *(volatile int *)&beside = 2;
    return nullptr;
}

int main(int, char **argv)
{
    words = argv;
    try {
        throw thing();
    } catch (...) {
        shared[0] = shared[1] = std::current_exception();
    }
    bool later = shape_is(argv, "later");
    pthread_t a = start(later ? lets_go_first : uses, &shared[0]), b = start(later ? lets_go : uses, &shared[1]);
    join(a);
    join(b);
    return 0;
}
