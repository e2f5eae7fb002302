/* A daemon thread that holds a lock when the program ends: no bug.
 *
 * The section teaches: a detached thread dies with the program. When `main` returns, the kernel ends it wherever it is,
 * and takes the memory back with all locks in it. Nobody is left who could wait for one.
 *
 * What to look for: the program ends at once, though the daemon would work for an hour with the lock taken. snarl has
 * nothing to report: a lock that is held at the end of the process is no finding, at the end of a thread it is.
 *
 * Usage: at-exit */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t saving;

static void *background(void *unused)
{
    for (;;) {
        pthread_mutex_lock(&file_lock);
        sem_post(&saving);
        sleep(3600);
        pthread_mutex_unlock(&file_lock);
    }
    return unused;
}

int main(void)
{
    pthread_t thread;

    sem_init(&saving, 0, 0);
    pthread_create(&thread, NULL, background, NULL);
    pthread_detach(thread);
    sem_wait(&saving);
    puts("main: ends, and the daemon with it");
    return 0;
}
