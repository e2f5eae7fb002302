/* A counter in shared memory, fixed: the value has its lock beside it, in the same shared memory.
 *
 * The section teaches: a mutex that is made PTHREAD_PROCESS_SHARED works between processes when it lies in memory that
 * they share. Value and lock belong together; an array of values may have one lock for all.
 *
 * What to look for: 200,000, each time, and in the array what each of the two has done. snarl has nothing to report.
 *
 * Usage: fixed [STEPS]    how far each process counts, 100000 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct value {
    pthread_mutex_t lock;
    long now;
};
struct array {
    pthread_mutex_t lock;
    long now[2];
};
static struct shared {
    struct value counter;
    struct array done;
} * shared;
static long steps = 100000;

static void count(int me)
{
    for (long i = 0; i < steps; i++) {
        pthread_mutex_lock(&shared->counter.lock);
        shared->counter.now++;
        pthread_mutex_unlock(&shared->counter.lock);
        pthread_mutex_lock(&shared->done.lock);
        shared->done.now[me]++;
        pthread_mutex_unlock(&shared->done.lock);
    }
}

static void share(void)
{
    pthread_mutexattr_t attributes;

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->counter.lock, &attributes);
    pthread_mutex_init(&shared->done.lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static void start(int number)
{
    pid_t pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) {
        count(number);
        exit(0);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        steps = strtol(argv[1], NULL, 10);
    share();
    start(0);
    start(1);
    while (wait(NULL) > 0)
        ;
    printf("%ld of %ld: %ld and %ld\n", shared->counter.now, 2 * steps, shared->done.now[0], shared->done.now[1]);
    return 0;
}
