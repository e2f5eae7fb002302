/* What allocation calls answer is the same with and without snarl, and their memory is the program's: threads that
 * allocate, resize and free in all the ways there are, objects with locks among them, and the calls that fail.
 *
 * @case transparent_alloc
 * @clean
 */
#include "transparent.h"

#include <malloc.h>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

struct alignas(64) wide {
    std::mutex m;
    char filler[100];
};
struct node {
    int v[7];
    std::mutex lock;
    std::shared_mutex rw;
};

static unsigned long sum;

/* A block and what it must hold. */
struct block {
    unsigned char *p;
    size_t n;
    unsigned char fill;
};

static block filled(void *p, size_t n, unsigned r)
{
    block b = {(unsigned char *)p, n, (unsigned char)r};
    if (p)
        memset(p, b.fill, n);
    return b;
}

static void verify(const block &b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (b.p[i] != b.fill) {
            puts("memory changed");
            abort();
        }
    }
}

static block fresh(unsigned kind, size_t n, unsigned r)
{
    void *p = nullptr;
    switch (kind) {
    case 0:
        return filled(malloc(n), n, r);
    case 1:
        p = calloc(n / 8 + 1, 8);
        verify(block{(unsigned char *)p, n, 0}, n);
        return filled(p, n, r);
    case 2:
        return posix_memalign(&p, 64, n) ? block{nullptr, 0, 0} : filled(p, n, r);
    case 3:
        return filled(aligned_alloc(32, (n + 31) / 32 * 32), n, r);
    case 4:
        return filled(memalign(128, n), n, r);
    case 5:
        return filled(reallocarray(nullptr, n, 1), n, r);
    case 6:
        return filled(valloc(n), n, r);
    default:
        return filled(malloc(n * 100), n * 100, r);
    }
}

static void resize(block &b, size_t n)
{
    void *p = n % 2 ? realloc(b.p, n) : reallocarray(b.p, n / 2, 2);
    verify(block{(unsigned char *)p, n, b.fill}, n < b.n ? n : b.n);
    b = filled(p, n, b.fill + 1);
}

static void objects(unsigned r)
{
    auto one = std::make_unique<node>();
    std::lock_guard<std::mutex> hold(one->lock);
    auto two = std::make_shared<node>();
    std::shared_lock<std::shared_mutex> read(two->rw);
    wide *w = new wide;
    w->m.lock();
    w->m.unlock();
    delete w;
    char *a = new char[r % 3000];
    delete[] a;
    node *n = new (std::nothrow) node[2];
    delete[] n;
    wide *x = new (std::nothrow) wide;
    delete x;
}

static void work(unsigned r)
{
    std::vector<block> v;
    std::map<int, std::string> m;
    for (int i = 0; i < 8000; i++) {
        r = r * 1664525u + 1013904223u;
        unsigned what = (r >> 10) % 8, n = (r >> 16) % 700 + 1;
        size_t k = v.empty() ? 0 : (r >> 20) % v.size();
        if (what < 3 || v.empty()) {
            v.push_back(fresh((r >> 14) % 8, n, r >> 8));
        } else if (what == 3) {
            resize(v[k], n * 3);
        } else if (what < 6) {
            verify(v[k], v[k].n);
            free(v[k].p);
            v[k] = v.back();
            v.pop_back();
        } else if (what == 6) {
            objects(r);
        } else {
            m[(int)n] = std::string(n, 'x');
        }
    }
    for (const block &b : v)
        free(b.p);
    __atomic_fetch_add(&sum, m.size(), __ATOMIC_RELAXED);
}

static volatile size_t too_much = (size_t)1 << 62;

/* Through pointers: the compiler knows what the real ones may do to the old block, and these fail. */
static void *(*volatile resize_block)(void *, size_t) = realloc;
static void *(*volatile resize_array)(void *, size_t, size_t) = reallocarray;

static void failing(void)
{
    char *keep = strdup("kept");
    SAY(malloc(too_much) == nullptr);
    SAY(calloc(too_much, too_much) == nullptr);
    SAY(resize_block(keep, too_much) == nullptr);
    SAY(resize_array(keep, too_much, 8) == nullptr);
    SAY(aligned_alloc(64, too_much) == nullptr);
    void *out = keep;
    SAY(posix_memalign(&out, 64, too_much));
    SAY(posix_memalign(&out, 3, 8));
    SAY(out == keep && !strcmp(keep, "kept"));
    SAY(malloc_usable_size(nullptr) == 0);
    errno = ERRNO_UNTOUCHED;
    free(keep);
    free(nullptr);
    printf("errno %d\n", errno);
    SAY(realloc(malloc(10), 0) == nullptr);
    SAY(new (std::nothrow) char[too_much] == nullptr);
    for (int handled = 0; handled < 2; handled++) {
        try {
            delete[] new char[too_much];
        } catch (const std::bad_alloc &) {
            puts("bad_alloc");
        }
        std::set_new_handler([] {
            puts("handler");
            std::set_new_handler(nullptr);
        });
    }
}

int main()
{
    std::vector<std::thread> threads;
    for (unsigned i = 1; i <= 4; i++)
        threads.emplace_back(work, i);
    for (std::thread &t : threads)
        t.join();
    printf("%lu\n", sum);
    failing();
    return 0;
}
