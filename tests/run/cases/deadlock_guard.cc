/* The constructor of a function's static object waits for a lock whose holder waits for the object; and std::mutex
 * throws when broken out.
 *
 * @case deadlock_static_guard guard
 * @finding deadlock verdict=observed locks=*,m side=constructs side=asks
 * @strikes
 * @case deadlock_std_mutex mutex
 * @finding deadlock verdict=observed locks=m,k side=mk side=km
 * @strikes
 * @case deadlock_std_mutex_break mutex
 * @snarl --on-deadlock=break
 * @finding deadlock verdict=observed locks=m,k side=mk side=km
 * @strikes
 * @status 66
 * @output resource_deadlock_would_occur\nend\n
 * @case deadlock_shared_mutex shared
 * @finding deadlock verdict=observed locks=sm,m side=readers side=writers
 * @strikes
 * @case deadlock_future future
 * @finding deadlock|stuck verdict=observed
 * @strikes
 */
#include "case.h"
#include <future>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <system_error>
#include <thread>

static std::mutex m, k;
static std::shared_mutex sm;
static std::string shape;

struct slow {
    slow()
    {
        meet(0, 2);
        std::lock_guard<std::mutex> l(m);
    }
    int value = 1;
};

NOINLINE static int instance()
{
    static slow s;
    return s.value;
}

static void constructs()
{
    if (!instance())
        _exit(1);
}

static void asks()
{
    std::lock_guard<std::mutex> l(m);
    meet(0, 2);
    if (!instance())
        _exit(1);
}

static void opposite(std::mutex &first, std::mutex &second)
{
    try {
        std::lock_guard<std::mutex> l(first);
        meet(0, 2);
        std::lock_guard<std::mutex> g(second);
    } catch (const std::system_error &e) {
        if (e.code() == std::errc::resource_deadlock_would_occur)
            dprintf(1, "resource_deadlock_would_occur\n");
    }
}

NOINLINE static void mk()
{
    opposite(m, k);
}

NOINLINE static void km()
{
    opposite(k, m);
}

static void readers()
{
    std::shared_lock<std::shared_mutex> l(sm);
    meet(0, 2);
    std::lock_guard<std::mutex> g(m);
}

static void writers()
{
    std::lock_guard<std::mutex> g(m);
    meet(0, 2);
    std::unique_lock<std::shared_mutex> l(sm);
}

/* main waits for the result with the lock held that the task needs. */
static void future()
{
    std::lock_guard<std::mutex> l(m);
    auto f = std::async(std::launch::async, [] { std::lock_guard<std::mutex> g(m); });
    f.get();
}

static void pair(void (*f)(), void (*g)())
{
    std::thread t1(f), t2(g);
    t1.join();
    t2.join();
    dprintf(1, "end\n");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (shape == "guard")
        pair(constructs, asks);
    else if (shape == "mutex")
        pair(mk, km);
    else if (shape == "shared")
        pair(readers, writers);
    else
        future();
    return 0;
}
