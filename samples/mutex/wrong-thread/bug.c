/* Unlock by the wrong thread: one thread takes the mutex, another one gives it back.
 *
 * The section teaches: a mutex belongs to the thread that has locked it, and only that thread may unlock it. It is no
 * signal that one thread sets and another one clears.
 *
 * What goes wrong: `main` locks the mutex of the printer for the job that it starts, and leaves the unlocking to the
 * job's thread, "when the paper is out". A default mutex of glibc lets that pass. POSIX calls it undefined: an
 * error-checking or priority-inheritance mutex refuses the unlock, and then the printer is locked for good.
 *
 * What to look for: the program looks right. `snarl run` reports the unlock by a thread that is not the owner
 * (lock-misuse), with the line of the unlock and the one where the owner took the mutex.
 *
 * Usage: bug [SECONDS]    how long a page takes, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t printer_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned seconds = 1;

static void *print_page(void *text)
{
    sleep(seconds);
    printf("printed: %s\n", (const char *)text);
    pthread_mutex_unlock(&printer_lock); /* not its own */
    return NULL;
}

static pthread_t start_job(char *text)
{
    pthread_t job;

    pthread_mutex_lock(&printer_lock);
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
