/* Fork while another thread holds a lock, fixed by the order of things: fork first, start threads afterwards.
 *
 * The section teaches: with one thread there is nobody else who could hold a lock at the fork. Servers start their
 * child processes before they start threads, or keep one process without threads that forks for them.
 *
 * What to look for: the child writes its line whatever the background thread does. snarl has nothing to report.
 *
 * Usage: fork-first [SECONDS]    how long writing to the log takes, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned seconds = 1;

static void log_line(const char *line)
{
    pthread_mutex_lock(&log_lock);
    sleep(seconds);
    puts(line);
    pthread_mutex_unlock(&log_lock);
}

static void *background(void *unused)
{
    log_line("background: writes to the log");
    return unused;
}

static pid_t start_child(void)
{
    pid_t child = fork();

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
    pid_t child = start_child();
    pthread_create(&thread, NULL, background, NULL);
    pthread_join(thread, NULL);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        puts("main: the child has failed");
    return 0;
}
