/* A variable in memory that processes share, touched by two of them: what puts them in order, and what does not.
 *
 * @case process_parent_and_child none
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * @case process_two_children children
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_other
 * One mutex of both; one each.
 * @case process_mutex mutex
 * @clean
 * @case process_mutexes mutexes
 * @finding data-race verdict=observed memory=shared->value side=in_child side=in_parent
 * @case process_rwlock rwlock
 * @clean
 * @case process_spin spin
 * @clean
 * @case process_semaphore semaphore
 * @clean
 * @case process_named_semaphore named
 * @clean
 * @case process_condition condition
 * @clean
 * @case process_barrier barrier
 * @clean
 * A byte through a pipe after the access, and before it.
 * @case process_pipe pipe
 * @clean
 * @case process_pipe_early pipe-early
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * @case process_socket socket
 * @clean
 * @case process_socket_early socket-early
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * @case process_flock flock
 * @clean
 * @case process_fcntl fcntl
 * @clean
 * @case process_lockf lockf
 * @clean
 * An atomic flag says that it is done; one that orders nothing.
 * @case process_atomic atomic
 * @clean
 * @case process_relaxed relaxed
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * The parent waits for the child; for another one.
 * @case process_waited wait
 * @clean
 * @case process_waited_for_another wait-another
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * Before the fork.
 * @case process_before_fork before
 * @clean
 * The same address, but memory of its own.
 * @case process_own own
 * @clean
 * Two reads.
 * @case process_readers readers
 * @clean
 * A thread of the parent, before the fork: the one that forks does not wait for it, or it does.
 * @case process_thread_before thread-before
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_thread
 * @case process_thread_joined thread-joined
 * @clean
 * A thread of the parent.
 * @case process_thread thread
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_thread
 */
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/socket.h>

#include "case.h"

struct shared {
    long value;
    long other;
    pthread_mutex_t mutex[2];
    pthread_cond_t condition;
    pthread_rwlock_t rwlock;
    pthread_spinlock_t spin;
    pthread_barrier_t barrier;
    sem_t semaphore;
    atomic_int flag;
    int ready;
};

static struct shared *shared;
static const char *mode;
static int ends[2];
static sem_t *named;
static char path[64];

static int is(const char *word)
{
    return !strcmp(mode, word);
}

static void prepare(void)
{
    pthread_mutexattr_t m;
    pthread_condattr_t c;
    pthread_rwlockattr_t r;
    pthread_barrierattr_t b;
    pthread_mutexattr_init(&m);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->mutex[0], &m);
    pthread_mutex_init(&shared->mutex[1], &m);
    pthread_condattr_init(&c);
    pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&shared->condition, &c);
    pthread_rwlockattr_init(&r);
    pthread_rwlockattr_setpshared(&r, PTHREAD_PROCESS_SHARED);
    pthread_rwlock_init(&shared->rwlock, &r);
    pthread_spin_init(&shared->spin, PTHREAD_PROCESS_SHARED);
    pthread_barrierattr_init(&b);
    pthread_barrierattr_setpshared(&b, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->barrier, &b, 2);
    sem_init(&shared->semaphore, 1, 0);
    snprintf(path, sizeof path, "/tmp/snarl-case-%d", (int)getpid());
    if (is("named")) {
        snprintf(path, sizeof path, "/snarl-case-%d", (int)getpid());
        named = sem_open(path, O_CREAT | O_EXCL, 0600, 0);
        sem_unlink(path);
    }
    if (is("socket") || is("socket-early"))
        (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    else
        (void)!pipe(ends);
}

/* Each process opens the file for itself: who shares the opening shares the lock. */
static int file_lock(void)
{
    struct flock f = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (is("flock"))
        flock(fd, LOCK_EX);
    else if (is("fcntl"))
        fcntl(fd, F_SETLKW, &f);
    else
        (void)!lockf(fd, F_LOCK, 0);
    return fd;
}

static void file_unlock(int fd)
{
    struct flock f = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    if (is("flock"))
        flock(fd, LOCK_UN);
    else if (is("fcntl"))
        fcntl(fd, F_SETLK, &f);
    else
        (void)!lockf(fd, F_ULOCK, 0);
    close(fd);
}

static int by_file(void)
{
    return is("flock") || is("fcntl") || is("lockf");
}

/* Around the access of each. */
static int enter(int who)
{
    if (is("mutex") || is("mutexes") || is("condition"))
        pthread_mutex_lock(&shared->mutex[is("mutexes") ? who : 0]);
    else if (is("rwlock"))
        pthread_rwlock_wrlock(&shared->rwlock);
    else if (is("spin"))
        pthread_spin_lock(&shared->spin);
    return by_file() ? file_lock() : -1;
}

static void leave(int who, int fd)
{
    if (is("mutex") || is("mutexes") || is("condition"))
        pthread_mutex_unlock(&shared->mutex[is("mutexes") ? who : 0]);
    else if (is("rwlock"))
        pthread_rwlock_unlock(&shared->rwlock);
    else if (is("spin"))
        pthread_spin_unlock(&shared->spin);
    else if (fd >= 0)
        file_unlock(fd);
}

static void touch(void)
{
    if (is("readers"))
        (void)*(volatile long *)&shared->value;
    else
        shared->value++;
}

NOINLINE static void in_child(void)
{
    int fd = enter(0);
    touch();
    leave(0, fd);
    __asm__ volatile("" ::: "memory");
}

NOINLINE static void in_other(void)
{
    touch();
    __asm__ volatile("# other" ::: "memory");
}

NOINLINE static void in_parent(void)
{
    int fd = enter(1);
    touch();
    leave(1, fd);
    __asm__ volatile("# parent" ::: "memory");
}

/* The child has done it, and says so. */
static void told(void)
{
    char byte = 0;
    if (is("semaphore"))
        sem_post(&shared->semaphore);
    else if (is("named"))
        sem_post(named);
    else if (is("barrier"))
        pthread_barrier_wait(&shared->barrier);
    else if (is("pipe") || is("socket"))
        (void)!write(ends[1], &byte, 1);
    else if (is("atomic"))
        atomic_store_explicit(&shared->flag, 1, memory_order_release);
    else if (is("relaxed"))
        atomic_store_explicit(&shared->flag, 1, memory_order_relaxed);
    else if (is("condition")) {
        pthread_mutex_lock(&shared->mutex[0]);
        shared->ready = 1;
        pthread_cond_signal(&shared->condition);
        pthread_mutex_unlock(&shared->mutex[0]);
    }
}

static void hear(pid_t child)
{
    char byte;
    if (is("semaphore"))
        sem_wait(&shared->semaphore);
    else if (is("named"))
        sem_wait(named);
    else if (is("barrier"))
        pthread_barrier_wait(&shared->barrier);
    else if (is("pipe") || is("socket") || is("pipe-early") || is("socket-early"))
        (void)!read(ends[0], &byte, 1);
    else if (is("atomic"))
        while (!atomic_load_explicit(&shared->flag, memory_order_acquire))
            ;
    else if (is("relaxed"))
        while (!atomic_load_explicit(&shared->flag, memory_order_relaxed))
            ;
    else if (is("condition")) {
        pthread_mutex_lock(&shared->mutex[0]);
        while (!shared->ready)
            pthread_cond_wait(&shared->condition, &shared->mutex[0]);
        pthread_mutex_unlock(&shared->mutex[0]);
    } else if (is("wait"))
        waitpid(child, NULL, 0);
}

static void child(void)
{
    char byte = 0;
    if (is("pipe-early") || is("socket-early"))
        (void)!write(ends[1], &byte, 1);
    if (is("before"))
        (void)*(volatile long *)&shared->value;
    else
        in_child();
    told();
    step_done(1);
    if (!is("wait") && !is("before") && !is("thread-before") && !is("thread-joined"))
        step_wait(2); /* it lives while the other one does its part */
    _exit(0);
}

static pid_t begin(void (*work)(void))
{
    pid_t pid = fork();
    if (!pid)
        work();
    return pid;
}

static void other(void)
{
    step_wait(1);
    in_other();
    step_done(2);
    _exit(0);
}

static void nothing(void)
{
    _exit(0);
}

NOINLINE static void *in_thread(void *unused)
{
    if (is("thread"))
        step_wait(1);
    shared->value++;
    if (is("thread-before"))
        step_done(1);
    return unused;
}

static void thread_before(void)
{
    pthread_t t;
    pthread_create(&t, NULL, in_thread, NULL);
    if (is("thread-joined"))
        pthread_join(t, NULL);
    else
        step_wait(1);
}

int main(int argc, char **argv)
{
    int flags = MAP_ANONYMOUS;
    mode = argc > 1 ? argv[1] : "none";
    flags |= is("own") ? MAP_PRIVATE : MAP_SHARED;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, flags, -1, 0);
    prepare();
    if (is("before"))
        in_parent();
    if (is("thread-before") || is("thread-joined"))
        thread_before();
    pid_t first = begin(child);
    if (is("children")) {
        begin(other);
    } else if (is("thread")) {
        pthread_t t;
        pthread_create(&t, NULL, in_thread, NULL);
        pthread_join(t, NULL);
        step_done(2);
    } else if (is("before") || is("thread-before") || is("thread-joined")) {
        waitpid(first, NULL, 0);
    } else {
        pid_t second = is("wait-another") ? begin(nothing) : 0;
        hear(first);
        step_wait(1);
        if (second)
            waitpid(second, NULL, 0);
        in_parent();
        step_done(2);
    }
    while (wait(NULL) > 0)
        ;
    unlink(path);
    return 0;
}
