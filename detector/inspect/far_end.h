/* Who is at the other end of what a thread waits for in the kernel. */
#ifndef SNARL_INSPECT_FAR_END_H
#define SNARL_INSPECT_FAR_END_H

#include <jansson.h>

#include "subject.h"
#include "wait.h"

/* Adds to `to`, of a live process:
 *   for a wait on one descriptor "descriptor", "file", and who can end it: "others": [{"pid", "name", "can": "read"|"write"|"both"}],
 *   "alone": true when no other process has a part in it, "remote": address of a TCP peer;
 *   for a wait on many "watched": [{the same}], the first 16 of them. */
void far_end_describe(const struct subject *s, const struct subject_thread *t, const struct wait *w, json_t *to);

#endif
