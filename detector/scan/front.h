/* The front end: which units there are, how each becomes a file that link.c reads, and which programs they make. */
#ifndef SNARL_SCAN_FRONT_H
#define SNARL_SCAN_FRONT_H

#include <jansson.h>
#include <stdbool.h>

#include "store.h"

enum unit_state { UNIT_TODO, UNIT_CACHED, UNIT_READ, UNIT_LEFT_OUT };

/* One translation unit. Texts are malloc'd. */
struct unit {
    char *folder, *file; /* file: as given; relative to folder */
    char **args;         /* of the compiler, without its name, the output and the file; NULL-terminated */
    u32 nargs, cap;
    bool bitcode;  /* LLVM's form already */
    char *result;  /* file with the unit, when there is one */
    char *problem; /* why it was left out */
    enum unit_state state;
};

struct units {
    struct unit *at;
    u32 n, cap;
};

struct front_options {
    const char *cache;   /* folder; NULL: none */
    const char *scratch; /* folder for what is not kept */
    unsigned jobs;       /* 0: one for each processor */
    bool progress;       /* on standard error */
};

/* units.c. 0 or -EINVAL with a sentence in err. */
int units_add_file(struct units *u, const char *file, char *err, size_t errlen);
int units_add_database(struct units *u, const char *folder, char *err, size_t errlen);
void units_free(struct units *u);

/* compile.c: in parallel, each in a process of its own. 0, or -errno when none can be started; what is wrong with single
 * units is told in them. */
int compile_all(struct units *u, const struct front_options *o);
/* The compiler's name, NULL when there is none. */
const char *compile_clang(void);

/* programs.c: one program for each main, or one of all units when there is none; analysed each in a process of its own. The
 * result document; NULL with a sentence in err. */
json_t *programs_scan(struct units *u, const struct front_options *o, char *err, size_t errlen);

#endif
