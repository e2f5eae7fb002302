/* Frames of machine code as results have them, and naming those later that had no name where the result was made. */
#ifndef SNARL_REPORT_FRAME_H
#define SNARL_REPORT_FRAME_H

#include <jansson.h>
#include <stdbool.h>

#include "symbol/symbol.h"

#define FRAME_BUILD_ID 129 /* hexadecimal digits, and the end */

struct frame_place {
    const char *module;   /* escaped */
    u64 offset;           /* in the module's file, "bias-free" */
    const char *build_id; /* "": none */
    bool exact;           /* the instruction itself, not where a call returns to */
    bool system, interpreter;
};

/* A frame. Where name or line are missing it has the module's build id, so that whoever has the right file can name it. */
json_t *frame_json(const struct frame_place *place, const struct symbol_frame *f);

/* Names frames of a saved result that have no name or line, from files of this machine whose build id is the same. Ids,
 * and names of locks and memory, stay what they are; sentences are written anew. */
void frames_name(json_t *document);

#endif
