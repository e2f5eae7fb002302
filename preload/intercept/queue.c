/* Hooks of queues and counters of the kernel's: epoll, timers as descriptors, POSIX and System V message queues, System
 * V semaphores. Called by all modules. Takes the engine's locks; allocates nothing. */
#include "transfer.h"

/* ---- epoll: who adds or changes an entry did so before who is told of it ---- */

int hook_epoll_ctl(int fd, int operation, int target, struct epoll_event *event)
{
    u64 key = fd_key(fd);
    TOUCH(COUNTED(USES(fd), USES(target), event ? READS(event, sizeof *event) : (void)0),
          operation != EPOLL_CTL_DEL ? RELEASE(key) : (void)0);
    return HOOKED(epoll_ctl)(fd, operation, target, event);
}

#define EVENTS WRITES(events, (u64)r * sizeof *events)
RECEIVED(int, epoll_wait, (int fd, struct epoll_event *events, int n, int timeout), (fd, events, n, timeout), fd,
         EVENTS)
RECEIVED(int, epoll_pwait, (int fd, struct epoll_event *events, int n, int timeout, const sigset_t *mask),
         (fd, events, n, timeout, mask), fd, EVENTS)
RECEIVED(int, epoll_pwait2,
         (int fd, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *mask),
         (fd, events, n, timeout, mask), fd, EVENTS)

/* The read of the timer's descriptor acquires. */
int hook_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    u64 key = fd_key(fd);
    TOUCH(COUNTED(USES(fd), READS(new, sizeof *new)), RELEASE(key));
    int r = HOOKED(timerfd_settime)(fd, flags, new, old);
    if (!r && old)
        TOUCH(COUNTED(WRITES(old, sizeof *old)));
    return r;
}

/* ---- POSIX message queues, which are descriptors ---- */

SENDING(int, mq_send, (mqd_t fd, const char *from, size_t n, unsigned priority), (fd, from, n, priority), fd,
        READS(from, n))
SENDING(int, mq_timedsend, (mqd_t fd, const char *from, size_t n, unsigned priority, const struct timespec *deadline),
        (fd, from, n, priority, deadline), fd, READS(from, n))
#define MESSAGE (WRITES(to, r), priority ? WRITES(priority, sizeof *priority) : (void)0)
RECEIVED(ssize_t, mq_receive, (mqd_t fd, char *to, size_t n, unsigned *priority), (fd, to, n, priority), fd, MESSAGE)
RECEIVED(ssize_t, mq_timedreceive,
         (mqd_t fd, char *restrict to, size_t n, unsigned *restrict priority, const struct timespec *restrict deadline),
         (fd, to, n, priority, deadline), fd, MESSAGE)

/* ---- System V ---- */

enum { OTHER_QUEUE = 0, OTHER_SEMAPHORES };

int hook_msgsnd(int id, const void *from, size_t n, int flags)
{
    u64 key = fd_key_other(OTHER_QUEUE, (u64)id);
    TOUCH(COUNTED(READS(from, sizeof(long) + n)), RELEASE(key));
    return HOOKED(msgsnd)(id, from, n, flags);
}

ssize_t hook_msgrcv(int id, void *to, size_t n, long type, int flags)
{
    u64 key = fd_key_other(OTHER_QUEUE, (u64)id);
    ssize_t r = HOOKED(msgrcv)(id, to, n, type, flags);
    if (r >= 0)
        TOUCH(ACQUIRE(key), COUNTED(WRITES(to, sizeof(long) + (u64)r)));
    return r;
}

/* A set of semaphores as one: adding releases; taking, and waiting for zero, acquires. */
static void before_operations(int id, const struct sembuf *operations, size_t n, const u64 *fp)
{
    struct thread *t = touch_enter(fp);
    if (!t)
        return;
    COUNTED(READS(operations, n * sizeof *operations));
    for (size_t i = 0; i < n; i++) {
        if (operations[i].sem_op <= 0)
            continue;
        hb_release(t, fd_key_other(OTHER_SEMAPHORES, (u64)id));
        break;
    }
    interceptor_leave(t);
}

static void after_operations(int id, const struct sembuf *operations, size_t n, const u64 *fp)
{
    bool waits = false;
    for (size_t i = 0; i < n; i++)
        waits |= operations[i].sem_op <= 0;
    struct thread *t = waits ? touch_enter(fp) : NULL;
    if (!t)
        return;
    hb_acquire(t, fd_key_other(OTHER_SEMAPHORES, (u64)id));
    interceptor_leave(t);
}

#define OPERATES(name, parameters, arguments)                                                                          \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        before_operations(id, operations, n, INTERCEPTOR_FP());                                                        \
        int r = HOOKED(name) arguments;                                                                                \
        if (!r)                                                                                                        \
            after_operations(id, operations, n, INTERCEPTOR_FP());                                                     \
        return r;                                                                                                      \
    }
OPERATES(semop, (int id, struct sembuf *operations, size_t n), (id, operations, n))
OPERATES(semtimedop, (int id, struct sembuf *operations, size_t n, const struct timespec *timeout),
         (id, operations, n, timeout))
