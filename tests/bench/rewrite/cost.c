/* cost PROGRAM ARGS...: runs it and prints seconds of processor time and peak resident memory in kB, its children's
 * included; status 128 + signal if it died of one. SIGTERM goes to the program. What it prints goes nowhere. A small
 * program between the measuring script and the measured program: a child begins with the memory of its parent. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile pid_t child;

static void hand_on(int sig)
{
    kill(child, sig);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    struct rusage used;
    int status;
    if (argc < 2)
        return 64;
    child = fork();
    if (child == 0) {
        int out = open("/dev/null", O_WRONLY);
        if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
            _exit(126);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    signal(SIGTERM, hand_on);
    while (child > 0 && wait4(child, &status, 0, &used) < 0)
        ;
    if (child < 0)
        return 125;
    printf("%.6f %ld\n", seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
