/* Fork while another thread holds a lock, fixed by `posix_spawn`: the child is a new program and has locks of its own.
 *
 * The section teaches: a program with threads starts other programs with `posix_spawn`. Nothing of the parent's memory,
 * and so none of its locks, is there to hang on. What the child is to do goes to it as arguments.
 *
 * What to look for: the background thread holds the log's lock all the while, and the child, this same program with
 * "child" as its argument, writes its line. snarl has nothing to report.
 *
 * Usage: fixed [SECONDS]    how long writing to the log takes, 1 */
#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t in_the_middle, spawned;
static unsigned seconds = 1;

static void *background(void *unused)
{
    pthread_mutex_lock(&log_lock);
    sem_post(&in_the_middle);
    sleep(seconds);
    puts("background: writes to the log");
    sem_wait(&spawned);
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
    static char self[] = "/proc/self/exe", role[] = "child";
    char *arguments[] = {self, role, NULL};
    pid_t child;
    int error = posix_spawn(&child, self, NULL, NULL, arguments, environ);

    sem_post(&spawned);
    return error ? -1 : child;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int status;

    if (argc > 1 && strcmp(argv[1], "child") == 0) {
        log_line("child: begins");
        return 0;
    }
    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    sem_init(&in_the_middle, 0, 0);
    sem_init(&spawned, 0, 0);
    pthread_create(&thread, NULL, background, NULL);
    sem_wait(&in_the_middle);
    pid_t child = start_child();
    pthread_join(thread, NULL);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        puts("main: the child has failed");
    return 0;
}
