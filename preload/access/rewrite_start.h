/* Accesses of programs as they are: when they begin to be watched. */
#ifndef SNARL_ACCESS_REWRITE_START_H
#define SNARL_ACCESS_REWRITE_START_H

/* Before the program's first instruction, with snarl running. */
void rewrite_start(char **envp) __attribute__((visibility("hidden")));

#endif
