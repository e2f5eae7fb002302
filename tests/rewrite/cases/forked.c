/* A forked child's threads are watched, too, and what the parent's did is not held against them. -DBUG: one of the child's
 * threads does not take the lock. */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long count;

static void *add(void *careless)
{
    for (int i = 0; i < 1000; i++) {
        if (!careless)
            pthread_mutex_lock(&lock);
        count++;
        if (!careless)
            pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void two(void *careless)
{
    pthread_t a, b;
    pthread_create(&a, NULL, add, NULL);
    pthread_create(&b, NULL, add, careless);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

int main(void)
{
    two(NULL);
    pid_t child = fork();
    if (!child) {
#ifdef BUG
        two(&count);
#else
        two(NULL);
#endif
        _exit(count > 0 ? 7 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    two(NULL);
    printf("%d %ld\n", WEXITSTATUS(status), count);
}
