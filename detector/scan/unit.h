/* One translation unit: LLVM bitcode read into a program of its own, written to a file, read back, and many joined into
 * one. */
#ifndef SNARL_SCAN_UNIT_H
#define SNARL_SCAN_UNIT_H

#include "program.h"

/* To be raised when units of the same source become different: those kept are made anew. */
#define UNIT_FORMAT 3

/* Reads LLVM bitcode or assembly. 0, or -EINVAL with a sentence in err. */
int unit_read_llvm(struct program *p, const char *path, char *err, size_t errlen);

/* 0 or -errno. A file that is not one of this version of snarl is -EINVAL. */
int unit_write(const struct program *p, const char *path);
int unit_load(struct program *p, const char *path);

/* Adds a unit to a program: names that are not local are the same everywhere. Start with a zeroed program and
 * link_begin. Two definitions of one function: the first one stays; how many there were is counted. */
struct link {
    struct program *p;
    struct map functions, globals, types, steps; /* text or hash -> number + 1 */
    u32 units, twice;
};
void link_begin(struct link *l, struct program *p);
void link_add(struct link *l, const struct program *unit);
/* Whether adding would define a function again that is defined already, main above all. */
bool link_clashes(const struct link *l, const struct program *unit, const char **name);

#endif
