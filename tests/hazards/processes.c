/* 200 processes with 4 threads each, of which some are killed wherever they happen to be: processes SEED
 *
 * All count under a robust mutex in shared memory, and take two private mutexes in one order. The last process, which is
 * not killed, takes them in both orders. Prints how many were killed. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 200
#define THREADS 4
#define ROUNDS 200

struct shared {
    pthread_mutex_t lock;
    long counter;
};

static struct shared *shared;
static atomic_int finished;
static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER, inner = PTHREAD_MUTEX_INITIALIZER;

static void count(void)
{
    if (pthread_mutex_lock(&shared->lock) == EOWNERDEAD)
        pthread_mutex_consistent(&shared->lock);
    shared->counter++;
    pthread_mutex_unlock(&shared->lock);
}

static void *work(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&outer);
        pthread_mutex_lock(&inner);
        pthread_mutex_unlock(&inner);
        pthread_mutex_unlock(&outer);
        count();
        if (i % 10 == 0)
            usleep(1000);
    }
    atomic_fetch_add_explicit(&finished, 1, memory_order_relaxed);
    return arg;
}

static void *other_way(void *arg)
{
    pthread_mutex_lock(&inner);
    pthread_mutex_lock(&outer);
    pthread_mutex_unlock(&outer);
    pthread_mutex_unlock(&inner);
    return arg;
}

static void run_threads(int last)
{
    pthread_t t[THREADS + 1];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, work, NULL);
    for (int i = 0; i < THREADS; i++)
        if (!last)
            pthread_join(t[i], NULL);
    if (!last)
        return;
    while (atomic_load_explicit(&finished, memory_order_relaxed) < THREADS) /* else it may be a deadlock */
        usleep(1000);
    pthread_create(&t[THREADS], NULL, other_way, NULL);
    for (int i = 0; i <= THREADS; i++)
        pthread_join(t[i], NULL);
}

static pid_t start(int last)
{
    pid_t pid = fork();
    if (pid == 0) {
        run_threads(last);
        _exit(0);
    }
    return pid;
}

int main(int argc, char **argv)
{
    pid_t child[PROCESSES];
    pthread_mutexattr_t attr;
    int killed = 0;
    srand(argc > 1 ? (unsigned)atoi(argv[1]) : 1);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->lock, &attr);
    for (int i = 0; i < PROCESSES; i++) {
        child[i] = start(0);
        if (rand() % 2) {
            usleep((unsigned)rand() % 3000);
            kill(child[rand() % (i + 1)], SIGKILL);
        }
    }
    for (int i = 0, status; i < PROCESSES; i++)
        if (waitpid(child[i], &status, 0) == child[i] && WIFSIGNALED(status))
            killed++;
    waitpid(start(1), NULL, 0);
    printf("%d killed\n", killed);
    return killed < 10 || killed > PROCESSES - 10;
}
