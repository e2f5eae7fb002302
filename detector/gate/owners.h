/* Who owns a file: CODEOWNERS, as GitHub and GitLab have it. */
#ifndef SNARL_GATE_OWNERS_H
#define SNARL_GATE_OWNERS_H

#include <jansson.h>
#include <stddef.h>

struct owners;

/* Rules of a CODEOWNERS text; root: the folder that its patterns are relative to, without a slash at the end. Lines that
 * mean nothing are skipped, as the servers do. Never NULL. */
struct owners *owners_parse(const char *text, size_t n, const char *root);
/* The CODEOWNERS of the repository in `root` (its root, .github, .gitlab or docs), or NULL when it has none. */
struct owners *owners_load(const char *root);
void owners_free(struct owners *o);

/* "@team …" for a path, "" when nobody owns it. Belongs to o. */
const char *owners_of_path(const struct owners *o, const char *path);
/* Owners of the files in which a finding's sides lie, each once: new array of strings. */
json_t *owners_of(const struct owners *o, const json_t *finding);

#endif
