// Exceptions through instrumented frames, in a thread and across a library; virtual functions; a static's guard.
#include <iostream>
#include <memory>
#include <stdexcept>
#include <thread>

extern "C" {
#include "part.h"
}

namespace {
struct Base {
    virtual ~Base() = default;
    virtual int value() const { return 1; }
};
struct Derived : Base {
    int value() const override { throw std::runtime_error("thrown"); }
};

int twice()
{
    static const int number = part_sum() * 2;
    return number;
}
} // namespace

int main()
{
    std::string caught;
    std::thread thread([&] {
        try {
            part_add(20);
            std::unique_ptr<Base> object = std::make_unique<Derived>();
            part_add(object->value());
        } catch (const std::exception &e) {
            caught = e.what();
        }
    });
    thread.join();
    std::cout << PROJECT_WORD << ' ' << caught << ' ' << twice() << '\n';
}
