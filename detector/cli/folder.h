/* The run folder and what stands in it. */
#ifndef SNARL_CLI_FOLDER_H
#define SNARL_CLI_FOLDER_H

#include <stdbool.h>

#include "model/run.h"

/* Makes a folder for this user alone, under $TMPDIR or /tmp, with an arena in it that is mapped here. NULL when it
 * cannot (said). malloc'd. */
char *folder_create(const struct run_options *options);
/* A folder for this user alone under $TMPDIR or /tmp, named after `purpose`. NULL when there cannot be one (said).
 * malloc'd. */
char *folder_make(const char *purpose);
/* What processes of the run had to say, on standard error. */
void folder_messages(const char *folder);
void folder_remove(const char *folder);
/* Removes it with all files in it. */
void folder_clear(const char *folder);
/* Maps the arena of a run folder, or an arena file itself. 0 or -errno. */
int folder_open(const char *path);
/* A file of ours as it stands in the folder of libraries (build tree or installed), malloc'd; NULL when it is not there. */
char *folder_beside(const char *name);
/* libsnarl.so as it stands beside this command (build tree or installed), malloc'd; NULL when it is not there
 * (said). */
char *folder_library(void);
/* Folder of this command's file, malloc'd, or NULL. */
char *folder_of_command(void);

#endif
