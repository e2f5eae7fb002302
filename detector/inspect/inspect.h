/* A hung program, or a core: who waits for whom. */
#ifndef SNARL_INSPECT_INSPECT_H
#define SNARL_INSPECT_INSPECT_H

#include <jansson.h>
#include <stddef.h>

#include "base/types.h"

/* Looks at these processes (numbers) and cores (paths), tells the engine what they wait for (into the arena that is
 * mapped: a run is to be there, made by engine_create_run), and returns what was seen of each, in order:
 *   {"subject": "1234" or path, "error": sentence}  or
 *   {"subject", "pid", "exe", "threads": [{"thread": number as in findings, "tid", "name", "main", "state",
 *     "wait": {"for", "object": class, "address", "function", "owner": thread, "descriptor", "file", …}, "stack": [frames]}]}
 * Each is looked at by a child process of its own: what a broken core does to it is an error of that one. */
json_t *inspect_look(char *const *subjects, size_t n);

/* Was this thread, by the kernel's number, in this system call when inspect_look() saw it? */
bool inspect_saw(u32 tid, long call, const u64 argument[6]);

#endif
