/* Starts the program and waits for it, as a shell's child would want: signals forwarded, job control sane. */
#ifndef SNARL_CLI_LAUNCH_H
#define SNARL_CLI_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

struct launch {
    const char *path;
    char **argv;
    void (*tick)(void *arg); /* called about ten times a second while the program runs, or as often as tick_ns says */
    long tick_ns;
    void *arg;
};

/* Call first: from here on signals wait for launch_run. */
void launch_prepare(void);
/* Runs it to its end: 0 with its wait status, or the errno of what failed (fork or exec). */
int launch_run(const struct launch *l, int *status);

#endif
