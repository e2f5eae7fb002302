/* A damaged or hostile result file, as `snarl report` and `snarl graph` are given it: it is refused with a message or
 * rendered in every form, and what is rendered holds no control characters but line ends. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/classify.h"
#include "report/document.h"
#include "report/format.h"
#include "report/graph.h"
#include "report/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(char *text)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 && *p != '\n')
            abort();
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text_options options = {.verbose = size % 2, .width = 80};
    struct fail_on everything;
    char err[256];

    json_t *document = document_parse((const char *)data, size, "input", err, sizeof err);
    if (!document) {
        if (!err[0])
            abort(); /* refused without a word */
        return 0;
    }
    if (fail_on_parse(&everything, "all", err, sizeof err))
        abort();
    fail_on_apply(&everything, document);
    check_text(text_report(document, &options));
    check_text(graph_text(document, &options));
    for (size_t i = 0; i < format_count; i++) {
        char *text = format_table[i].render(document);
        size_t n = strlen(text); /* a page brings its style and script, JSON its line ends as \\n */
        if (!n && strcmp(format_table[i].name, "github") != 0)
            abort();
        check_text(text);
    }
    json_decref(document);
    return 0;
}
