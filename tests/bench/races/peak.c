/* Runs a program that cannot measure itself and prints "ns per byte" and its peak resident memory in kB:
 * peak BYTES OUTPUT PROGRAM ARGS... OUTPUT takes the program's standard output. Ends with the program's status. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPORTED 66 /* the status of tools that have something to report */

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(int argc, char **argv)
{
    struct rusage used;
    int status;
    if (argc < 4)
        return 64;
    double begin = now_ns();
    pid_t pid = fork();
    if (pid == 0) {
        int out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (out < 0 || dup2(out, 1) < 0)
            _exit(126);
        execvp(argv[3], argv + 3);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &used) != pid)
        return 125;
    double ns = now_ns() - begin;
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != REPORTED))
        return 1;
    printf("%.4f %ld\n", ns / atof(argv[1]), used.ru_maxrss);
    return WEXITSTATUS(status);
}
