/* Programs that hang, each in its own way: hangs CASE. Says "ready" once all that is to wait is about to. What snarl
 * inspect has to say of each stands in inspect_test.py. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, c = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER, index_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t meeting, all_here;
static pthread_t threads[4];
static sem_t jobs;

static struct cache {
    int entries;
    pthread_mutex_t lock;
} * cache;

static void ready(void)
{
    puts("ready");
    fflush(stdout);
}

/* Both have their first lock before any asks for its second. */
static void together(void)
{
    pthread_barrier_wait(&all_here);
}

static void start(void *(*f)(void *), void *(*g)(void *), void *(*h)(void *))
{
    void *(*const functions[])(void *) = {f, g, h};
    unsigned n = h ? 3 : g ? 2 : 1;
    pthread_barrier_init(&all_here, NULL, n);
    for (unsigned i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, functions[i], NULL);
}

static void finish(void *(*f)(void *), void *(*g)(void *), void *(*h)(void *))
{
    start(f, g, h);
    ready();
    for (int i = 0; i < (h ? 3 : g ? 2 : 1); i++)
        pthread_join(threads[i], NULL);
}

#define TWO_LOCKS(name, first, second)                                                                                 \
    NOINLINE static void *name(void *unused)                                                                           \
    {                                                                                                                  \
        pthread_mutex_lock(&first);                                                                                    \
        together();                                                                                                    \
        pthread_mutex_lock(&second);                                                                                   \
        return unused;                                                                                                 \
    }
TWO_LOCKS(a_then_b, a, b)
TWO_LOCKS(b_then_a, b, a)
TWO_LOCKS(b_then_c, b, c)
TWO_LOCKS(c_then_a, c, a)

static void of_type(int type, int protocol)
{
    pthread_mutexattr_t t;
    pthread_mutexattr_init(&t);
    pthread_mutexattr_settype(&t, type);
    pthread_mutexattr_setprotocol(&t, protocol);
    pthread_mutex_init(&a, &t);
    pthread_mutex_init(&b, &t);
}

static void abba(void)
{
    finish(a_then_b, b_then_a, NULL);
}
static void ring(void)
{
    finish(a_then_b, b_then_c, c_then_a);
}
static void recursive(void)
{
    of_type(PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE);
    abba();
}
static _Atomic int waiter;
NOINLINE static void *waits_first(void *unused)
{
    pthread_mutex_lock(&a);
    waiter = (int)syscall(SYS_gettid);
    together();
    pthread_mutex_lock(&b);
    return unused;
}

static bool in_futex_lock(int tid)
{
    char path[64], text[128] = "";
    unsigned op = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
    int fd = open(path, O_RDONLY);
    bool in_futex = read(fd, text, sizeof text - 1) > 0 && sscanf(text, "202 %*x %x", &op) == 1;
    close(fd);
    op &= FUTEX_CMD_MASK;
    return in_futex && (op == FUTEX_LOCK_PI || op == 13 /* FUTEX_LOCK_PI2 */);
}

/* Both at once, the kernel may refuse both. */
NOINLINE static void *is_refused(void *unused)
{
    pthread_mutex_lock(&b);
    together();
    while (!in_futex_lock(waiter))
        usleep(1000);
    pthread_mutex_lock(&a);
    return unused;
}

static void inherit(void)
{
    of_type(PTHREAD_MUTEX_DEFAULT, PTHREAD_PRIO_INHERIT);
    finish(waits_first, is_refused, NULL);
}
static void adaptive(void)
{
    of_type(PTHREAD_MUTEX_ADAPTIVE_NP, PTHREAD_PRIO_NONE);
    abba();
}

NOINLINE static void *relocks(void *unused)
{
    pthread_mutex_lock(&a);
    pthread_mutex_lock(&a);
    return unused;
}
static void relock(void)
{
    finish(relocks, NULL, NULL);
}

NOINLINE static void *leaves(void *unused)
{
    pthread_mutex_lock(&a);
    return unused;
}
NOINLINE static void *takes(void *unused)
{
    pthread_mutex_lock(&a);
    return unused;
}
static void owner_ended(void)
{
    start(leaves, NULL, NULL);
    pthread_join(threads[0], NULL);
    finish(takes, NULL, NULL);
}

NOINLINE static void *writes_table(void *unused)
{
    pthread_rwlock_wrlock(&table);
    together();
    pthread_rwlock_rdlock(&index_lock);
    return unused;
}
NOINLINE static void *writes_index(void *unused)
{
    pthread_rwlock_wrlock(&index_lock);
    together();
    pthread_rwlock_wrlock(&table);
    return unused;
}
static void rwlocks(void)
{
    finish(writes_table, writes_index, NULL);
}

NOINLINE static void *joins_next(void *of)
{
    together();
    pthread_join(*(pthread_t *)of, NULL);
    return NULL;
}
/* glibc refuses circles of two. The main thread has ended meanwhile. */
static void join_circle(void)
{
    pthread_barrier_init(&all_here, NULL, 4);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, joins_next, &threads[(i + 1) % 3]);
    together();
    ready();
    pthread_exit(NULL);
}

static void join_with_lock(void)
{
    pthread_mutex_lock(&a);
    finish(takes, NULL, NULL);
}

NOINLINE static void *waits_for_change(void *unused)
{
    pthread_mutex_lock(&a);
    pthread_cond_wait(&changed, &a);
    return unused;
}
static void lost_signal(void)
{
    finish(waits_for_change, NULL, NULL);
}

NOINLINE static void *waits_for_job(void *unused)
{
    sem_wait(&jobs);
    return unused;
}
static void no_post(void)
{
    sem_init(&jobs, 0, 0);
    finish(waits_for_job, waits_for_job, NULL);
}

/* A signal's handler may post. */
static void posts(int unused)
{
    (void)unused;
    sem_post(&jobs);
}
static void handler_posts(void)
{
    signal(SIGUSR1, posts);
    no_post();
}

NOINLINE static void *meets(void *unused)
{
    pthread_barrier_wait(&meeting);
    return unused;
}
static void one_too_few(void)
{
    pthread_barrier_init(&meeting, NULL, 3);
    finish(meets, meets, NULL);
}

NOINLINE static void *file_then_a(void *unused)
{
    flockfile(stderr);
    together();
    pthread_mutex_lock(&a);
    return unused;
}
NOINLINE static void *a_then_file(void *unused)
{
    pthread_mutex_lock(&a);
    together();
    fputs("never seen\n", stderr);
    return unused;
}
static void file_lock(void)
{
    finish(file_then_a, a_then_file, NULL);
}

NOINLINE static void *cache_then_a(void *unused)
{
    pthread_mutex_lock(&cache->lock);
    together();
    pthread_mutex_lock(&a);
    return unused;
}
NOINLINE static void *a_then_cache(void *unused)
{
    pthread_mutex_lock(&a);
    together();
    pthread_mutex_lock(&cache->lock);
    return unused;
}
static void on_heap(void)
{
    cache = calloc(1, sizeof *cache);
    pthread_mutex_init(&cache->lock, NULL);
    finish(cache_then_a, a_then_cache, NULL);
}

/* One in the heap of a thread, one so large that it has a mapping of its own. */
static struct session {
    char name[24];
    pthread_mutex_t lock;
} * session;
static struct big_table {
    char rows[1 << 20];
    pthread_rwlock_t guard;
    int count;
} * big_table;
NOINLINE static void *session_then_table(void *unused)
{
    free(malloc(100));
    session = malloc(sizeof *session);
    pthread_mutex_init(&session->lock, NULL);
    pthread_mutex_lock(&session->lock);
    together();
    pthread_rwlock_wrlock(&big_table->guard);
    return unused;
}
NOINLINE static void *table_then_session(void *unused)
{
    big_table = calloc(1, sizeof *big_table);
    pthread_rwlock_init(&big_table->guard, NULL);
    pthread_rwlock_wrlock(&big_table->guard);
    together();
    pthread_mutex_lock(&session->lock);
    return unused;
}
static void blocks(void)
{
    finish(session_then_table, table_then_session, NULL);
}

static pthread_mutex_t *on_stack_lock;
NOINLINE static void *stack_then_a(void *unused)
{
    pthread_mutex_lock(on_stack_lock);
    together();
    pthread_mutex_lock(&a);
    return unused;
}
NOINLINE static void *a_then_stack(void *unused)
{
    pthread_mutex_lock(&a);
    together();
    pthread_mutex_lock(on_stack_lock);
    return unused;
}
NOINLINE static void on_stack(void)
{
    pthread_mutex_t local = PTHREAD_MUTEX_INITIALIZER;
    on_stack_lock = &local;
    finish(stack_then_a, a_then_stack, NULL);
}

static once_flag once = ONCE_FLAG_INIT;
NOINLINE static void initialise(void)
{
    together();
    pthread_mutex_lock(&a);
}
NOINLINE static void *calls_once(void *unused)
{
    call_once(&once, initialise);
    return unused;
}
NOINLINE static void *a_then_once(void *unused)
{
    pthread_mutex_lock(&a);
    together();
    call_once(&once, initialise);
    return unused;
}
static void once_and_lock(void)
{
    finish(calls_once, a_then_once, NULL);
}

/* Nobody waits for ever here. */
NOINLINE static void *tries_for_long(void *unused)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 300;
    pthread_mutex_lock(&b);
    together();
    pthread_mutex_timedlock(&a, &end);
    return unused;
}
static void timed(void)
{
    finish(a_then_b, tries_for_long, NULL);
}
NOINLINE static void *holds_and_sleeps(void *unused)
{
    pthread_mutex_lock(&a);
    together();
    for (;;)
        sleep(100);
    return unused;
}
NOINLINE static void *waits_for_sleeper(void *unused)
{
    together();
    pthread_mutex_lock(&a);
    return unused;
}
static void slow_owner(void)
{
    finish(holds_and_sleeps, waits_for_sleeper, NULL);
}
NOINLINE static void *runs(void *unused)
{
    together();
    for (;;)
        __asm__ volatile("" ::: "memory");
    return unused;
}
NOINLINE static void *waits_beside(void *unused)
{
    together();
    pthread_mutex_lock(&a);
    pthread_cond_wait(&changed, &a);
    return unused;
}
static void busy(void)
{
    finish(runs, waits_beside, NULL);
}

/* ---- calls that a stop would end ---- */

static int undisturbed_end[2], events, quiet[2];
static void told(const char *call, int error)
{
    printf("%s: %s\n", call, error == EINTR ? "disturbed" : "undisturbed");
}
static void *waits_for_events(void *unused)
{
    struct epoll_event e;
    together();
    told("epoll_wait", epoll_wait(events, &e, 1, -1) < 0 ? errno : 0);
    return unused;
}
static void *receives(void *unused)
{
    char byte;
    together();
    told("recv", recv(quiet[0], &byte, 1, 0) < 0 ? errno : 0);
    return unused;
}
static void *waits_for_signal(void *unused)
{
    sigset_t set;
    siginfo_t info;
    struct timespec long_time = {300, 0};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    together();
    told("sigtimedwait", sigtimedwait(&set, &info, &long_time) < 0 ? errno : 0);
    return unused;
}
/* Goes on when there is something on standard input. */
static void undisturbed(void)
{
    struct epoll_event e = {.events = EPOLLIN};
    struct timeval limit = {300, 0};
    sigset_t set;
    char byte;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pipe(undisturbed_end) || socketpair(AF_UNIX, SOCK_STREAM, 0, quiet))
        abort();
    setsockopt(quiet[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    events = epoll_create1(0);
    epoll_ctl(events, EPOLL_CTL_ADD, undisturbed_end[0], &e);
    start(waits_for_events, receives, waits_for_signal);
    ready();
    told("read", read(0, &byte, 1) < 0 ? errno : 0);
    if (write(undisturbed_end[1], "x", 1) != 1 || write(quiet[1], "x", 1) != 1)
        abort();
    kill(getpid(), SIGUSR1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* ---- outside the process ---- */

static int ends[2];
NOINLINE static void *reads(void *unused)
{
    char byte;
    if (read(ends[0], &byte, 1) < 0)
        abort();
    return unused;
}
static void own_pipe(void)
{
    if (pipe(ends))
        abort();
    finish(reads, NULL, NULL);
}

static void child_hangs(void)
{
    pid_t child = fork();
    if (!child) {
        pthread_mutex_lock(&a);
        pthread_mutex_lock(&a);
    }
    printf("%d\n", (int)child);
    ready();
    waitpid(child, NULL, 0);
}

static struct shared {
    pthread_mutex_t first, second;
    pthread_barrier_t both;
} * shared;
NOINLINE static void first_then_second(void)
{
    pthread_mutex_lock(&shared->first);
    pthread_barrier_wait(&shared->both);
    pthread_mutex_lock(&shared->second);
}
NOINLINE static void second_then_first(void)
{
    pthread_mutex_lock(&shared->second);
    pthread_barrier_wait(&shared->both);
    pthread_mutex_lock(&shared->first);
}
static void two_processes(void)
{
    pthread_mutexattr_t m;
    pthread_barrierattr_t x;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&m);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_barrierattr_init(&x);
    pthread_barrierattr_setpshared(&x, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->first, &m);
    pthread_mutex_init(&shared->second, &m);
    pthread_barrier_init(&shared->both, &x, 2);
    pid_t child = fork();
    if (!child) {
        second_then_first();
        _exit(0);
    }
    printf("%d\n", (int)child);
    ready();
    first_then_second();
}

NOINLINE static void writes_much(void)
{
    static char much[1 << 20];
    for (size_t at = 0; at < sizeof much;) {
        ssize_t n = write(ends[1], much + at, sizeof much - at);
        if (n <= 0)
            abort();
        at += (size_t)n;
    }
}

/* The reader waits for the writer's end. */
static void full_pipe(void)
{
    int status;
    if (pipe(ends))
        abort();
    pid_t child = fork();
    if (!child) {
        writes_much();
        _exit(0);
    }
    printf("%d\n", (int)child);
    ready();
    waitpid(child, &status, 0);
}

/* ---- who is at the other end ---- */

static void receive_from(int fd)
{
    char byte;
    if (recv(fd, &byte, 1, 0) < 0)
        abort();
}

/* Parent and child, each with one end, both listening. */
static void both_receive(int here, int there)
{
    pid_t child = fork();
    if (!child) {
        close(here);
        receive_from(there);
        _exit(0);
    }
    close(there);
    printf("%d\n", (int)child);
    ready();
    receive_from(here);
}

/* The child waits for what its parent has locked. */
static void waits_for_file(int by_record)
{
    char name[] = "/tmp/snarl-hangs-XXXXXX";
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = mkstemp(name), other = open(name, O_RDWR), status;
    unlink(name);
    if (by_record ? fcntl(fd, F_SETLK, &whole) : flock(fd, LOCK_EX))
        abort();
    pid_t child = fork();
    if (!child)
        _exit(by_record ? fcntl(other, F_SETLKW, &whole) : flock(other, LOCK_EX));
    printf("%d\n", (int)child);
    ready();
    waitpid(child, &status, 0);
}
static void flocks(void)
{
    waits_for_file(0);
}
static void records(void)
{
    waits_for_file(1);
}

static void sockets(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        abort();
    both_receive(ends[0], ends[1]);
}

static void tcp(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), there = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&at, n) || listen(listener, 1) || getsockname(listener, (void *)&at, &n) ||
        connect(there, (void *)&at, n))
        abort();
    int here = accept(listener, NULL, NULL);
    close(listener);
    both_receive(here, there);
}

/* A child has the pipe's other end, and waits for its parent. */
static void wait_beside(void (*wait_here)(int fd))
{
    int other[2];
    if (pipe(ends) || pipe(other))
        abort();
    pid_t child = fork();
    if (!child) {
        char byte;
        close(other[1]);
        close(ends[0]);
        _exit(read(other[0], &byte, 1) < 0);
    }
    close(other[0]);
    close(ends[1]);
    printf("%d\n", (int)child);
    ready();
    wait_here(ends[0]);
}

static void by_poll(int fd)
{
    struct pollfd p[2] = {{fd, POLLIN, 0}, {0, 0, 0}};
    poll(p, 1, -1);
}
static void polls(void)
{
    wait_beside(by_poll);
}
static void by_select(int fd)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    select(fd + 1, &set, NULL, NULL, NULL);
}
static void selects(void)
{
    wait_beside(by_select);
}
static void by_epoll(int fd)
{
    struct epoll_event e = {.events = EPOLLIN};
    events = epoll_create1(0);
    epoll_ctl(events, EPOLL_CTL_ADD, fd, &e);
    epoll_wait(events, &e, 1, -1);
}
static void epolls(void)
{
    wait_beside(by_epoll);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"full_pipe", full_pipe},
    {"flocks", flocks},
    {"records", records},
    {"sockets", sockets},
    {"tcp", tcp},
    {"polls", polls},
    {"selects", selects},
    {"epolls", epolls},
    {"abba", abba},
    {"ring", ring},
    {"recursive", recursive},
    {"inherit", inherit},
    {"adaptive", adaptive},
    {"relock", relock},
    {"owner_ended", owner_ended},
    {"rwlocks", rwlocks},
    {"join_circle", join_circle},
    {"join_with_lock", join_with_lock},
    {"lost_signal", lost_signal},
    {"no_post", no_post},
    {"handler_posts", handler_posts},
    {"one_too_few", one_too_few},
    {"file_lock", file_lock},
    {"on_heap", on_heap},
    {"blocks", blocks},
    {"on_stack", on_stack},
    {"once_and_lock", once_and_lock},
    {"timed", timed},
    {"slow_owner", slow_owner},
    {"busy", busy},
    {"undisturbed", undisturbed},
    {"own_pipe", own_pipe},
    {"child_hangs", child_hangs},
    {"two_processes", two_processes},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return 0;
        }
    fprintf(stderr, "usage: hangs CASE\n");
    return 2;
}
