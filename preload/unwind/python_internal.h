/* The CPython adapter's parts, among themselves: python.c (the interpreter lock, frames) and python_takes.c (semaphores
 * that are locks). */
#ifndef SNARL_UNWIND_PYTHON_INTERNAL_H
#define SNARL_UNWIND_PYTHON_INTERNAL_H

#include "model/python_layout.h"
#include "modules.h"
#include "sem_interpreter.h"

/* What is known of this process's interpreter. Set once at start. */
struct python {
    const struct python_layout *layout;
    struct module module;
    u64 runtime;
    u64 code_type, tuple_type, string_type, bytes_type, false_object, true_object;
};
extern struct python python __attribute__((visibility("hidden")));

static inline u64 word(u64 at)
{
    return *(const volatile u64 *)at;
}
static inline u32 half(u64 at)
{
    return *(const volatile u32 *)at;
}

static inline bool python_owns(u64 pc)
{
    return pc >= python.module.lo && pc < python.module.hi;
}

/* The caller's thread state if it holds the interpreter lock, else 0. What follows is only for that time. */
u64 python_own_state(void) __attribute__((visibility("hidden")));
/* The innermost Python frame of the thread, 0 when there is none; frames go on at layout->f_back. */
u64 python_first_frame(u64 state) __attribute__((visibility("hidden")));
/* The code object of a frame; 0 for a frame that stands for C code. */
u64 python_frame_code(u64 frame) __attribute__((visibility("hidden")));
/* Address of a code object's first instruction, and the byte offset of the one that the frame is executing. */
u64 python_code_bytes(u64 code) __attribute__((visibility("hidden")));
u64 python_last_offset(u64 frame, u64 code) __attribute__((visibility("hidden")));
/* Frames as of model/stack.h, innermost first. Their number. */
u32 python_frames(u64 state, u64 *out, u32 max) __attribute__((visibility("hidden")));

/* python_takes.c: for sem_interpreter. */
extern const struct sem_interpreter python_semaphores __attribute__((visibility("hidden")));

#endif
