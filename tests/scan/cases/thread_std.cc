// std::thread: what it is given runs beside its creator, until it is joined.
// expect: data-race memory=counter function=operator() function=main
#include <mutex>
#include <thread>
#include <vector>

static int counter;
static int guarded;
static std::mutex lock;

struct Work {
    void operator()(int n)
    {
        for (int i = 0; i < n; i++) {
            std::lock_guard<std::mutex> guard(lock);
            guarded++;
        }
    }
};

int main()
{
    std::thread one(Work(), 3);
    std::thread two([] { counter++; });
#ifdef CLEAN
    two.join();
    counter++;
#else
    counter++;
    two.join();
#endif
    std::thread three(Work(), 2);
    one.join();
    three.join();
    return guarded;
}
