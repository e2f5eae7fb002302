/* Findings as a result document, "snarl/1". */
#ifndef SNARL_SCAN_EMIT_H
#define SNARL_SCAN_EMIT_H

#include <jansson.h>

#include "scan.h"

/* units: array of objects, what became of each ("file", and "problem" when it was left out). */
json_t *emit_document(struct scan *s, json_t *units, double seconds);

/* ---- between emit*.c ---- */
struct emit {
    struct whole *w;
    char *module;
    json_t *finding, *threads;
    struct map shown; /* roots in `threads` */
};
json_t *emit_frames(struct emit *e, u32 value, u32 context);
json_t *emit_event(struct emit *e, u32 deed, const char *action, u32 path);
char *emit_class(struct emit *e, u32 path);
/* emit_text.c: title, why, fix */
void emit_sentences(struct emit *e, const struct found *f);

#endif
