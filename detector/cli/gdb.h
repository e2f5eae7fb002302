/* `snarl run --gdb`: the program under gdb, which stops where something is found. */
#ifndef SNARL_CLI_GDB_H
#define SNARL_CLI_GDB_H

#include <stdbool.h>

struct settings;

/* What the program's environment has and gdb's has not. */
struct gdb_variable {
    const char *name, *value;
};

/* Whether there is gdb, and it can start this program; says why not. */
bool gdb_can(const char *path);
/* Writes gdb's script into the run's folder; the arguments with which gdb is to be started, malloc'd. variables end with
 * NULL. */
char **gdb_command(const struct settings *s, const char *folder, const struct gdb_variable *variables, char **argv);

#endif
