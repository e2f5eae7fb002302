/* `--halt`: the program asks, for each finding, whether it counts, and ends at the first that does. */
#ifndef SNARL_CLI_HALT_H
#define SNARL_CLI_HALT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/types.h"

/* How many of these findings count. */
typedef size_t (*halt_judge)(const u32 *findings, u32 n, void *arg);

/* From here on threads that find something wait for halt_look. Before the program starts. */
void halt_begin(void);
/* Judges what is new, and says so to who waits for it. Call often. folder: of the run. */
void halt_look(const char *folder, halt_judge judge, void *arg);

#endif
