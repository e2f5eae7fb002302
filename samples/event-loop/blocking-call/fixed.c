/* A blocking call on the event loop, fixed: the loop awaits the helper's answer like everything else.
 *
 * The section teaches: work that takes long goes to a thread, and its end comes back as an event. An eventfd is made for
 * that: the helper writes to it, and `epoll_wait` calls what is to follow. Nothing is held meanwhile.
 *
 * What to look for: the cursor blinks while the helper saves, and the answer comes when it comes. snarl has nothing to
 * report.
 *
 * Usage: fixed [SECONDS]    when the document is to be saved, 1 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct event {
    int fd;
    void (*callback)(void);
};
static pthread_mutex_t document_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t to_save;
static int loop, running, saved;

static void await(struct event *event)
{
    struct epoll_event ready = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = event};

    epoll_ctl(loop, EPOLL_CTL_ADD, event->fd, &ready);
    running++;
}

static void call_later(struct event *event, long seconds, long milliseconds)
{
    struct itimerspec time = {.it_value = {.tv_sec = seconds, .tv_nsec = milliseconds * 1000000}};

    event->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    timerfd_settime(event->fd, 0, &time, NULL);
    await(event);
}

static void *helper(void *unused)
{
    sem_wait(&to_save);
    pthread_mutex_lock(&document_lock);
    puts("helper: saves");
    pthread_mutex_unlock(&document_lock);
    eventfd_write(saved, 1);
    return unused;
}

static void say_saved(void)
{
    puts("loop:   saved");
}

static void autosave(void)
{
    static struct event when_saved = {.callback = say_saved};

    pthread_mutex_lock(&document_lock);
    puts("loop:   saves the document");
    pthread_mutex_unlock(&document_lock);
    sem_post(&to_save);
    when_saved.fd = saved;
    await(&when_saved); /* and returns to the loop */
}

static void blink_cursor(void)
{
    puts("loop:   blinks");
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    struct event timers[] = {{.callback = autosave}, {.callback = blink_cursor}};
    struct epoll_event ready;
    pthread_t thread;

    sem_init(&to_save, 0, 0);
    saved = eventfd(0, EFD_CLOEXEC);
    pthread_create(&thread, NULL, helper, NULL);
    loop = epoll_create1(EPOLL_CLOEXEC);
    call_later(&timers[0], seconds, 1);
    call_later(&timers[1], seconds, 100);
    for (; running > 0 && epoll_wait(loop, &ready, 1, -1) == 1; running--) {
        struct event *due = ready.data.ptr;
        close(due->fd);
        due->callback();
    }
    pthread_join(thread, NULL);
    return 0;
}
