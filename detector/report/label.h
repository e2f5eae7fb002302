/* What people call the things in a finding: locks as the programmer names them, threads, places. Reads the JSON
 * only. */
#ifndef SNARL_REPORT_LABEL_H
#define SNARL_REPORT_LABEL_H

#include <jansson.h>
#include <stdbool.h>

/* String member, "" when it is missing or no string. */
const char *label_text(const json_t *object, const char *key);
bool label_is(const json_t *object, const char *key, const char *value);
json_int_t label_number(const json_t *object, const char *key);

/* Class of the locks that CPython's threads hold from their start to their end. Taking one is a join. */
#define LABEL_THREAD_END "python:thread's end"

/* All malloc'd. */
/* "cache.lock"; the whole class where two locks of the finding would look alike, "(1)", "(2)" for instances of one
 * class. */
char *label_lock(const json_t *finding, const char *class, json_int_t instance);
/* The lock (or condition, thread, …) that an event is about; "" when it has none. */
char *label_object(const json_t *finding, const json_t *event);
/* "T2 (worker)", with the process where the finding has more than one. */
char *label_thread(const json_t *finding, json_int_t thread);
/* "f() at file.c:12" of the first frame that is the program's own, without the folder; "" when nothing is known. */
char *label_place(const json_t *event);
/* "f()" of the same frame, "" when unknown. */
char *label_function(const json_t *event);

/* The memory that a finding is about: "counter", "table[3].count", "memory allocated in make()". */
char *label_memory(const json_t *finding);

/* A class without module and file. Not malloc'd: points into `class`. */
const char *label_short(const char *class);
/* The first frame that is the program's own, or the first one at all, or NULL. */
const json_t *label_frame(const json_t *stack);
bool label_flag(const json_t *finding, const char *flag);

#endif
