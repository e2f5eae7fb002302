// Fixture of test_symbol: locks of every kind of birth in C++.
#include "mark.h"

#include <array>
#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#define ALONE __attribute__((noinline))
#define IN_LAMBDA "main::{lambda}::operator()/~"

// All allocations of the program are noted, with their stacks.
void *operator new(size_t size)
{
    return mark_alloc(size);
}
void operator delete(void *) noexcept {}
void operator delete(void *, size_t) noexcept {}
void *operator new[](size_t size)
{
    return mark_alloc(size);
}
void operator delete[](void *) noexcept {}
void operator delete[](void *, size_t) noexcept {}

namespace {
std::mutex hidden_mutex;
struct wrapper {
    int before;
    std::mutex inside;
};
wrapper hidden_wrapper;
} // namespace

namespace ns {
struct Base {
    virtual ~Base() {}
    std::recursive_mutex base_mutex;
};
struct Session : Base {
    int id = 0;
    std::mutex lock;
    std::shared_mutex shared;
    std::condition_variable changed;
};
template <class T> struct Box {
    T value;
    std::timed_mutex lock;
    static std::mutex shared_lock;
    ALONE void push(const T &v);
};
template <class T> std::mutex Box<T>::shared_lock;
class Pool {
  public:
    static std::mutex guard;
};
std::mutex Pool::guard;
Session exported;
static std::mutex file_static;
inline std::mutex inline_mutex;
std::array<std::mutex, 4> several;
thread_local std::mutex per_thread;

inline ALONE std::mutex &instance(int)
{
    static std::mutex guard;
    return guard;
}

template <class T> void Box<T>::push(const T &v)
{
    value = v;
    static std::mutex in_method;
    GLOBAL("exe:ns::Box<int>::push.in_method", "ns::Box<int>::push/main", MUTEX, &in_method);
    HEAP("ns::Box<int>.lock", "ns::Box<int>::push/main", MUTEX, &lock);
}

struct Functor {
    ALONE void operator()(int n) const
    {
        std::mutex local;
        STACK("ns::Functor::operator():local", "ns::Functor::operator()/main", MUTEX, &local);
        if (n > 100)
            local.lock();
    }
    ALONE bool operator<(int) const
    {
        GLOBAL("exe:ns::Pool::guard", "ns::Functor::operator</main", MUTEX, &Pool::guard);
        return true;
    }
};
} // namespace ns

ALONE static void globals()
{
    GLOBAL("exe:locks.cc:(anonymous namespace)::hidden_mutex", "globals/main", MUTEX, &hidden_mutex);
    GLOBAL("exe:locks.cc:(anonymous namespace)::hidden_wrapper.inside", "globals/main", MUTEX, &hidden_wrapper.inside);
    GLOBAL("exe:ns::Pool::guard", "globals/main", MUTEX, &ns::Pool::guard);
    GLOBAL("exe:ns::exported.lock", "globals/main", MUTEX, &ns::exported.lock);
    GLOBAL("exe:ns::exported.base_mutex", "globals/main", MUTEX, &ns::exported.base_mutex);
    GLOBAL("exe:ns::exported.shared", "globals/main", RWLOCK, &ns::exported.shared);
    GLOBAL("exe:ns::exported.changed", "globals/main", COND, &ns::exported.changed);
    GLOBAL("exe:locks.cc:ns::file_static", "globals/main", MUTEX, &ns::file_static);
    GLOBAL("exe:ns::inline_mutex", "globals/main", MUTEX, &ns::inline_mutex);
    GLOBAL("exe:ns::several[2]", "globals/main", MUTEX, &ns::several[2]);
    GLOBAL("exe:ns::instance.guard", "globals/main", MUTEX, &ns::instance(1));
    GLOBAL("exe:ns::Box<int>::shared_lock", "globals/main", MUTEX, &ns::Box<int>::shared_lock);
    TLS("exe:ns::per_thread", "globals/main", MUTEX, &ns::per_thread);
}

// Nothing is destroyed: what matters is how it came into being.
ALONE static void on_heap()
{
    auto *plain = new ns::Session;
    HEAP("ns::Session.lock", "on_heap/main", MUTEX, &plain->lock);
    HEAP("ns::Session.base_mutex", "on_heap/main", MUTEX, &plain->base_mutex);
    auto *unique = std::make_unique<ns::Session>().release();
    HEAP("ns::Session.lock", "on_heap/main", MUTEX, &unique->lock);
    auto &shared = *new std::shared_ptr<ns::Session>(std::make_shared<ns::Session>());
    HEAP("ns::Session.shared", "on_heap/main", RWLOCK, &shared->shared);
    auto &list = *new std::list<ns::Session>;
    list.emplace_back();
    HEAP("ns::Session.lock", "on_heap/main", MUTEX, &list.front().lock);
    auto &map = *new std::map<int, ns::Session>;
    ns::Session &in_map = map[7];
    HEAP("ns::Session.lock", "on_heap/main", MUTEX, &in_map.lock);
    auto *array = new ns::Session[3];
    HEAP("ns::Session[].changed", "on_heap/main", COND, &array[2].changed);
    auto &vector = *new std::vector<ns::Session>(5);
    HEAP("ns::Session[].lock", "on_heap/main", MUTEX, &vector[4].lock);
}

ALONE static void bare_on_heap()
{
    auto *bare = new std::mutex;
    HEAP("bare_on_heap#1", "bare_on_heap/main", MUTEX, bare);
    alignas(std::shared_ptr<std::mutex>) static char place[sizeof(std::shared_ptr<std::mutex>)];
    auto &shared = *new (place) std::shared_ptr<std::mutex>(std::make_shared<std::mutex>());
    HEAP("bare_on_heap#2", "bare_on_heap/main", MUTEX, shared.get());
}

ALONE static void call(void (*f)(int), int n)
{
    f(n);
    __asm__ volatile("" ::: "memory");
}

int main(int argc, char **argv)
{
    (void)argv;
    globals();
    on_heap();
    bare_on_heap();
    auto *box = new ns::Box<int>;
    box->push(argc);
    ns::Functor functor;
    functor(argc);
    if (!(functor < argc))
        return 1;
    auto lambda = [](int) {
        static std::mutex in_lambda;
        GLOBAL("exe:locks.cc:main::{lambda}::operator().in_lambda", IN_LAMBDA, MUTEX, &in_lambda);
    };
    call(lambda, argc);
    return 0;
}
