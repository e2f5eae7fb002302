/* A background thread that dies holding a lock, fixed: what it has taken it gives back on its way out.
 *
 * The section teaches: a thread that may be cancelled says beforehand what is to be undone. `pthread_cleanup_push` does
 * for cancellation and `pthread_exit` what an unlock on every path does for a return.
 *
 * What to look for: the thread is cancelled at the same place, and `main` gets the lock. snarl has nothing to report.
 *
 * Usage: fixed */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t saving;
static long saved;

static void unlock(void *mutex)
{
    pthread_mutex_unlock(mutex);
}

static void save(void)
{
    static const struct timespec slow_disk = {3600, 0};

    pthread_mutex_lock(&file_lock);
    pthread_cleanup_push(unlock, &file_lock);
    saved++;
    sem_post(&saving);
    nanosleep(&slow_disk, NULL);
    pthread_cleanup_pop(1); /* unlocks when nobody has cancelled it, too */
}

static void *background(void *unused)
{
    for (;;)
        save();
    return unused;
}

int main(void)
{
    pthread_t thread;

    sem_init(&saving, 0, 0);
    pthread_create(&thread, NULL, background, NULL);
    sem_wait(&saving);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    if (pthread_mutex_trylock(&file_lock) != 0) {
        puts("the file is locked, and nobody is there to unlock it");
        return 1;
    }
    printf("saved %ld times\n", saved);
    pthread_mutex_unlock(&file_lock);
    return 0;
}
