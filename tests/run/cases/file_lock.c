/* flock, record locks and lockf in opposite order, between threads and between processes.
 *
 * @case flock_threads flock threads
 * @finding lock-order locks=*first.lock*,*second.lock* side=one side=two
 * @case flock_processes flock processes
 * @finding lock-order locks=*first.lock*,*second.lock* side=one side=two
 * @case flock_and_mutex flock_mutex threads
 * @finding lock-order locks=*first.lock*,m side=one side=two
 * @case fcntl_processes fcntl processes
 * @finding lock-order locks=*first.lock*,*second.lock* side=one side=two
 * @case lockf_processes lockf processes
 * @finding lock-order locks=*first.lock*,*second.lock* side=one side=two
 * @case fcntl_open_description_threads ofd threads
 * @finding lock-order locks=*first.lock*,*second.lock* side=one side=two
 * @case fcntl_open_description_processes ofd processes
 * @finding lock-order locks=*first.lock*,*second.lock* side=one side=two
 * A file lock against a mutex in shared memory, and the nearest program that takes both in one order.
 * @case flock_and_mutex_processes flock_mutex processes
 * @finding lock-order locks=*first.lock*,* side=one side=two
 * @case flock_and_mutex_processes_not flock_mutex_same processes
 * @clean
 * @case fcntl_and_mutex_processes fcntl_mutex processes
 * @finding lock-order locks=*first.lock*,* side=one side=two
 * @case fcntl_and_mutex_processes_not fcntl_mutex_same processes
 * @clean
 * @case fcntl_open_description_and_mutex_processes ofd_mutex processes
 * @finding lock-order locks=*first.lock*,* side=one side=two
 * @case fcntl_open_description_and_mutex_processes_not ofd_mutex_same processes
 * @clean
 * @case lockf_and_mutex_processes lockf_mutex processes
 * @finding lock-order locks=*first.lock*,* side=one side=two
 * @case lockf_and_mutex_processes_not lockf_mutex_same processes
 * @clean
 *
 * Record locks belong to the process: its own threads never wait for each other there.
 * @case fcntl_threads fcntl threads
 * @clean
 * Shared locks on both sides let each other pass.
 * @case flock_shared flock_shared processes
 * @clean
 * @case fcntl_read_locks fcntl_read processes
 * @clean
 * Disjoint ranges of one file, taken in opposite order by address but never the same bytes.
 * @case fcntl_disjoint fcntl_disjoint processes
 * @clean
 * The other process was waited for before.
 * @case flock_child_waited flock waited
 * @clean
 * A try does not wait.
 * @case flock_nonblocking flock_try processes
 * @clean
 */
#include "case.h"
#include <sys/file.h>

static char path[3][256];
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER, *guard = &m;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static int starts(const char *prefix)
{
    return !strncmp(shape, prefix, strlen(prefix));
}

static void record(int fd, int command, int type, off_t at)
{
    struct flock fl;
    memset(&fl, 0, sizeof fl);
    fl.l_type = (short)type;
    fl.l_whence = SEEK_SET;
    fl.l_start = at;
    fl.l_len = 10;
    CHECK(!fcntl(fd, command, &fl));
}

NOINLINE static void take(int fd, int side, int closing)
{
    if (is("flock_shared"))
        CHECK(!flock(fd, LOCK_SH));
    else if (is("flock_try") && closing)
        CHECK(!flock(fd, LOCK_EX | LOCK_NB));
    else if (starts("flock"))
        CHECK(!flock(fd, LOCK_EX));
    else if (starts("ofd"))
        record(fd, F_OFD_SETLKW, F_WRLCK, 0);
    else if (starts("lockf"))
        CHECK(!lockf(fd, F_LOCK, 0));
    else
        record(fd, F_SETLKW, is("fcntl_read") ? F_RDLCK : F_WRLCK, is("fcntl_disjoint") ? side * 100 : 0);
}

static void give(int fd, int side)
{
    if (starts("flock"))
        CHECK(!flock(fd, LOCK_UN));
    else if (starts("ofd"))
        record(fd, F_OFD_SETLKW, F_UNLCK, 0);
    else if (starts("lockf"))
        CHECK(!lockf(fd, F_ULOCK, 0));
    else
        record(fd, F_SETLK, F_UNLCK, is("fcntl_disjoint") ? side * 100 : 0);
}

static void both(int first, int second, int side)
{
    int fd1 = open(path[first], O_RDWR), fd2 = open(path[second], O_RDWR);
    int with_mutex = strstr(shape, "_mutex") != NULL;
    CHECK(fd1 >= 0 && fd2 >= 0);
    if (with_mutex && side == 2 && !strstr(shape, "_same")) {
        lock(guard);
        take(fd2, side, 1);
        give(fd2, side);
        unlock(guard);
    } else {
        take(fd1, side, 0);
        with_mutex ? (void)lock(guard) : take(fd2, side, 1);
        with_mutex ? (void)unlock(guard) : give(fd2, side);
        give(fd1, side);
    }
    close(fd1);
    close(fd2);
}

NOINLINE static void *one(void *arg)
{
    both(0, 1, 1);
    step_done(1);
    return arg;
}

NOINLINE static void *two(void *arg)
{
    step_wait(1);
    strstr(shape, "_same") ? both(0, 1, 2) : both(1, 0, 2);
    return arg;
}

static void share_guard(void)
{
    pthread_mutexattr_t a;
    guard = case_memory(4096);
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(guard, &a);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/snarl-case-files-XXXXXX";
    if (argc < 3)
        return 64;
    shape = argv[1];
    CHECK(mkdtemp(folder));
    snprintf(path[0], sizeof path[0], "%s/first.lock", folder);
    snprintf(path[1], sizeof path[1], "%s/second.lock", folder);
    for (int i = 0; i < 2; i++)
        close(open(path[i], O_CREAT | O_RDWR, 0600));
    if (!strcmp(argv[2], "threads")) {
        pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
        join(t1);
        join(t2);
    } else {
        share_guard();
        pid_t child = fork();
        if (!child) {
            one(NULL);
            _exit(0);
        }
        if (!strcmp(argv[2], "waited"))
            waitpid(child, NULL, 0);
        two(NULL);
        if (strcmp(argv[2], "waited"))
            waitpid(child, NULL, 0);
    }
    unlink(path[0]);
    unlink(path[1]);
    rmdir(folder);
    return 0;
}
