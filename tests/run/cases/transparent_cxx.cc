// What C++ makes of locks and of leaving through them is the same with and without snarl: exceptions out of
// once-initialisers and static initialisers, destructors at cancellation.
//
// @case transparent_cxx
// @clean
#include <condition_variable>
#include <cstdio>
#include <future>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <thread>

#include "case.h"

static std::mutex guarded;
static std::condition_variable condition;
static int victim_tid;

struct told {
    const char *name;
    ~told() { printf("  left %s\n", name); }
};

// ---- once ----
static std::once_flag flag;
static pthread_once_t plain = PTHREAD_ONCE_INIT;
static int attempts;

static void throws_first()
{
    told t{"initialiser"};
    if (!attempts++)
        throw std::runtime_error("first");
}

static void once_with_exceptions()
{
    for (int i = 0; i < 3; i++) {
        try {
            std::call_once(flag, throws_first);
            printf("  call_once returned, %d attempts\n", attempts);
        } catch (const std::runtime_error &e) {
            printf("  call_once threw %s\n", e.what());
        }
    }
    attempts = 0;
    for (int i = 0; i < 3; i++) {
        try {
            printf("  pthread_once returned %d\n", pthread_once(&plain, throws_first));
        } catch (const std::runtime_error &e) {
            printf("  pthread_once threw %s\n", e.what());
        }
    }
}

// ---- static initialisers ----
struct fails_first {
    int made = 1;
    explicit fails_first(int n)
    {
        told t{"constructor"};
        if (n == 0)
            throw std::runtime_error("constructor");
    }
};

static void use_static(int n)
{
    try {
        static fails_first object(n);
        printf("  static ready %d\n", object.made);
    } catch (const std::runtime_error &e) {
        printf("  static threw %s\n", e.what());
    }
}

static int slow_value()
{
    step_done(1);
    nap_ms(20);
    return 42;
}
static int shared_static()
{
    static int value = slow_value();
    return value;
}

static void statics()
{
    for (int i = 0; i < 3; i++)
        use_static(i);
    auto f = std::async(std::launch::async, shared_static);
    step_wait(1);
    printf("  waited for %d\n", shared_static());
    printf("  made %d\n", f.get());
}

// ---- cancellation ----
static void *waits_on_condition(void *arg)
{
    std::unique_lock<std::mutex> l(guarded);
    told t{"wait"};
    word_set(&victim_tid, static_cast<int>(syscall(SYS_gettid)));
    condition.wait(l, [] { return false; });
    return arg;
}

static pthread_once_t cancelled_once = PTHREAD_ONCE_INIT;
static void initialises_for_ever()
{
    told t{"initialiser"};
    word_set(&victim_tid, static_cast<int>(syscall(SYS_gettid)));
    for (;;)
        pause();
}
static void *runs_once(void *arg)
{
    told t{"pthread_once"};
    pthread_once(&cancelled_once, initialises_for_ever);
    return arg;
}
static void initialises()
{
    puts("  initialised");
}

static pthread_mutex_t deep = PTHREAD_MUTEX_INITIALIZER;
static sem_t never;
static void *waits_on_semaphore(void *arg)
{
    told t{"semaphore"};
    word_set(&victim_tid, static_cast<int>(syscall(SYS_gettid)));
    sem_wait(&never);
    return arg;
}

static void cancel(case_routine f)
{
    victim_tid = 0;
    pthread_t t = start(f, nullptr);
    word_wait(&victim_tid, 1);
    wait_until_asleep(getpid(), victim_tid);
    int r = pthread_cancel(t);
    void *result;
    pthread_join(t, &result);
    printf("  cancel %d, cancelled %d\n", r, result == PTHREAD_CANCELED);
}

static void cancellations()
{
    cancel(waits_on_condition);
    printf("  free %d\n", guarded.try_lock());
    guarded.unlock();
    cancel(runs_once);
    printf("  again %d\n", pthread_once(&cancelled_once, initialises));
    pthread_mutex_lock(&deep);
    printf("  done %d\n", pthread_once(&cancelled_once, initialises));
    pthread_mutex_unlock(&deep);
    sem_init(&never, 0, 0);
    cancel(waits_on_semaphore);
}

// ---- the standard library's own locks ----
static void locks()
{
    std::recursive_timed_mutex r;
    std::timed_mutex t;
    std::shared_timed_mutex s;
    using namespace std::chrono_literals;
    r.lock();
    printf("  recursive %d\n", r.try_lock_for(1ms));
    r.unlock();
    r.unlock();
    t.lock();
    std::thread([&] { printf("  timed %d\n", t.try_lock_for(1ms)); }).join();
    std::thread([&] { printf("  until %d\n", t.try_lock_until(std::chrono::steady_clock::now() + 1ms)); }).join();
    t.unlock();
    s.lock_shared();
    std::thread([&] {
        printf("  shared %d\n", s.try_lock_shared());
        s.unlock_shared();
    }).join();
    std::thread([&] { printf("  exclusive %d\n", s.try_lock_for(1ms)); }).join();
    s.unlock_shared();
    s.lock();
    try {
        s.lock();
        puts("  locked twice");
    } catch (const std::system_error &e) {
        printf("  shared_mutex says %d\n", e.code() == std::errc::resource_deadlock_would_occur);
    }
    s.unlock();
}

int main()
{
    setvbuf(stdout, nullptr, _IOLBF, 0);
    once_with_exceptions();
    statics();
    cancellations();
    locks();
    return 0;
}
