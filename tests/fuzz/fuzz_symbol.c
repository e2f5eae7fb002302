/* A module that is no good ELF file any more: looking up addresses in it gives frames without names or with, and returns. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "symbol/symbol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/snarl-fuzz-XXXXXX";
    int file = mkstemp(path);

    if (file < 0 || write(file, data, size) != (ssize_t)size)
        abort();
    close(file);
    struct symbolizer *s = symbolizer_new("");
    struct symbol_module *m = symbol_module(s, path, NULL, true, NULL, 0);
    for (u64 address = 0; address < 0x8000; address += 0x234) {
        const struct symbol_frames *frames = symbol_lookup(s, m, address, address & 4);
        if (frames->n < 1)
            abort();
    }
    symbolizer_free(s);
    unlink(path);
    return 0;
}
