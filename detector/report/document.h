/* Result documents as files: written, and read back with everything checked. */
#ifndef SNARL_REPORT_DOCUMENT_H
#define SNARL_REPORT_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Reads and checks a result. On failure NULL, and "file:line:column: what is wrong" in err. All strings come back
 * harmless (escape.h). */
json_t *document_load(const char *path, char *err, size_t errlen);
/* The same for a text in memory; `name` stands for the file in messages. */
json_t *document_parse(const char *text, size_t n, const char *name, char *err, size_t errlen);

/* Whether a file looks like JSON at all (its first character that is no white space is '{' or '['). */
bool document_looks_like_json(const char *path);

/* Writes to a file, or to standard output for "-". 0 or -errno. */
int document_write(const json_t *document, const char *path);
/* The same for a text. */
int document_write_text(const char *text, size_t n, const char *path);

#endif
