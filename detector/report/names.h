/* What the arena's references are called: stacks as functions and lines, locks as classes, threads. The only part of
 * the report that asks detector/symbol. Everything is cached; equal stacks and frames share their JSON. */
#ifndef SNARL_REPORT_NAMES_H
#define SNARL_REPORT_NAMES_H

#include <jansson.h>

#include "symbol/symbol.h"
#include "view.h"

struct names;

struct names *names_new(void);
/* From here on what is read of debug information is kept for the next names_new: of one run the same modules are asked for
 * again and again. */
void names_keep(void);
void names_free(struct names *n);

/* A frame as it stands in the arena, looked up. New reference to an array: inlined calls make several. */
json_t *names_frame(struct names *n, u64 frame);
/* Frames of a stack, innermost first; of the call site alone when there is no stack (site is an absolute address in
 * `process`). Never NULL; an empty array when nothing is known. snarl's own frames are left out. */
json_t *names_stack(struct names *n, ref_t stack, u64 site, ref_t process);
/* The function at an absolute address, malloc'd; NULL when unknown. */
char *names_function_at(struct names *n, u64 address, ref_t process);

struct lock_name {
    char *class; /* as in results */
    char *local; /* without the main program's module; what ids use */
    char *full;  /* a longer name (a whole path), or NULL */
    char *file;  /* of the declaration, or NULL */
    u32 line;
    const char *kind; /* as in results */
    u32 instance;     /* 1, 2, … in the order of asking */
    u32 attrs;
    bool shared;
    ref_t process;
    ref_t born_stack; /* of its initialisation or allocation; 0 */
    u32 acquisitions;
};
/* Never NULL: for what is no lock, a class of "?". Lives as long as n. */
const struct lock_name *names_lock(struct names *n, ref_t lock);

/* Memory that a finding is about: "name", "size", "region", "born" as the contract has them; and
 *   shown        for people: with indexes, without module
 *   local        the name without the main program's module, when that differs; what ids use
 *   type, shape, object_size, volatile, atomic    of the object there, from debug information
 *   declared     file and line
 *   function     in whose frame it is, or that allocated it
 *   block        heap: size of the block and offset in it
 *   thread_local
 * use: stacks of the accesses. */
json_t *names_memory(struct names *n, const struct object_birth *birth, u64 size, const ref_t *use, u32 nuse);

/* What is missing and how to get it, one sentence per module seen in stacks: array of strings. */
json_t *names_advice(struct names *n);

/* A file of the interpreter's own library, as opposed to the program. */
bool names_python_library(const char *file);

/* A string from outside, escaped, as a new JSON string. */
json_t *names_text(const char *text);

#endif
