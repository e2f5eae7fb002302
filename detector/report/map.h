/* Hash map from a 64-bit key to a 64-bit value, for the collector's caches. Key and value 0 are allowed. Not
 * thread-safe. */
#ifndef SNARL_REPORT_MAP_H
#define SNARL_REPORT_MAP_H

#include "base/types.h"

struct refmap_slot {
    u64 key, value;
    bool used;
};
struct refmap {
    struct refmap_slot *slot;
    size_t size, used;
};

/* The value's place, or NULL. Valid until the next refmap_put. */
u64 *refmap_get(const struct refmap *m, u64 key);
/* The value's place, made with value 0 when the key is new (then *fresh, if given, is true). */
u64 *refmap_put(struct refmap *m, u64 key, bool *fresh);
void refmap_free(struct refmap *m);

#endif
