/* Control that leaves by other ways than returning: through critical sections, and through our own frames.
 *
 * @case longjmp_out_of_critical_section jump
 * @clean
 * @case swapcontext contexts
 * @clean
 * @case swapcontext_order contexts_order
 * @finding lock-order locks=a,b side=order_on_coroutine side=two
 * @case exceptions_through_once exception_once
 * @clean
 * @case exceptions_through_call_once exception_call_once
 * @clean
 * @case exceptions_through_static_guard exception_guard
 * @clean
 * @case exceptions_in_thread exception_thread
 * @clean
 * @case pthread_cancel_through_locks cancel
 * @clean
 * @case thread_local_destructors tls
 * @clean
 * @case uncaught_exception uncaught
 * @clean
 * @exit 134
 */
#include "case.h"
#include <csetjmp>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <ucontext.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, m = PTHREAD_MUTEX_INITIALIZER;
static std::string shape;
static jmp_buf back;
static int times;

static bool is(const char *name)
{
    return shape == name;
}

static void take(pthread_mutex_t *x)
{
    pthread_mutex_lock(x);
}
static void give(pthread_mutex_t *x)
{
    pthread_mutex_unlock(x);
}

NOINLINE static void deep(int n)
{
    take(&m);
    if (!n)
        longjmp(back, 1);
    give(&m);
}

static void jump()
{
    for (volatile int i = 0; i < 100; i++)
        if (!setjmp(back))
            deep(0);
        else
            give(&m); /* the lock taken below is still held, and given back here */
}

/* Two coroutines of one thread, each holding its lock while the other runs. */
static ucontext_t home, coroutine[2];
static char stacks[2][65536];

static void first_coroutine()
{
    take(&a);
    swapcontext(&coroutine[0], &coroutine[1]);
    give(&a);
    setcontext(&home);
}

static void second_coroutine()
{
    swapcontext(&coroutine[1], &coroutine[0]);
}

static void order_on_coroutine()
{
    take(&a);
    take(&b);
    give(&b);
    give(&a);
    setcontext(&home);
}

static void on_coroutine(void (*f)(), int n)
{
    getcontext(&coroutine[n]);
    coroutine[n].uc_stack.ss_sp = stacks[n];
    coroutine[n].uc_stack.ss_size = sizeof stacks[n];
    coroutine[n].uc_link = &home;
    makecontext(&coroutine[n], f, 0);
}

NOINLINE static void *one(void *arg)
{
    on_coroutine(order_on_coroutine, 0);
    swapcontext(&home, &coroutine[0]);
    step_done(1);
    return arg;
}

NOINLINE static void *two(void *arg)
{
    step_wait(1);
    take(&b);
    take(&a);
    give(&a);
    give(&b);
    return arg;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void throws_first()
{
    if (!times++)
        throw std::runtime_error("not yet");
}

static void through_once()
{
    std::once_flag flag;
    for (int i = 0; i < 3; i++)
        try {
            if (is("exception_once"))
                pthread_once(&once, throws_first);
            else
                std::call_once(flag, throws_first);
        } catch (const std::runtime_error &) {
        }
    if (times != 2)
        _exit(73);
}

struct fragile {
    fragile() { throws_first(); }
    int value = 1;
};

static int guarded()
{
    static fragile f;
    return f.value;
}

static void through_guard()
{
    for (int i = 0; i < 3; i++)
        try {
            guarded();
        } catch (const std::runtime_error &) {
        }
    if (times != 2)
        _exit(73);
}

static void in_thread()
{
    std::thread t([] {
        for (int i = 0; i < 100; i++)
            try {
                std::string text(1000, 'x');
                take(&m);
                struct back {
                    ~back() { give(&m); }
                } on_the_way;
                throw std::runtime_error(text);
            } catch (const std::exception &) {
            }
    });
    t.join();
}

static void give_back(void *x)
{
    give(static_cast<pthread_mutex_t *>(x));
}

static void *cancelled(void *arg)
{
    take(&m);
    pthread_cleanup_push(give_back, &m);
    step_done(1);
    for (;;) {
        nap_ms(1);
        pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return arg;
}

static void cancel()
{
    for (int i = 0; i < 10; i++) {
        step_done(0);
        pthread_t t = start(cancelled, nullptr);
        step_wait(1);
        pthread_cancel(t);
        void *result;
        pthread_join(t, &result);
        if (result != PTHREAD_CANCELED)
            _exit(73);
        take(&m);
        give(&m);
    }
}

struct late {
    ~late()
    {
        std::lock_guard<std::mutex> l(guard);
        times++;
    }
    static std::mutex guard;
};
std::mutex late::guard;
static thread_local late at_thread_end;

static void tls()
{
    for (int i = 0; i < 20; i++)
        std::thread([] {
            (void)&at_thread_end;
            volatile late *touch = &at_thread_end;
            (void)touch;
        }).join();
    if (times != 20)
        _exit(73);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("jump"))
        jump();
    else if (is("contexts")) {
        on_coroutine(first_coroutine, 0);
        on_coroutine(second_coroutine, 1);
        swapcontext(&home, &coroutine[0]);
        take(&a);
        give(&a);
    } else if (is("contexts_order")) {
        pthread_t t1 = start(one, nullptr), t2 = start(two, nullptr);
        join(t1);
        join(t2);
    } else if (is("exception_once") || is("exception_call_once"))
        through_once();
    else if (is("exception_guard"))
        through_guard();
    else if (is("exception_thread"))
        in_thread();
    else if (is("cancel"))
        cancel();
    else if (is("tls"))
        tls();
    else if (is("uncaught"))
        throw std::runtime_error("nobody");
    return 0;
}
