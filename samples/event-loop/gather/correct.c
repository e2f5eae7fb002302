/* Two coroutines on one event loop: both greet, and wait without blocking each other.
 *
 * The section teaches: a coroutine that waits gives the thread back to the event loop, which meanwhile goes on with
 * another one. Here a coroutine is a function that is called again for each step, and remembers in `at` where it was
 * (it has no stack of its own); the loop is `epoll_wait`, and what a coroutine waits for is a timer's descriptor.
 *
 * What to look for: "Hello Hello World World", after one second and not after two: the waits overlap, in one thread.
 * snarl has nothing to report: where only one thread runs, and only one coroutine at a time, nothing has to be locked.
 *
 * Usage: correct [SECONDS]    how long each coroutine waits between its two words, 1 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct coroutine {
    enum { BEGIN, WORLD, END } at;
    void (*step)(struct coroutine *);
    int timer;
};
static int loop;
static long seconds = 1;

/* The next step comes when the time is over. */
static void sleep_for(struct coroutine *c, long s)
{
    struct itimerspec time = {.it_value = {.tv_sec = s, .tv_nsec = 1}}; /* nothing at all would be no timer */
    struct epoll_event ready = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = c};

    c->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    timerfd_settime(c->timer, 0, &time, NULL);
    epoll_ctl(loop, EPOLL_CTL_ADD, c->timer, &ready);
}

static void greet(struct coroutine *c)
{
    switch (c->at) {
    case BEGIN:
        puts("Hello");
        c->at = WORLD;
        sleep_for(c, seconds); /* await */
        return;
    case WORLD:
        puts("World");
        c->at = END;
        return;
    case END:
        return;
    }
}

/* Runs all to their end. */
static void gather(struct coroutine *c, int n)
{
    struct epoll_event ready;
    int running = n;

    for (int i = 0; i < n; i++)
        c[i].step(&c[i]);
    while (running > 0 && epoll_wait(loop, &ready, 1, -1) == 1) {
        struct coroutine *next = ready.data.ptr;
        close(next->timer);
        next->step(next);
        running -= next->at == END;
    }
}

int main(int argc, char **argv)
{
    struct coroutine greetings[] = {{.step = greet}, {.step = greet}};

    if (argc > 1)
        seconds = strtol(argv[1], NULL, 10);
    loop = epoll_create1(EPOLL_CLOEXEC);
    gather(greetings, 2);
    close(loop);
    return 0;
}
