/* Deadlock between processes: two processes take two locks in shared memory in opposite order.
 *
 * The section teaches: processes share nothing by themselves, so they cannot race on each other's variables. Give them
 * shared memory and locks in it, and they can wait for each other just like threads.
 *
 * What goes wrong: the child `first` takes lock a and then lock b, the child `second` takes lock b and then lock a,
 * with a second's work between. The parent waits for both of them, so it hangs too.
 *
 * What to look for: `snarl run` ends the two children at the moment they block for good, and the report shows both
 * processes, the locks they hold and the ones they wait for.
 *
 * Usage: bug [SECONDS]    how long each process works between its two locks, 1 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    pthread_mutex_t lock_a, lock_b;
    atomic_int holding;
};
static struct shared *shared;
static unsigned seconds = 1;

/* A second is long enough for the other process to get its lock, nearly always. Waiting for it makes that certain. */
static void work(void)
{
    sleep(seconds);
    atomic_fetch_add(&shared->holding, 1);
    while (atomic_load(&shared->holding) < 2)
        sched_yield();
}

static void first(void)
{
    pthread_mutex_lock(&shared->lock_a);
    puts("first:  has lock a, wants lock b");
    work();
    pthread_mutex_lock(&shared->lock_b);
    puts("first:  has both");
    pthread_mutex_unlock(&shared->lock_b);
    pthread_mutex_unlock(&shared->lock_a);
}

static void second(void)
{
    pthread_mutex_lock(&shared->lock_b);
    puts("second: has lock b, wants lock a");
    work();
    pthread_mutex_lock(&shared->lock_a);
    puts("second: has both");
    pthread_mutex_unlock(&shared->lock_a);
    pthread_mutex_unlock(&shared->lock_b);
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
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines come out as they are printed, into a pipe too */
    share_locks();
    start(first);
    start(second);
    while (wait(&status) > 0)
        failed += status != 0;
    puts(failed ? "the children have failed" : "done");
    return failed != 0;
}
