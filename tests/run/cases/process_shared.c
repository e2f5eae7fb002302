/* Locks in shared memory, taken in opposite order by two processes.
 *
 * @case process_shared_abba mutex
 * @finding lock-order locks=*,* side=one side=two
 * @case process_shared_rwlock rwlock
 * @finding lock-order locks=*,* side=one side=two
 * @case process_shared_sem sem
 * @finding lock-order locks=*,* side=one side=two
 * @case process_shared_spin spin
 * @finding lock-order locks=*,* side=one side=two
 * @case process_shared_waited waited
 * @clean
 * @case process_shared_file file
 * @finding lock-order locks=*,* side=one side=two
 * Before the fork, and in the child: creation orders them.
 * @case process_shared_before_fork before
 * @clean
 * That the child had ended already was luck: nobody waited for it.
 * @case process_shared_met_in_passing passing
 * @finding lock-order locks=*,* side=one side=two
 * Asked for until it had ended, and known of by a signal.
 * @case process_shared_polled polled
 * @clean
 * @case process_shared_handler handler
 * @clean
 * @case process_shared_blocked blocked
 * @clean
 * Private memory at the same address is another lock in the child.
 * @case process_private private
 * @clean
 * A ring over three processes.
 * @case process_shared_ring3 ring
 * @finding lock-order locks=*,*,*
 */
#include "case.h"

struct locks {
    pthread_mutex_t m[3];
    pthread_rwlock_t rw[2];
    sem_t s[2];
    pthread_spinlock_t sp[2];
};

static struct locks *at;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void take(int i, int on)
{
    if (is("rwlock"))
        on ? pthread_rwlock_wrlock(&at->rw[i]) : pthread_rwlock_unlock(&at->rw[i]);
    else if (is("sem"))
        on ? sem_wait(&at->s[i]) : sem_post(&at->s[i]);
    else if (is("spin"))
        on ? pthread_spin_lock(&at->sp[i]) : pthread_spin_unlock(&at->sp[i]);
    else
        on ? lock(&at->m[i]) : unlock(&at->m[i]);
}

static void nested(int i, int j)
{
    take(i, 1);
    take(j, 1);
    take(j, 0);
    take(i, 0);
}

NOINLINE static void one(void)
{
    nested(0, 1);
    step_done(1);
}

NOINLINE static void two(void)
{
    step_wait(1);
    nested(1, 0);
}

static void make(void)
{
    pthread_mutexattr_t ma;
    pthread_rwlockattr_t ra;
    pthread_mutexattr_init(&ma);
    pthread_rwlockattr_init(&ra);
    pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
    pthread_rwlockattr_setpshared(&ra, PTHREAD_PROCESS_SHARED);
    int shared = !is("private");
    for (int i = 0; i < 3; i++)
        pthread_mutex_init(&at->m[i], shared ? &ma : NULL);
    for (int i = 0; i < 2; i++) {
        pthread_rwlock_init(&at->rw[i], &ra);
        sem_init(&at->s[i], 1, 1);
        pthread_spin_init(&at->sp[i], PTHREAD_PROCESS_SHARED);
    }
}

/* Both processes map the file for themselves, at different addresses. */
static struct locks *map_file(int fd, void *hint)
{
    void *p = mmap(hint, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static void ring(void)
{
    pid_t child[3];
    for (int i = 0; i < 3; i++) {
        child[i] = fork();
        if (!child[i]) {
            step_wait(i);
            nested(i, (i + 1) % 3);
            step_done(i + 1);
            _exit(0);
        }
    }
    for (int i = 0; i < 3; i++)
        waitpid(child[i], NULL, 0);
}

/* How the parent comes to know of the child's end without waiting for it. */
static void look_for(pid_t child)
{
    char path[32], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    if (is("polled")) {
        CHECK(waitpid(child, NULL, WNOHANG) == 0);
        meet(4, 2);
    }
    for (char state = 0; state != 'Z';) {
        int fd = open(path, O_RDONLY);
        CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
        close(fd);
        text[sizeof text - 1] = 0;
        state = strrchr(text, ')')[2];
    }
    CHECK(waitpid(child, NULL, WNOHANG) == child);
}

static void ignores(int unused)
{
    (void)unused;
}

static void expect(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (is("handler"))
        signal(SIGCHLD, ignores);
    if (is("blocked"))
        sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
    int fd = -1;
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("file")) {
        char path[] = "/tmp/snarl-case-shared-XXXXXX";
        fd = mkstemp(path);
        CHECK(fd >= 0 && !ftruncate(fd, 4096) && !unlink(path));
        at = map_file(fd, NULL);
    } else if (is("private")) {
        at = malloc(sizeof *at);
    } else
        at = case_memory(4096);
    make();
    if (is("ring")) {
        ring();
        return 0;
    }
    if (is("before"))
        one();
    expect();
    pid_t child = fork();
    if (!child) {
        if (fd >= 0) {
            at = map_file(fd, (char *)at + (64 << 20));
            CHECK(at);
        }
        is("before") ? two() : one();
        if (is("polled"))
            meet(4, 2);
        _exit(0);
    }
    int looked = is("passing") || is("polled") || is("handler") || is("blocked");
    if (looked)
        look_for(child);
    if (is("waited"))
        waitpid(child, NULL, 0);
    if (!is("before"))
        two();
    if (!is("waited") && !looked)
        waitpid(child, NULL, 0);
    return 0;
}
