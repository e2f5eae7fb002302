/* Hash map from a 64-bit key to a 64-bit value, for the collector's caches. Key and value 0 are allowed. Not thread-safe. */
#ifndef SNARL_REPORT_MAP_H
#define SNARL_REPORT_MAP_H

#include "base/types.h"

struct map_slot {
    u64 key, value;
    bool used;
};
struct map {
    struct map_slot *slot;
    size_t size, used;
};

/* The value's place, or NULL. Valid until the next map_put. */
u64 *map_get(const struct map *m, u64 key);
/* The value's place, made with value 0 when the key is new (then *fresh, if given, is true). */
u64 *map_put(struct map *m, u64 key, bool *fresh);
void map_free(struct map *m);

#endif
