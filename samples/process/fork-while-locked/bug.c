/* Fork while another thread holds a lock: the child gets the lock, but not the thread that would give it back.
 *
 * The section teaches: `fork` copies the memory, with all locks as they are, and one thread, the one that calls it. A
 * lock that another thread holds at that moment stays locked in the child for ever.
 *
 * What goes wrong: a background thread is writing the log when `main` forks. The child's first line for the log waits
 * for the log's lock; its owner does not exist there. Many hang like that inside libraries, on locks that they have
 * never heard of.
 *
 * What to look for: the child prints nothing, and the parent waits for it. `snarl run` reports the lock that was held by
 * another thread at the fork (lock-misuse), and the deadlock of the child, which it ends; the parent goes on.
 *
 * Usage: bug [SECONDS]    how long writing to the log takes, 1 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t in_the_middle, forked;
static unsigned seconds = 1;

static void *background(void *unused)
{
    pthread_mutex_lock(&log_lock);
    sem_post(&in_the_middle);
    sleep(seconds);
    puts("background: writes to the log");
    sem_wait(&forked); /* the luck of this run: the fork comes while it holds the lock */
    pthread_mutex_unlock(&log_lock);
    return unused;
}

static void log_line(const char *line)
{
    pthread_mutex_lock(&log_lock);
    puts(line);
    pthread_mutex_unlock(&log_lock);
}

static pid_t start_child(void)
{
    pid_t child = fork();

    if (child == 0) {
        log_line("child: begins");
        exit(0);
    }
    sem_post(&forked);
    return child;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int status;

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0); /* or the child prints again what the parent has not yet written */
    sem_init(&in_the_middle, 0, 0);
    sem_init(&forked, 0, 0);
    pthread_create(&thread, NULL, background, NULL);
    sem_wait(&in_the_middle);
    pid_t child = start_child();
    pthread_join(thread, NULL);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        puts("main: the child has failed");
    return 0;
}
