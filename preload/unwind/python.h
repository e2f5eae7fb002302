/* The CPython adapter: Python frames in stacks, uncontended takes of threading locks, the interpreter lock.
 *
 * Everything is read from the interpreter's structures, only while the calling thread holds the interpreter lock, and
 * nothing of the interpreter is called: its API allocates and may run finalizers. Unknown layouts give no Python
 * frames, which is counted. */
#ifndef SNARL_UNWIND_PYTHON_H
#define SNARL_UNWIND_PYTHON_H

#include "base/types.h"

/* Looks for an interpreter among the modules loaded now. Once at start, after modules_start. */
void python_start(void) __attribute__((visibility("hidden")));

#endif
