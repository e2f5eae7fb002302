/* Source files as readers on another machine find them: below the root of the sources. */
#ifndef SNARL_REPORT_PLACE_H
#define SNARL_REPORT_PLACE_H

#include <jansson.h>

#include "buffer.h"

/* $GITHUB_WORKSPACE, $CI_PROJECT_DIR, the git work tree of the current folder, or the current folder: the first that
 * is one. Ends without a slash. */
const char *place_root(void);
/* The path from the root on when it is below it, else the path. Points into `path`. */
const char *place_path(const char *path);
/* Percent-encoded, fit for a URI; a path that begins with a slash gets "file://" before it. */
void place_uri(struct buffer *b, const char *path);

/* The frame that stands for an event in lists: the first of the program's own that has a file, or the first of its
 * own; NULL when there is no frame at all. */
const json_t *place_frame(const json_t *stack);
/* The same for a whole finding: that of its first event with one. */
const json_t *place_of(const json_t *finding);
/* The file of a frame, its module when that is unknown; "" when nothing is known. */
const char *place_file(const json_t *frame);

#endif
