/* Damaged or hostile results, merged with themselves, and merged again: what comes out is a result. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gate/gate.h"
#include "merge/merge.h"
#include "report/document.h"
#include "report/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const char *text;
    size_t size;
};

static json_t *load(size_t i, void *arg)
{
    struct input *in = arg;
    char err[300];
    (void)i;
    return document_parse(in->text, in->size, "input", err, sizeof err);
}

static const char *name(size_t i, void *arg)
{
    (void)arg;
    return i ? "second" : "first";
}

static json_t *merged(char *text, size_t size)
{
    struct input in = {text, size};
    struct merge_source from = {2, load, name, &in};
    return merge_results(&from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text_options options = {.verbose = true, .width = 80};
    struct gate gate = {0};
    char *input = malloc(size + 1);
    memcpy(input, data, size);
    json_t *document = merged(input, size);
    free(input);
    if (!document)
        return 0;
    gate_apply(&gate, document);
    free(text_report(document, &options));
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    document = merged(text, strlen(text));
    if (!document)
        abort(); /* what is written is read again */
    json_decref(document);
    free(text);
    return 0;
}
