// The lives of memory. The end of a heap block is a write: of the rows' blocks, allocated in hit_NAME, another thread
// writes the last byte, once before the end and once, for those with room in the quarantine, after it. And what happened
// in memory before it was given out again is no race, whoever gets it. With "ordered" the writer is joined before the
// end: no race at all.
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "step.h"

static int step;

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "blocks: %s\n", what);
        exit(2);
    }
}

static pthread_t start(void *(*f)(void *), void *arg)
{
    pthread_t t;
    must(pthread_create(&t, nullptr, f, arg) == 0, "no thread");
    return t;
}

// ---- ends ----

static volatile size_t sizes = 100;

static void *posix(size_t n)
{
    void *p = nullptr;
    return posix_memalign(&p, 64, n) ? nullptr : p;
}

// X(name, allocation of 100 bytes, end of p)
#define ROWS(X)                                                                                                        \
    X(malloc, malloc(sizes), free(p))                                                                                  \
    X(calloc, calloc(sizes, 1), free(p))                                                                               \
    X(realloc, realloc(malloc(10), sizes), free(p))                                                                    \
    X(realloc_away, malloc(sizes), free(realloc(p, 100000)))                                                           \
    X(reallocarray, reallocarray(nullptr, sizes, 1), free(p))                                                          \
    X(aligned_alloc, aligned_alloc(64, sizes + 28), free(p))                                                           \
    X(posix_memalign, posix(sizes), free(p))                                                                           \
    X(memalign, memalign(64, sizes), free(p))                                                                          \
    X(strdup, strdup(std::string(sizes - 1, 'x').c_str()), free(p))                                                    \
    X(new_one, operator new(sizes), operator delete(p))                                                                \
    X(new_array, new char[sizes], delete[] static_cast<char *>(p))                                                     \
    X(new_nothrow, operator new(sizes, std::nothrow), operator delete(p, std::nothrow))                                \
    X(new_aligned, operator new(sizes, std::align_val_t(64)), operator delete(p, std::align_val_t(64)))

struct row {
    void *(*allocate)();
    void (*end)(void *p);
    void *p;
};

#define FUNCTIONS(name, allocation, ending)                                                                            \
    extern "C" __attribute__((noinline)) void *hit_##name()                                                            \
    {                                                                                                                  \
        return allocation;                                                                                             \
    }                                                                                                                  \
    static void end_##name(void *p)                                                                                    \
    {                                                                                                                  \
        ending;                                                                                                        \
    }
ROWS(FUNCTIONS)

static row rows[] = {
#define ROW(name, allocation, ending) {hit_##name, end_##name, nullptr},
    ROWS(ROW)};

static void *write_now(void *row)
{
    static_cast<char *>(static_cast<struct row *>(row)->p)[99] = 'y';
    step_done(step + 1);
    return nullptr;
}

static void *write_later(void *row)
{
    step_wait(step + 1);
    static_cast<char *>(static_cast<struct row *>(row)->p)[99] = 'y';
    return nullptr;
}

static void ends(row &r, bool ordered)
{
    r.p = r.allocate();
    pthread_t t = start(write_now, &r);
    step_wait(step + 1);
    if (ordered)
        pthread_join(t, nullptr);
    r.end(r.p);
    if (!ordered)
        pthread_join(t, nullptr);
    step++;
}

static void ends_before(row &r)
{
    r.p = r.allocate();
    pthread_t t = start(write_later, &r);
    r.end(r.p);
    step_done(step + 1);
    pthread_join(t, nullptr);
    step++;
}

// ---- memory used again: the addresses pass between the threads in step.c, which makes no order ----

static const int many = 3000;

static void *blocks_first(void *)
{
    void *p[many];
    for (void *&each : p) {
        each = memset(malloc(200), 'a', 200);
        step_keep(each);
    }
    for (void *each : p)
        free(each);
    step_done(step + 1);
    return nullptr;
}

static void *blocks_again(void *)
{
    void *p[many];
    int again = 0;
    step_wait(step + 1);
    for (void *&each : p) {
        each = memset(malloc(200), 'b', 200);
        again += step_kept(each);
    }
    for (void *each : p)
        free(each);
    must(again > 100, "blocks were not used again");
    return nullptr;
}

static const size_t pages = 64 << 10;

static void *mapping_first(void *)
{
    void *p = mmap(nullptr, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 'a', pages);
    step_keep(p);
    munmap(p, pages);
    step_done(step + 1);
    return nullptr;
}

static void *mapping_again(void *)
{
    step_wait(step + 1);
    void *at = step_last();
    void *p = mmap(at, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    must(p == at, "pages were not used again");
    memset(p, 'b', pages);
    munmap(p, pages);
    return nullptr;
}

static __thread char own[100];

static void *stack_first(void *)
{
    char local[1000];
    memset(local, 'a', sizeof local);
    memset(own, 'a', sizeof own);
    step_keep(own);
    return nullptr;
}

static void *stack_again(void *)
{
    char local[1000];
    memset(local, 'b', sizeof local);
    memset(own, 'b', sizeof own);
    must(step_kept(own), "a stack was not used again");
    return nullptr;
}

static void again(void *(*first)(void *), void *(*second)(void *))
{
    pthread_t t = start(first, nullptr), u = start(second, nullptr);
    pthread_join(t, nullptr);
    pthread_join(u, nullptr);
    step++;
}

static void stacks()
{
    pthread_detach(start(stack_first, nullptr));
    step_alone();
    pthread_join(start(stack_again, nullptr), nullptr);
}

// What is called at exit comes after its registration.
static int late;

static void *registers(void *)
{
    late = 1;
    atexit([] { late++; });
    return nullptr;
}

int main(int argc, char **)
{
    bool ordered = argc > 1;
    mallopt(M_ARENA_MAX, 1);
    for (row &r : rows) {
        ends(r, ordered);
        if (!ordered && r.end != end_realloc_away) // which may stay in its place
            ends_before(r);
    }
    if (!ordered) {
        again(blocks_first, blocks_again);
        again(mapping_first, mapping_again);
        stacks();
        pthread_detach(start(registers, nullptr));
        step_alone();
    }
    return 0;
}
