/* Lines of source files, read when a report is made. */
#ifndef SNARL_REPORT_SOURCE_H
#define SNARL_REPORT_SOURCE_H

#include <stddef.h>

struct source_file {
    char *path;
    char *text;  /* NULL: cannot be read */
    char **line; /* into text */
    size_t lines;
};

/* Starts zeroed. */
struct source {
    struct source_file *file;
    size_t files, bytes;
};

/* Line `number` (from 1), harmless and with spaces for tabs, malloc'd; NULL when there is none. Only files that are named
 * like sources are opened: a result file from elsewhere is not to bring the contents of other files into a report. */
char *source_line(struct source *s, const char *path, size_t number);
void source_free(struct source *s);

#endif
