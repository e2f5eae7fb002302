/* What is built of std::atomic in orders that are plain moves: a ring between two threads, a lock of tickets, a lock that is
 * let go by a store, a pointer that is published, a sequence lock, a static that is made at the first use. -DBUG: what the
 * lock of tickets guards is changed once without it. */
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

struct Ring {
    std::atomic<unsigned> head{0}, tail{0};
    long slot[16];
    void put(long v)
    {
        unsigned t = tail.load(std::memory_order_relaxed);
        while (t - head.load(std::memory_order_acquire) == 16)
            std::this_thread::yield();
        slot[t % 16] = v;
        tail.store(t + 1, std::memory_order_release);
    }
    long get()
    {
        unsigned h = head.load(std::memory_order_relaxed);
        while (tail.load(std::memory_order_acquire) == h)
            std::this_thread::yield();
        long v = slot[h % 16];
        head.store(h + 1, std::memory_order_release);
        return v;
    }
};

struct Tickets {
    std::atomic<unsigned> next{0}, serving{0};
    void lock()
    {
        unsigned mine = next.fetch_add(1, std::memory_order_relaxed);
        while (serving.load(std::memory_order_acquire) != mine)
            std::this_thread::yield();
    }
    void unlock() { serving.store(serving.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
};

struct Spin {
    std::atomic<bool> taken{false};
    void lock()
    {
        while (taken.exchange(true, std::memory_order_acquire))
            while (taken.load(std::memory_order_relaxed))
                std::this_thread::yield();
    }
    void unlock() { taken.store(false, std::memory_order_release); }
};

struct Sequence {
    std::atomic<unsigned> n{0};
    std::atomic<long> a{0}, b{0};
    void write(long v)
    {
        unsigned s = n.load(std::memory_order_relaxed);
        n.store(s + 1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
        a.store(v, std::memory_order_relaxed);
        b.store(-v, std::memory_order_relaxed);
        n.store(s + 2, std::memory_order_release);
    }
    long read()
    {
        for (;;) {
            unsigned s = n.load(std::memory_order_acquire);
            long x = a.load(std::memory_order_relaxed), y = b.load(std::memory_order_relaxed);
            std::atomic_thread_fence(std::memory_order_acquire);
            if (!(s & 1) && n.load(std::memory_order_relaxed) == s)
                return x + y;
        }
    }
};

struct Node {
    long value;
};

static std::atomic<Node *> published;
static long guarded, held;
static Tickets tickets;
static Spin spin;

static const std::vector<long> &table()
{
    static const std::vector<long> made(100, 1);
    return made;
}

__attribute__((noinline)) static void add(long n)
{
    guarded += n;
}

int main()
{
    auto ring = std::make_unique<Ring>();
    auto sequence = std::make_shared<Sequence>();
    long sum = 0, seen = 0, wrong = 0;
    std::thread one([&, sequence] {
        for (int i = 0; i < 2000; i++) {
            ring->put(i);
            sequence->write(i);
            tickets.lock();
            add(1);
            tickets.unlock();
            spin.lock();
            held += (long)table().size();
            spin.unlock();
            if (i == 1000)
                published.store(new Node{7}, std::memory_order_release);
        }
#ifdef BUG
        add(0);
#endif
    });
    std::thread two([&, sequence] {
        for (int i = 0; i < 2000; i++) {
            sum += ring->get();
            wrong += sequence->read();
            tickets.lock();
            add(1);
            tickets.unlock();
            spin.lock();
            held += (long)table().size();
            spin.unlock();
            if (const Node *n = published.load(std::memory_order_acquire))
                seen = n->value;
        }
        while (!published.load(std::memory_order_acquire))
            std::this_thread::yield();
        seen = published.load(std::memory_order_acquire)->value;
    });
    one.join();
    two.join();
    std::printf("%ld %ld %ld %ld %ld\n", sum, seen, wrong, (long)(guarded > 0), held);
}
