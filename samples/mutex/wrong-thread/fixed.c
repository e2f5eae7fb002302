/* Unlock by the wrong thread, fixed: the thread that prints takes the mutex itself, and gives it back itself.
 *
 * The section teaches: lock and unlock belong into one function, or at least into one thread. Who needs the printer
 * while it prints is the job, so the job takes the mutex.
 *
 * What to look for: the same output; snarl has nothing to report.
 *
 * Usage: fixed [SECONDS]    how long a page takes, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t printer_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned seconds = 1;

static void *print_page(void *text)
{
    pthread_mutex_lock(&printer_lock);
    sleep(seconds);
    printf("printed: %s\n", (const char *)text);
    pthread_mutex_unlock(&printer_lock);
    return NULL;
}

static pthread_t start_job(char *text)
{
    pthread_t job;

    printf("started: %s\n", text);
    pthread_create(&job, NULL, print_page, text);
    return job;
}

int main(int argc, char **argv)
{
    static char page[] = "page";

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    pthread_join(start_job(page), NULL);
    puts("done");
    return 0;
}
