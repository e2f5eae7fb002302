/* Unlock by the wrong thread, fixed by a semaphore: what one thread takes and another one gives back is no mutex.
 *
 * The section teaches: a semaphore has no owner. It counts what is free, here one printer; whoever wants it waits, and
 * any thread may post. That is the tool for handing something over.
 *
 * What to look for: `main` takes the printer, the job's thread gives it back, as in the bug. snarl has nothing to
 * report: a semaphore is made for that.
 *
 * Usage: semaphore [SECONDS]    how long a page takes, 1 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static sem_t free_printers;
static unsigned seconds = 1;

static void *print_page(void *text)
{
    sleep(seconds);
    printf("printed: %s\n", (const char *)text);
    sem_post(&free_printers);
    return NULL;
}

static pthread_t start_job(char *text)
{
    pthread_t job;

    sem_wait(&free_printers);
    printf("started: %s\n", text);
    pthread_create(&job, NULL, print_page, text);
    return job;
}

int main(int argc, char **argv)
{
    static char page[] = "page", another[] = "another page";

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    sem_init(&free_printers, 0, 1);
    pthread_t first = start_job(page), second = start_job(another);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    sem_destroy(&free_printers);
    puts("done");
    return 0;
}
