/* A damaged or hostile baseline: it is refused with a place, or held against a result; and what is written of it reads as the
 * same again. CODEOWNERS and diffs on the way. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gate/baseline.h"
#include "gate/changed.h"
#include "gate/orders.h"
#include "gate/owners.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *result(void)
{
    return json_pack("{s:[],s:{s:[{s:s,s:s,s:i},{s:s,s:s,s:i},{s:s,s:i}],s:[{s:s,s:s},{s:s,s:s},{s:s,s:s}]}}",
                     "findings", "lock_graph", "nodes", "class", "app:a", "local", "a", "locks", 1, "class", "app:b",
                     "local", "b", "locks", 4, "class", "libc.so:c", "locks", 1, "edges", "from", "app:a", "to",
                     "app:b", "from", "app:b", "to", "libc.so:c", "from", "libc.so:c", "to", "app:a");
}

/* Written, read and written again it is the same. */
static void again(const struct baseline *b)
{
    struct baseline other;
    char err[300], *first = baseline_text(b), *second;
    if (baseline_parse(&other, first, strlen(first), "written", err, sizeof err))
        abort();
    second = baseline_text(&other);
    if (strcmp(first, second) != 0)
        abort();
    baseline_free(&other);
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct baseline b;
    char err[300] = "";
    const char *text = (const char *)data;
    struct owners *o = owners_parse(text, size, "/root");
    owners_of_path(o, "/root/src/f.c");
    owners_free(o);
    struct changed *c = changed_parse(text, size, "/root");
    changed_line(c, "/root/src/f.c", 7);
    changed_free(c);
    if (baseline_parse(&b, text, size, "input", err, sizeof err)) {
        if (strncmp(err, "input:", 6) != 0)
            abort();
        return 0;
    }
    json_t *d = result();
    json_decref(orders_check(&b, d));
    orders_learn(&b, d);
    again(&b);
    json_decref(d);
    baseline_free(&b);
    return 0;
}
