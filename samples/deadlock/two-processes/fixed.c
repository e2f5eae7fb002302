/* Deadlock between processes, fixed by one order: both take lock a before lock b.
 *
 * The section teaches: the rule is the same as for threads. Locks that are held together are taken in one order by
 * everybody, in whatever process they live.
 *
 * What to look for: the second process waits for lock a before it has anything, both end, and snarl has nothing to
 * report.
 *
 * Usage: fixed [SECONDS]    how long each process works between its two locks, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    pthread_mutex_t lock_a, lock_b;
};
static struct shared *shared;
static unsigned seconds = 1;

static void first(void)
{
    pthread_mutex_lock(&shared->lock_a);
    puts("first:  has lock a, wants lock b");
    sleep(seconds);
    pthread_mutex_lock(&shared->lock_b);
    puts("first:  has both");
    pthread_mutex_unlock(&shared->lock_b);
    pthread_mutex_unlock(&shared->lock_a);
}

static void second(void)
{
    pthread_mutex_lock(&shared->lock_a);
    puts("second: has lock a, wants lock b");
    sleep(seconds);
    pthread_mutex_lock(&shared->lock_b);
    puts("second: has both");
    pthread_mutex_unlock(&shared->lock_b);
    pthread_mutex_unlock(&shared->lock_a);
}

static void share_locks(void)
{
    pthread_mutexattr_t attributes;

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->lock_a, &attributes);
    pthread_mutex_init(&shared->lock_b, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static void start(void (*work_of_child)(void))
{
    pid_t pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) {
        work_of_child();
        exit(0);
    }
}

int main(int argc, char **argv)
{
    int status, failed = 0;

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0); /* or the children print again what the parent has not yet written */
    share_locks();
    start(first);
    start(second);
    while (wait(&status) > 0)
        failed += status != 0;
    puts(failed ? "the children have failed" : "done");
    return failed != 0;
}
