/* The path behind a file descriptor, for naming locks on files. */
#ifndef SNARL_PRELOAD_FD_PATH_H
#define SNARL_PRELOAD_FD_PATH_H

#include "base/types.h"

#define FD_PATH_MAX 512u

/* Writes what /proc/self/fd says of fd (a deleted file's ends in " (deleted)"), without the part of pipes and sockets
 * that changes from run to run ("pipe", "socket"). False when it cannot be had. Raw system calls; any thread, signal
 * handlers too. */
bool fd_path(int fd, char *out, u32 size) __attribute__((visibility("hidden")));

#endif
