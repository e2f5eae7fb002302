/* A damaged or hostile file of suppressions: it is refused with a place, or held against a finding. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gate/suppress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *finding(void)
{
    return json_pack("{s:s,s:s,s:s,s:[{s:s}],s:{s:s},s:[{s:s,s:[{s:s,s:s,s:s},{s:s}]}]}", "id", "00000000000000aa",
                     "kind", "data-race", "verdict", "observed", "locks", "class", "app:lock", "memory", "name",
                     "app:n", "events", "action", "write", "stack", "function", "f(int)", "file", "/src/f.c", "module",
                     "/lib/libf.so", "function", "main");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct suppressions all = {0};
    json_t *f = finding();
    char err[300] = "";
    int bad = suppress_parse(&all, (const char *)data, size, "input", "2026-06-15", err, sizeof err);
    if (bad && strncmp(err, "input:", 6) != 0)
        abort(); /* refused without a place */
    for (const char *p = err; *p; p++)
        if ((unsigned char)*p < 0x20)
            abort();
    suppress_find(&all, f);
    json_t *offered = suppress_offer(f);
    json_decref(offered);
    json_decref(f);
    suppress_free(&all);
    return 0;
}
