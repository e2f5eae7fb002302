/* Deadlocks between processes, every time.
 *
 * @case deadlock_processes_mutex mutex
 * @finding deadlock verdict=observed locks=*,* side=one side=two
 * @strikes
 * @status 66
 * @case deadlock_processes_rwlock rwlock
 * @finding deadlock verdict=observed locks=*,* side=one side=two
 * @strikes
 * @case deadlock_processes_flock flock
 * @finding deadlock verdict=observed locks=*first.lock*,*second.lock* side=one side=two
 * @strikes
 * @case deadlock_processes_open_description ofd
 * @finding deadlock verdict=observed locks=*first.lock*,*second.lock* side=one side=two
 * @strikes
 * @case deadlock_processes_mixed mixed
 * @finding deadlock verdict=observed locks=*,*first.lock* side=one side=two
 * @strikes
 * The parent waits for its child, who waits for the parent's lock.
 * @case deadlock_processes_ring3 ring
 * @finding deadlock verdict=observed locks=*,*,*
 * @strikes
 * @case deadlock_processes_report mutex
 * @snarl --on-deadlock=report
 * @finding deadlock verdict=observed locks=*,* side=one side=two
 * @strikes
 * @hangs
 * @case deadlock_processes_break break
 * @snarl --on-deadlock=break
 * @finding deadlock verdict=observed locks=*,* side=one side=two
 * @strikes
 * @status 66
 * @output parent done\n
 * The nearest clean program: the child takes both one after the other.
 * @case deadlock_processes_not not
 * @clean
 */
#include "case.h"
#include <sys/file.h>

struct locks {
    pthread_mutex_t m[3];
    pthread_rwlock_t rw[2];
};

static struct locks *at;
static char folder[] = "/tmp/snarl-case-files-XXXXXX";
static char path[2][256];
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

/* Each its own open file description. The last of the four takes the name away, so that nothing is left behind. */
static int open_file(int i)
{
    int fd = open(path[i], O_RDWR);
    CHECK(fd >= 0);
    if (__atomic_add_fetch(&case_words[20 + i], 1, __ATOMIC_SEQ_CST) == 2)
        unlink(path[i]);
    rmdir(folder); /* when both are gone */
    return fd;
}

static int take(int i)
{
    if (is("rwlock"))
        return pthread_rwlock_wrlock(&at->rw[i]);
    if (is("flock") || (is("mixed") && i == 0))
        return flock(open_file(i), LOCK_EX);
    if (is("ofd")) {
        struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        return fcntl(open_file(i), F_OFD_SETLKW, &fl);
    }
    return lock(&at->m[i]);
}

NOINLINE static void one(void)
{
    int r = 0;
    take(0);
    meet(0, 2);
    if (is("not"))
        step_wait(1);
    r = take(1);
    if (is("break") || is("not")) {
        CHECK(!r || r == EDEADLK);
        unlock(&at->m[1]);
        unlock(&at->m[0]);
    }
}

NOINLINE static void two(void)
{
    int r = 0;
    take(1);
    meet(0, 2);
    if (is("not")) {
        unlock(&at->m[1]);
        step_done(1);
        return;
    }
    r = take(0);
    if (is("break")) {
        CHECK(!r || r == EDEADLK);
        unlock(&at->m[0]);
        unlock(&at->m[1]);
    }
}

static void make(void)
{
    pthread_mutexattr_t ma;
    pthread_rwlockattr_t ra;
    at = case_memory(4096);
    pthread_mutexattr_init(&ma);
    pthread_rwlockattr_init(&ra);
    pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
    pthread_rwlockattr_setpshared(&ra, PTHREAD_PROCESS_SHARED);
    for (int i = 0; i < 3; i++)
        pthread_mutex_init(&at->m[i], &ma);
    for (int i = 0; i < 2; i++)
        pthread_rwlock_init(&at->rw[i], &ra);
    if (is("flock") || is("ofd") || is("mixed")) {
        CHECK(mkdtemp(folder));
        snprintf(path[0], sizeof path[0], "%s/first.lock", folder);
        snprintf(path[1], sizeof path[1], "%s/second.lock", folder);
        for (int i = 0; i < (is("mixed") ? 1 : 2); i++)
            close(open(path[i], O_CREAT | O_RDWR, 0600));
    }
}

static void ring(void)
{
    for (int i = 0; i < 3; i++)
        if (!fork()) {
            lock(&at->m[i]);
            meet(0, 3);
            lock(&at->m[(i + 1) % 3]);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    make();
    if (is("ring")) {
        ring();
        return 0;
    }
    pid_t child = fork();
    if (!child) {
        one();
        _exit(0);
    }
    two();
    waitpid(child, NULL, 0);
    if (is("break"))
        dprintf(1, "parent done\n");
    return 0;
}
