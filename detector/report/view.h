/* Safe reading of a run's arena. A stray write of the watched program may have hit any byte of it, and with a live run
 * it changes while it is read: everything is copied out once, checked, and every walk has an end. */
#ifndef SNARL_REPORT_VIEW_H
#define SNARL_REPORT_VIEW_H

#include "base/arena.h"
#include "base/types.h"
#include "model/object.h"
#include "model/run.h"
#include "model/stack.h"
#include "model/thread.h"

#define VIEW_MAX_STRING 4096u
/* Records of one pool looked at before the walk gives up. */
#define VIEW_MAX_RECORDS (64u << 20)

/* Copies n bytes at r; false when they are not in the file. */
bool view_get(ref_t r, void *out, size_t n);
/* A malloc'd copy of n items, NULL when they are not in the file or n is 0. */
void *view_items(ref_t r, u64 n, size_t size);

/* The run's state; false when the arena has none. */
bool view_run(struct run_state *out);

/* A malloc'd, escaped copy of an arena string, cut at VIEW_MAX_STRING; "" for 0 and for what is no string. Never
 * NULL. */
char *view_string(ref_t r);
/* The same without escaping, for opening a file by that name. */
char *view_string_raw(ref_t r);

struct view_stack {
    u32 n, flags;
    u64 frame[STACK_MAX_FRAMES];
};
/* False, and an empty stack, when there is none at r. */
bool view_stack(ref_t r, struct view_stack *out);

/* A lock or a sync object as far as a report needs it. */
struct view_object {
    struct object_head head;
    struct object_birth birth;
    u32 acquisitions, needed, sem_initial, level;
};
/* Also false for a record whose kind is out of range. */
bool view_object(ref_t r, struct view_object *out);

/* Walks a pool and copies every record out; start with a zeroed walk. 0 at the end. */
struct view_walk {
    struct arena_cursor cursor;
    u32 seen;
};
ref_t view_next(enum arena_pool pool, struct view_walk *w, void *out, size_t n);

/* The pool whose chunk holds r, or POOL_COUNT. */
enum arena_pool view_pool(ref_t r);

/* Aborts on out-of-memory: the command has nothing better to do. */
void *view_alloc(size_t n);

#endif
