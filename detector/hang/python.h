/* Frames of a Python thread that stands still, read from outside. */
#ifndef SNARL_HANG_PYTHON_H
#define SNARL_HANG_PYTHON_H

#include "base/types.h"
#include "inspect/subject.h"

#define PYTHON_TEXT 240u

struct python_frame {
    char function[PYTHON_TEXT], file[PYTHON_TEXT]; /* UTF-8 */
    u32 line;
};

/* `version` as process_rec.python, `state` as thread_rec.python_state. Innermost first; how many. */
u32 python_stack(const struct subject *s, u32 version, u64 state, struct python_frame *out, u32 max);

#endif
