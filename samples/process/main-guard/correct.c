/* The main guard: a program that starts itself as its own workers, and must not do so again in these.
 *
 * The section teaches: a process that is started afresh runs its program from the beginning. Where the program starts
 * processes of itself, something has to tell the first one from the others; otherwise each would start more of them.
 * In Python that is `if __name__ == "__main__"`, here it is the name in argv[0].
 *
 * What to look for: every worker says once what it does, and the number of processes is the number that was asked for.
 * snarl follows them all, and has nothing to report.
 *
 * Usage: correct [WORKERS]    how many, 2 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char worker_name[] = "worker";

static int work(const char *number)
{
    printf("worker %s: process %d, started by %d\n", number, (int)getpid(), (int)getppid());
    return 0;
}

static pid_t start_worker(int number)
{
    char text[20];
    char *arguments[] = {worker_name, text, NULL};
    pid_t pid;

    snprintf(text, sizeof text, "%d", number);
    return posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) == 0 ? pid : -1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[0], worker_name) == 0)
        return work(argv[1]); /* the guard: a worker works, and starts nobody */

    int workers = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2, status, done = 0;
    for (int i = 1; i <= workers; i++)
        start_worker(i);
    while (wait(&status) > 0)
        done += status == 0;
    printf("main: %d of %d workers are done\n", done, workers);
    return done != workers;
}
