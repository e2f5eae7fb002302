/* SNARL_OPTIONS with anything in it: the parser, which also runs inside watched programs, must read it, say what is
 * wrong, and stay within its buffers. */
#include <stdlib.h>
#include <string.h>

#include "model/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char err[64]; /* smaller than the longest message */
    struct run_options options;

    memcpy(text, data, size);
    text[size] = 0;
    options_default(&options);
    options_parse_string(text, &options, err, sizeof err);
    if (options.stack_depth < 1 || options.exit_code > 255 || options.on_deadlock > ON_DEADLOCK_BREAK)
        abort();
    options_nearest(text, size);
    free(text);
    return 0;
}
