// Threads in containers: moved there, made there, joined from there.
// expect: unprotected memory=total function=add function=main
#include <mutex>
#include <thread>
#include <vector>

static int total;
static std::mutex lock;

static void add(int n)
{
    std::lock_guard<std::mutex> guard(lock);
    total += n;
}

struct Pool {
    std::vector<std::thread> threads;
    std::thread last;

    void start(int n)
    {
        for (int i = 0; i < n; i++)
            threads.emplace_back([i] { add(i); });
        last = std::thread(add, 7);
    }
    void stop()
    {
        for (auto &thread : threads)
            thread.join();
        last.join();
    }
};

int main(int argc, char **)
{
    std::vector<std::thread> others;
    Pool pool;
    pool.start(argc);
    for (int i = 0; i < argc; i++)
        others.push_back(std::thread(add, i));
#ifdef CLEAN
    for (auto &thread : others)
        thread.join();
    pool.stop();
    total = 0;
#else
    total = 0;
    for (auto &thread : others)
        thread.join();
    pool.stop();
#endif
    return 0;
}
