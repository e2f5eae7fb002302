/* Fork while another thread holds a lock, fixed by `pthread_atfork`: the forking thread takes the lock first.
 *
 * The section teaches: what has to fork without exec, and has threads, registers handlers for its locks. The first one
 * takes them before the fork, so that nobody else holds them; the other two give them back, one in each process. It has
 * to be done for every lock, those of libraries included, and in the right order: the other ways are easier.
 *
 * What to look for: the fork waits until the background thread is done with the log, and then the child writes its line.
 * snarl has nothing to report.
 *
 * Usage: atfork [SECONDS]    how long writing to the log takes, 1 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t in_the_middle;
static unsigned seconds = 1;

static void take_locks(void)
{
    pthread_mutex_lock(&log_lock);
}

static void give_locks_back(void)
{
    pthread_mutex_unlock(&log_lock);
}

static void *background(void *unused)
{
    pthread_mutex_lock(&log_lock);
    sem_post(&in_the_middle);
    sleep(seconds);
    puts("background: writes to the log");
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
    pid_t child = fork(); /* waits for the background thread, in take_locks */

    if (child == 0) {
        log_line("child: begins");
        exit(0);
    }
    return child;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int status;

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0); /* or the child prints again what the parent has not yet written */
    pthread_atfork(take_locks, give_locks_back, give_locks_back);
    sem_init(&in_the_middle, 0, 0);
    pthread_create(&thread, NULL, background, NULL);
    sem_wait(&in_the_middle);
    pid_t child = start_child();
    pthread_join(thread, NULL);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        puts("main: the child has failed");
    return 0;
}
