/* What the C++ library locks arrives through pthread: all of its mutexes, guards and helpers.
 *
 * @case cxx_mutex_abba mutex
 * @finding lock-order locks=a,b side=one side=two
 * @case cxx_mutex_same_order same
 * @clean
 * scoped_lock and std::lock take several without an order, by trying.
 * @case cxx_scoped_lock scoped
 * @clean
 * @case cxx_std_lock std_lock
 * @clean
 * @case cxx_shared_mutex shared_exclusive
 * @finding lock-order locks=sa,sb side=one side=two
 * @case cxx_shared_mutex_readers shared_readers
 * @clean
 * @case cxx_shared_timed_mutex shared_timed
 * @finding lock-order locks=sta,stb side=one side=two
 * @case cxx_recursive_mutex recursive
 * @finding lock-order locks=ra,rb side=one side=two
 * @case cxx_recursive_alone recursive_alone
 * @clean
 * @case cxx_timed_mutex timed
 * @finding lock-order locks=ta,tb side=one side=two
 * @case cxx_unique_lock_moved unique
 * @finding lock-order locks=a,b side=one side=two
 * @case cxx_condition_variable condition
 * @clean
 * @case cxx_condition_variable_any condition_any
 * @clean
 * @case cxx_wait_for wait_for
 * @clean
 * @case cxx_async async
 * @clean
 * @case cxx_call_once call_once
 * @clean
 * A function's static object is guarded; its constructor takes m, and nobody calls the function with m held.
 * @case cxx_static_guard guard
 * @clean
 * A lock inside a deleted object ends with it, though no destructor of std::mutex tells.
 * @case cxx_deleted_object deleted
 * @clean
 * @case cxx_member members
 * @finding lock-order locks=account.guard side=one side=two
 * @case cxx_exception exception
 * @clean
 * @case cxx_exception_order exception_order
 * @finding lock-order locks=a,b side=one side=two
 */
#include "case.h"
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct account {
    long balance = 0;
    std::mutex guard;
};

static std::mutex a, b, m;
static std::recursive_mutex ra, rb;
static std::timed_mutex ta, tb;
static std::shared_mutex sa, sb;
static std::shared_timed_mutex sta, stb;
static std::string shape;
static account *x, *y;

static bool is(const char *name)
{
    return shape == name;
}

template <class M> NOINLINE static void nest(M &first, M &second)
{
    std::lock_guard<M> l(first);
    std::lock_guard<M> k(second);
}

static std::unique_lock<std::mutex> taken(std::mutex &first)
{
    return std::unique_lock<std::mutex>(first);
}

static void throws(std::mutex &first, std::mutex &second)
{
    try {
        std::lock_guard<std::mutex> l(first);
        throw std::runtime_error("out");
    } catch (const std::exception &) {
        std::lock_guard<std::mutex> k(second); /* the first was given back on the way out */
    }
}

/* One side with a time limit, the other without. */
template <class M> static void timed_nest(M &first, M &second, bool turned)
{
    if (turned)
        return nest(first, second);
    std::lock_guard<M> l(first);
    if (!second.try_lock_for(std::chrono::seconds(1000)))
        _exit(73);
    second.unlock();
}

static void both(bool turned)
{
    std::mutex &first = turned ? b : a, &second = turned ? a : b;
    if (is("mutex"))
        nest(first, second);
    else if (is("same"))
        nest(a, b);
    else if (is("scoped"))
        for (int i = 0; i < 1000; i++)
            std::scoped_lock l(first, second, m);
    else if (is("std_lock"))
        for (int i = 0; i < 1000; i++) {
            std::lock(first, second);
            first.unlock();
            second.unlock();
        }
    else if (is("shared_exclusive")) {
        std::shared_lock<std::shared_mutex> l(turned ? sb : sa);
        std::unique_lock<std::shared_mutex> k(turned ? sa : sb);
    } else if (is("shared_readers")) {
        std::shared_lock<std::shared_mutex> l(turned ? sb : sa);
        std::shared_lock<std::shared_mutex> k(turned ? sa : sb);
    } else if (is("shared_timed"))
        timed_nest(turned ? stb : sta, turned ? sta : stb, turned);
    else if (is("recursive")) {
        std::lock_guard<std::recursive_mutex> again(turned ? rb : ra);
        nest(turned ? rb : ra, turned ? ra : rb);
    } else if (is("recursive_alone"))
        nest(ra, ra);
    else if (is("timed"))
        timed_nest(turned ? tb : ta, turned ? ta : tb, turned);
    else if (is("unique")) {
        auto l = taken(first);
        auto k = std::move(l);
        std::lock_guard<std::mutex> g(second);
    } else if (is("members"))
        nest(turned ? y->guard : x->guard, turned ? x->guard : y->guard);
    else if (is("exception"))
        throws(first, second);
    else if (is("exception_order")) {
        try {
            std::lock_guard<std::mutex> l(first);
            std::lock_guard<std::mutex> k(second);
            throw std::runtime_error("out");
        } catch (const std::exception &) {
        }
    }
}

NOINLINE static void one()
{
    both(false);
    step_done(1);
}

NOINLINE static void two()
{
    step_wait(1);
    both(true);
}

static void conditions()
{
    std::condition_variable cv;
    std::condition_variable_any any;
    bool ready = false;
    std::thread waiter([&] {
        if (is("condition_any")) {
            std::unique_lock<std::mutex> l(m);
            any.wait(l, [&] { return ready; });
        } else {
            std::unique_lock<std::mutex> l(m);
            if (is("wait_for"))
                while (!cv.wait_for(l, std::chrono::milliseconds(5), [&] { return ready; }))
                    ;
            else
                cv.wait(l, [&] { return ready; });
        }
    });
    nap_ms(20);
    {
        std::lock_guard<std::mutex> l(m);
        ready = true;
    }
    cv.notify_all();
    any.notify_all();
    waiter.join();
}

static void asynchronous()
{
    std::vector<std::future<int>> futures;
    for (int i = 0; i < 8; i++)
        futures.push_back(std::async(std::launch::async, [i] {
            std::lock_guard<std::mutex> l(m);
            return i;
        }));
    int sum = 0;
    for (auto &f : futures)
        sum += f.get();
    std::promise<int> p;
    std::thread t([&] { p.set_value(sum); });
    if (p.get_future().get() != 28)
        _exit(73);
    t.join();
    std::packaged_task<int()> task([] { return 1; });
    std::thread u(std::ref(task));
    u.join();
}

struct registry {
    registry() { std::lock_guard<std::mutex> l(m); }
};

static registry &the_registry()
{
    static registry r;
    return r;
}

static void once()
{
    std::once_flag flag;
    int times = 0;
    std::vector<std::thread> ts;
    for (int i = 0; i < 4; i++)
        ts.emplace_back([&] {
            if (is("guard"))
                the_registry();
            else
                std::call_once(flag, [&] {
                    std::lock_guard<std::mutex> l(m);
                    times++;
                });
        });
    for (auto &t : ts)
        t.join();
    if (times != (is("guard") ? 0 : 1))
        _exit(73);
}

/* x->guard before b; x is deleted, another account comes to its place; b before that one's guard. */
static void deleted()
{
    std::thread second([] {
        step_wait(2);
        nest(b, y->guard);
        step_done(3);
    });
    x = new account;
    std::thread first([] {
        nest(x->guard, b);
        step_done(1);
    });
    step_wait(1);
    account *was = x;
    delete x;
    y = new account;
    if (y != was)
        _exit(77);
    step_done(2);
    step_wait(3);
    first.join();
    second.join();
    delete y;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("condition") || is("condition_any") || is("wait_for"))
        conditions();
    else if (is("async"))
        asynchronous();
    else if (is("call_once") || is("guard"))
        once();
    else if (is("deleted"))
        deleted();
    else {
        x = new account;
        y = new account;
        std::thread t1(one), t2(two);
        t1.join();
        t2.join();
        delete x;
        delete y;
    }
    return 0;
}
