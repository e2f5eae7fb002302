/* What people, and runs, call the things of a program: classes of locks, memory, places in the source. */
#ifndef SNARL_SCAN_NAME_H
#define SNARL_SCAN_NAME_H

#include "report/buffer.h"
#include "whole.h"

struct name {
    char *local;        /* "file.c:lock.field", "type.field", "function:variable" */
    char *shown;        /* without the file */
    u32 file, line;     /* declared at; 0: not known */
    const char *region; /* global, heap, stack */
    u32 cell;           /* NONE when it may be several */
};

/* Of the memory that a path stands for; both texts are malloc'd. */
struct name name_of_path(struct whole *w, u32 path);
/* Of one of its cells, as the path shows it. */
struct name name_of_cell(struct whole *w, u32 cell, u32 path);
/* "name" of the program: of the file with main, without its ending. malloc'd. */
char *name_of_program(const struct program *p);

#endif
