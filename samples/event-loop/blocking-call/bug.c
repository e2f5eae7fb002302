/* A blocking call on the event loop: it stalls the loop, and holds a lock that the awaited work needs.
 *
 * The section teaches: whatever runs on the event loop must not block. As long as one call does, no timer, no other
 * coroutine and no callback runs.
 *
 * What goes wrong: the timer's callback `autosave` locks the document, has a helper thread save it, and waits for the
 * helper's answer then and there. The helper needs the document's lock to read it.
 *
 * What to look for: the program prints that it saves, and hangs, the other timer included. `snarl run` says that it is
 * stuck: the helper waits for the lock, its owner, the loop's thread, waits for a semaphore that only the helper would
 * post.
 *
 * Usage: bug [SECONDS]    when the document is to be saved, 1 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct timer {
    int fd;
    void (*callback)(void);
};
static pthread_mutex_t document_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t to_save, saved;
static int loop, running;

static void call_later(struct timer *timer, long seconds, long milliseconds)
{
    struct itimerspec time = {.it_value = {.tv_sec = seconds, .tv_nsec = milliseconds * 1000000}};
    struct epoll_event ready = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = timer};

    timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    timerfd_settime(timer->fd, 0, &time, NULL);
    epoll_ctl(loop, EPOLL_CTL_ADD, timer->fd, &ready);
    running++;
}

static void *helper(void *unused)
{
    sem_wait(&to_save);
    pthread_mutex_lock(&document_lock);
    puts("helper: saves");
    pthread_mutex_unlock(&document_lock);
    sem_post(&saved);
    return unused;
}

static void autosave(void)
{
    pthread_mutex_lock(&document_lock);
    puts("loop:   saves the document");
    sem_post(&to_save);
    sem_wait(&saved); /* blocks the loop, with the lock taken */
    puts("loop:   saved");
    pthread_mutex_unlock(&document_lock);
}

static void blink_cursor(void)
{
    puts("loop:   blinks");
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    struct timer timers[] = {{.callback = autosave}, {.callback = blink_cursor}};
    struct epoll_event ready;
    pthread_t thread;

    setvbuf(stdout, NULL, _IOLBF, 0); /* lines come out as they are printed, into a pipe too */
    sem_init(&to_save, 0, 0);
    sem_init(&saved, 0, 0);
    pthread_create(&thread, NULL, helper, NULL);
    loop = epoll_create1(EPOLL_CLOEXEC);
    call_later(&timers[0], seconds, 1);
    call_later(&timers[1], seconds, 100);
    for (; running > 0 && epoll_wait(loop, &ready, 1, -1) == 1; running--) {
        struct timer *due = ready.data.ptr;
        close(due->fd);
        due->callback();
    }
    pthread_join(thread, NULL);
    return 0;
}
