/* What the C++ library does for its callers without their knowing: a table that it fills without order, results that it
 * makes ready at a thread's exit.
 *
 * @case library_narrow narrow
 * @clean
 * The program's own table, filled in the same way.
 * @case library_own_table table
 * @finding data-race memory=table[] side=fills max=32
 * What a thread has done is known to who waits for its result, also what it did after setting that.
 * @case library_at_exit promise
 * @clean
 * @case library_at_exit_task task
 * @clean
 * @case library_at_exit_not_awaited promise early
 * @finding data-race memory=data side=works side=looks
 */
#include "case.h"

#include <future>
#include <locale>
#include <thread>

static char **words;
static int data;
static char table[256];

static bool said(const char *word)
{
    for (int i = 1; words[i]; i++)
        if (!strcmp(words[i], word))
            return true;
    return false;
}

static NOINLINE void fills()
{
    const auto &facet = std::use_facet<std::ctype<char>>(std::locale::classic());
    for (int c = 'a'; c < 'a' + 8; c++) {
        if (said("narrow"))
            CHECK(facet.narrow(facet.widen(static_cast<char>(c)), '?') == c);
        else if (!*(volatile char *)&table[c])
            *(volatile char *)&table[c] = static_cast<char>(c);
    }
}

static void *filler(void *unused)
{
    meet(1, 2);
    fills();
    return unused;
}

static NOINLINE void works(int by)
{
    *(volatile int *)&data += by;
}

static NOINLINE void looks(int expected)
{
    CHECK(*(volatile int *)&data == expected);
}

static void sets(std::promise<int> &promise)
{
    works(1);
    promise.set_value_at_thread_exit(1);
    works(1);
    step_done(1);
}

int main(int, char **argv)
{
    words = argv;
    if (said("narrow") || said("table")) {
        pthread_t a = start(filler, nullptr), b = start(filler, nullptr);
        join(a);
        join(b);
        return 0;
    }
    std::promise<int> promise;
    std::packaged_task<void()> task([] { works(1); });
    auto result = promise.get_future();
    auto done = task.get_future();
    std::thread thread([&] {
        if (said("task")) {
            task.make_ready_at_thread_exit();
            works(1);
        } else {
            sets(promise);
        }
    });
    if (said("early"))
        step_wait(1);
    else if (said("task"))
        done.wait();
    else
        CHECK(result.get() == 1);
    looks(2);
    thread.join();
    return 0;
}
