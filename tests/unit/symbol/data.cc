// Fixture of test_symbol: data of every kind of birth in C++. Expected: class|for people|type of the object.
#include "mark.h"

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#define ALONE __attribute__((noinline))
#define BYTES(n) (DATA + (int)(n))
#define OF(object) BYTES(sizeof(object))
#define AT(p, n) (reinterpret_cast<char *>(p) + (n))

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

namespace ns {
struct Base {
    virtual ~Base() {}
    int generation = 0;
};
struct Session : Base {
    std::string name;
    long hits = 0;
    bool open = false;
    std::pair<int, double> score;
    static int live;
    ~Session() override { live--; }
};
int Session::live;
int exported;
namespace {
unsigned hidden;
}
} // namespace ns

std::atomic<int> shared_counter;
std::vector<int> numbers;
std::map<int, ns::Session> *sessions;
std::array<std::pair<int, short>, 4> pairs;
std::mutex lock;
thread_local int per_thread;
ns::Session one;
int &reference = ns::exported;

ALONE static void globals()
{
    GLOBAL("exe:ns::exported|ns::exported|int", "globals/main", OF(int), &ns::exported);
#define HIDDEN "ns::(anonymous namespace)::hidden"
    GLOBAL("exe:data.cc:" HIDDEN "|" HIDDEN "|unsigned int", "globals/main", OF(ns::hidden), &ns::hidden);
    GLOBAL("exe:ns::Session::live|ns::Session::live|int", "globals/main", OF(int), &ns::Session::live);
    GLOBAL("exe:shared_counter|shared_counter|std::atomic<int>", "globals/main", OF(shared_counter), &shared_counter);
    GLOBAL("exe:numbers|numbers|std::vector<int, std::allocator<int> >", "globals/main", BYTES(8), AT(&numbers, 8));
    GLOBAL("exe:pairs[].second|pairs[2].second|short", "globals/main", OF(short), &pairs[2].second);
    GLOBAL("exe:lock|lock|std::mutex", "globals/main", BYTES(4), AT(&lock, 4));
    GLOBAL("exe:one.generation|one.generation|int", "globals/main", OF(int), &one.generation);
    GLOBAL("exe:one.hits|one.hits|long", "globals/main", OF(long), &one.hits);
    GLOBAL("exe:one.open|one.open|bool", "globals/main", OF(bool), &one.open);
    GLOBAL("exe:one.score.first|one.score.first|int", "globals/main", OF(int), &one.score.first);
    GLOBAL("exe:one.name|one.name|std::string", "globals/main", BYTES(1), AT(&one.name, 17));
    per_thread++;
    TLS("exe:per_thread|per_thread|int", "globals/main", OF(int), &per_thread);
}

ALONE static void touch(ns::Session &s)
{
    s.hits++;
    HEAP("ns::Session.hits|ns::Session.hits|long", "touch/on_heap/main", OF(long), &s.hits);
}

ALONE static int *ints_new(int n)
{
    int *ints = new int[n];
    __asm__ volatile("" ::: "memory"); // no tail call
    return ints;
}

// Nothing of this is taken apart again.
alignas(16) char room[4][64];

ALONE static void on_heap()
{
    auto *plain = new ns::Session;
    HEAP("ns::Session.hits|ns::Session.hits|long", "on_heap/main", OF(long), &plain->hits);
    HEAP("ns::Session.generation|ns::Session.generation|int", "on_heap/main", OF(int), &plain->generation);
    touch(*plain);
    auto &owned = *new (room[0]) auto(std::make_unique<ns::Session>());
    HEAP("ns::Session.open|ns::Session.open|bool", "on_heap/main", OF(bool), &owned->open);
    auto &counted = *new (room[1]) auto(std::make_shared<ns::Session>());
    HEAP("ns::Session.hits|ns::Session.hits|long", "on_heap/main", OF(long), &counted->hits);
    auto *several = new ns::Session[3];
    HEAP("ns::Session[].hits|ns::Session[1].hits|long", "on_heap/main", OF(long), &several[1].hits);
    auto &grown = *new (room[2]) std::vector<ns::Session>(4);
    double *second = &grown[2].score.second;
    HEAP("ns::Session[].score.second|ns::Session[2].score.second|double", "on_heap/main", OF(double), second);
    sessions = new std::map<int, ns::Session>;
    auto &inserted = (*sessions)[7];
    HEAP("ns::Session.hits|ns::Session.hits|long", "on_heap/main", OF(long), &inserted.hits);
    int *bare = ints_new(16);
    HEAP("ints_new#1||int", "on_heap/main", OF(int), &bare[5]);
}

ALONE static void on_stack()
{
    ns::Session local;
    auto work = [&] { local.hits++; };
    work();
    STACK("on_stack:local.hits|local.hits|long", "on_stack/main", OF(long), &local.hits);
}

int main()
{
    globals();
    on_heap();
    on_stack();
    return reference;
}
