// Tests by GoogleTest: all of them pass, one has a lock-order cycle.
#include <gtest/gtest.h>

#include <cstdlib>
#include <mutex>
#include <thread>

static std::mutex accounts, journal;

// One after the other, though nothing but the join says so: a mutex that is free by luck.
static void in_turn(void (*first)(), void (*second)())
{
    std::mutex gate;
    bool done = false;
    std::thread a([&] {
        first();
        const std::lock_guard<std::mutex> hold(gate);
        done = true;
    });
    std::thread b([&] {
        for (bool go = false; !go; std::this_thread::yield()) {
            const std::lock_guard<std::mutex> hold(gate);
            go = done;
        }
        second();
    });
    a.join();
    b.join();
}

static void transfer()
{
    const std::lock_guard<std::mutex> outer(accounts), inner(journal);
}

static void audit()
{
    const std::lock_guard<std::mutex> outer(journal), inner(accounts);
}

TEST(Tidy, SameOrder)
{
    in_turn(transfer, transfer);
}

TEST(Tangled, TwoOrders)
{
    in_turn(transfer, audit);
}

TEST(TidyDeathTest, Ends)
{
    EXPECT_DEATH(
        {
            transfer();
            std::abort();
        },
        "");
    EXPECT_EXIT(std::exit(3), testing::ExitedWithCode(3), "");
}

class Repeated : public testing::TestWithParam<int> {};
TEST_P(Repeated, SameOrder)
{
    in_turn(transfer, transfer);
    EXPECT_LT(GetParam(), 9);
}
INSTANTIATE_TEST_SUITE_P(Tidy, Repeated, testing::Range(0, 3));
