/* A module that is no good ELF file any more: looking up addresses, variables, allocation sites and stack slots in it
 * gives names or none, and returns. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbol/variable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_data(struct symbolizer *s, struct symbol_module *m, struct symbol_site site)
{
    struct data_name d;
    u64 address = site.address, size = address % 70;

    data_global(s, m, address, size, &d);
    if (!d.name.class_name)
        abort();
    data_tls(s, m, address & 0xff, size, &d);
    data_heap(s, &site, 1, &site, 1, address % 500, address % 100, size, &d);
    if (!d.name.class_name)
        abort();
    data_stack(s, site, -(int64_t)(address % 300), size, &d);
    if (!d.name.class_name)
        abort();
}

static void look_at(struct symbolizer *s, struct symbol_module *m, u64 address)
{
    struct variable_name v;
    struct symbol_site site = {m, address, true};

    if (symbol_lookup(s, m, address, address & 4)->n < 1)
        abort();
    variable_global(s, m, address, (enum lock_type)(address % 9), &v);
    if (!v.class_name)
        abort();
    variable_tls(s, m, address & 0xff, LOCK_TYPE_ANY, &v);
    heap_class(s, &site, 1, &site, 1, address & 8, address % 500, address % 100, LOCK_TYPE_MUTEX, &v);
    if (!v.class_name)
        abort();
    stack_class(s, site, -(int64_t)(address % 300), LOCK_TYPE_MUTEX, &v);
    if (!v.class_name)
        abort();
    look_at_data(s, m, site);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int file = memfd_create("module", MFD_CLOEXEC);

    if (file < 0 || write(file, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct symbolizer *s = symbolizer_new("");
    struct symbol_module *m = symbol_module(s, path, NULL, true, NULL, 0);
    for (u64 address = 0; address < 0x8000; address += 0x234)
        look_at(s, m, address);
    symbol_module_advice(s, m);
    symbolizer_free(s);
    close(file);
    return 0;
}
