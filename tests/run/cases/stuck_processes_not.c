/* The nearest clean programs to those of stuck_processes.c: something comes later, by time, by a signal, by a thread that
 * runs, or from outside.
 *
 * @case stuck_processes_drained drained
 * @clean
 * @case stuck_processes_polite polite
 * @clean
 * @case stuck_processes_time_limit time_limit
 * @clean
 * @case stuck_processes_socket_limit socket_limit
 * @clean
 * @case stuck_processes_handler handler
 * @clean
 * @case stuck_processes_alarm alarm
 * @clean
 * @case stuck_processes_timer timer
 * @clean
 * @case stuck_processes_timer_descriptor timer_descriptor
 * @clean
 * @case stuck_processes_other_thread other_thread
 * @clean
 * @case stuck_processes_outside outside
 * @clean
 * @case stuck_processes_outside_memory outside_memory
 * @clean
 * @case stuck_processes_comes_later comes_later
 * @clean
 * @case stuck_processes_named_semaphore named_semaphore
 * @clean
 * @case stuck_processes_pool_larger pool_larger
 * @clean
 * @case stuck_processes_ended_by_parent ended_by_parent
 * @clean
 */
#include "stuck_processes.h"

static void on_signal(int sig)
{
    (void)sig;
    CHECK(write(one[1], "x", 1) == 1);
}

static void handler(void)
{
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGUSR1, on_signal);
        write_byte(ready[1]);
        read_byte(two[0]);
        _exit(0);
    }
    read_byte(ready[0]);
    if (fork() == 0) { /* has no end of the two pipes, but may send */
        close_all();
        nap_ms(LONG_MS);
        kill(child, SIGUSR1);
        _exit(0);
    }
    read_byte(one[0]);
    write_byte(two[1]);
    while (wait(NULL) > 0)
        ;
}

static void timer_comes(union sigval unused)
{
    (void)unused;
    write_byte(one[1]);
}

static void timer(void)
{
    struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = timer_comes};
    struct itimerspec when = {.it_value = {0, LONG_MS * 1000000L}};
    timer_t t;
    CHECK(timer_create(CLOCK_MONOTONIC, &e, &t) == 0 && timer_settime(t, 0, &when, NULL) == 0);
    read_byte(one[0]);
    timer_delete(t);
}

static void timer_descriptor(void)
{
    struct itimerspec when = {.it_value = {0, LONG_MS * 1000000L}};
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    CHECK(fd >= 0 && timerfd_settime(fd, 0, &when, NULL) == 0);
    epoll_for_byte(fd, -1);
}

static void *writes_later(void *unused)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < LONG_MS);
    write_byte(one[1]);
    return unused;
}

/* An unwatched process has the other end, and nobody else. */
static void outside(void)
{
    char *argv[] = {"sh", "-c", "sleep 0.7; echo x >&9", NULL}, *none[] = {"PATH=/usr/bin:/bin", NULL};
    if (fork() == 0) {
        dup2(one[1], 9);
        close(one[1]);
        execve("/bin/sh", argv, none);
        _exit(73);
    }
    close(one[1]);
    read_byte(one[0]);
    wait(NULL);
}

static sem_t *map_semaphore(int fd)
{
    sem_t *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(s != MAP_FAILED);
    return s;
}

/* The only one who could post is an unwatched process that has the memory's descriptor. */
static void outside_memory(void)
{
    char number[16], *argv[] = {"post", "post_later", number, NULL}, *none[] = {NULL};
    int fd = memfd_create("snarl-case", 0);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    sem_t *s = map_semaphore(fd);
    sem_init(s, 1, 0);
    snprintf(number, sizeof number, "%d", fd);
    if (fork() == 0) {
        execve("/proc/self/exe", argv, none);
        _exit(73);
    }
    pid_t child = fork();
    if (child == 0) {
        wait_for_post(s);
        _exit(0);
    }
    wait_for(child);
    wait(NULL);
}

static void post_later(int fd)
{
    nap_ms(LONG_MS);
    sem_post(map_semaphore(fd));
}

/* A server's named pipe, which it keeps open itself: somebody will come. */
static void comes_later(void)
{
    char path[] = "/tmp/snarl-case-pipe-XXXXXX";
    CHECK(mkdtemp(path) && rmdir(path) == 0 && mkfifo(path, 0600) == 0);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    char command[128], *argv[] = {"sh", "-c", command, NULL}, *none[] = {"PATH=/usr/bin:/bin", NULL};
    snprintf(command, sizeof command, "sleep 0.7; echo x >%s; rm %s", path, path);
    if (fork() == 0) {
        close(fd);
        execve("/bin/sh", argv, none);
        _exit(73);
    }
    read_byte(fd);
    wait(NULL);
}

/* Anybody may open it by its name. */
static void named_semaphore(void)
{
    char name[64];
    snprintf(name, sizeof name, "/snarl-case-%d", (int)getpid());
    sem_t *s = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
    CHECK(s != SEM_FAILED);
    pid_t child = fork();
    if (child == 0) {
        wait_for_post(s);
        _exit(0);
    }
    nap_ms(LONG_MS);
    sem_post(s);
    wait_for(child);
    sem_unlink(name);
}

static void dies_in_time(void)
{
    struct itimerval soon = {.it_value = {0, LONG_MS * 1000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    close(one[1]);
    read_byte(two[0]);
}

/* It ends by itself: by the signal of its alarm. */
static void alarm_comes(void)
{
    pid_t child = begin(dies_in_time);
    wait_for(child);
}

/* The child waits for ever, but its parent has the pipe and a clock. */
static void ended_by_parent(void)
{
    pid_t child = begin(second);
    nap_ms(LONG_MS);
    kill(child, SIGKILL);
    wait_for(child);
}

static void socket_limit(void)
{
    struct timeval limit = {0, LONG_MS * 1000};
    char byte;
    make_sockets();
    CHECK(setsockopt(one[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    pid_t child = begin(second);
    CHECK(recv(one[0], &byte, 1, 0) == -1 && errno == EAGAIN);
    write_byte(one[0]);
    wait_for(child);
}

static void time_limit(void)
{
    struct pollfd p = {one[0], POLLIN, 0};
    pid_t child = begin(second);
    CHECK(poll(&p, 1, LONG_MS) == 0);
    write_byte(two[1]);
    wait_for(child);
}

static void clean(void)
{
    static const struct {
        const char *name;
        void (*f)(void);
    } all[] = {{"time_limit", time_limit},
               {"socket_limit", socket_limit},
               {"handler", handler},
               {"alarm", alarm_comes},
               {"timer", timer},
               {"timer_descriptor", timer_descriptor},
               {"outside", outside},
               {"outside_memory", outside_memory},
               {"comes_later", comes_later},
               {"named_semaphore", named_semaphore},
               {"ended_by_parent", ended_by_parent}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (is(all[i].name)) {
            all[i].f();
            return;
        }
    if (is("drained")) {
        full_pipe(true);
    } else if (is("polite")) {
        write_byte(two[1]); /* the first speaks first */
        talk();
    } else if (is("other_thread")) {
        pthread_t later = start(writes_later, NULL);
        read_byte(one[0]);
        join(later);
    } else if (is("pool_larger")) {
        pool(2);
    }
}

int main(int argc, char **argv)
{
    shape = argc > 1 ? argv[1] : "";
    if (is("post_later")) {
        post_later(atoi(argv[2]));
        return 0;
    }
    make_ends();
    clean();
    return 0;
}
