/* CPython in a subject: which one, the frames of its threads, and what can be known of its locks. */
#ifndef SNARL_INSPECT_PYTHON_H
#define SNARL_INSPECT_PYTHON_H

#include "model/python_layout.h"
#include "subject.h"

/* Finds the interpreter, and the Python frames of all threads (into subject_thread.python). Threads stand still. */
void python_look(struct subject *s);

/* The line of an instruction, by its offset in bytes. */
u32 python_line_at(const struct subject *s, u64 code, u64 offset);

/* ---- values (python_value.c): nothing read is believed before its type has been looked at ---- */

u64 python_word(const struct subject *s, u64 at);
u32 python_half(const struct subject *s, u64 at);
/* PYTHON_TEXT bytes; the end of a text that is longer. False: no string. */
bool python_text(const struct subject *s, u64 string, char *to);
/* Name of an object's type; "" if it has none. Of a class of the program's own the bare name. */
void python_type_name(const struct subject *s, u64 object, char to[PYTHON_TEXT]);
/* The key in a dictionary, or the name of the attribute, that has this value. */
bool python_key_of(const struct subject *s, u64 dictionary, u64 value, char to[PYTHON_TEXT]);
bool python_attribute_of(const struct subject *s, u64 object, u64 value, char to[PYTHON_TEXT]);
/* Runs f for each value of a dictionary until it says true; then true. */
bool python_each_value(const struct subject *s, u64 dictionary, bool (*f)(u64 value, void *arg), void *arg);

/* ---- locks (python_lock.c) ---- */

struct python_hold {
    u64 lock, semaphore;
    u32 thread;  /* index */
    u32 frame;   /* in subject_thread.python: the one that has taken it */
    u32 line;    /* where */
    bool is_end; /* it stands for the life of the thread; no frame */
};

/* What the threads are known to hold: locks taken by `with`, and their own lives. For python_look. */
void python_find_holds(struct subject *s);
/* NULL: nobody is known to hold it. */
const struct python_hold *python_hold_of(const struct subject *s, u64 semaphore);
/* The pthread_t of who has a recursive lock; 0: nobody, or it is not one. */
u64 python_owner(const struct subject *s, u64 lock);
/* The lock object with this semaphore, in which a thread waits: 0, none is found in its frames. */
u64 python_lock_of(const struct subject *s, const struct subject_thread *t, u64 semaphore);
/* What the program calls an object: "file.py:name", "file.py:Class.name" or "file.py:function.name", malloc'd; NULL when nothing
 * that can be reached from the frames has it. */
char *python_name(const struct subject *s, u64 object);

#endif
