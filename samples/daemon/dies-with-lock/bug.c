/* A background thread that dies holding a lock: it is cancelled in the middle of its work.
 *
 * The section teaches: a thread that works in the background is ended by somebody else. Who ends it from outside, ends
 * it wherever it is: in the middle of a change, with the lock of that change in its hand.
 *
 * What goes wrong: `main` cancels the thread that saves the counter. `nanosleep` is a point where a thread may be
 * cancelled, and it stands between lock and unlock. Nobody can give the lock back any more.
 *
 * What to look for: `main` only tries the lock; waiting, it would wait for ever. `snarl run` reports the thread that
 * ended and still held the lock (lock-misuse), with the line where it had taken it.
 *
 * Usage: bug */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t saving;
static long saved;

static void save(void)
{
    static const struct timespec slow_disk = {3600, 0};

    pthread_mutex_lock(&file_lock);
    saved++;
    sem_post(&saving);
    nanosleep(&slow_disk, NULL);
    pthread_mutex_unlock(&file_lock);
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
