/* The insides of struct names, for names*.c only. */
#ifndef SNARL_REPORT_NAMES_INTERNAL_H
#define SNARL_REPORT_NAMES_INTERNAL_H

#include "frame.h"
#include "map.h"
#include "names.h"
#include "symbol/variable.h"

struct named_module {
    struct symbol_module *symbols;
    char *path; /* escaped */
    char build_id[FRAME_BUILD_ID];
    bool known, is_snarl, is_python, is_system, advised;
};

struct names {
    struct symbolizer *symbolizer;
    struct named_module *module; /* by id */
    struct refmap frames;        /* frame -> json array */
    struct refmap stacks;        /* stack ref -> json array */
    struct refmap locks;         /* lock ref -> struct lock_name * */
    struct refmap births;        /* hash of a birth -> struct class_name * */
    u32 ninstances;
};

static inline bool names_is_snarl(const struct names *n, u32 id)
{
    return n->module[id].is_snarl;
}
void names_free_locks(struct names *n);
/* The module of a frame's id, or NULL. */
struct symbol_module *names_module(struct names *n, u32 id);
/* The module behind an arena ref to a module_rec, or NULL. */
struct symbol_module *names_module_ref(struct names *n, ref_t module);
/* Native frames of a stack, without snarl's own; own_only: without those of system libraries, if any are left then. */
u32 names_sites(struct names *n, ref_t stack, bool own_only, struct symbol_site *out, u32 max);
/* One frame of a stack; its module is NULL when there is no such native frame. */
struct symbol_site names_frame_site(struct names *n, ref_t stack, u32 frame);
/* Class of a Python lock from the stack of its creation; false when there are no Python frames in it. All malloc'd. */
bool names_python_lock(const struct view_stack *stack, char **class, char **file, u32 *line);

#endif
