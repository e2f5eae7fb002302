/* Hash map from a 64-bit key to a 64-bit value, for the collector's caches. Key and value 0 are allowed. Items stay where they are until
 * the map is freed and are walked in the order in which they came. Not thread-safe. */
#ifndef SNARL_REPORT_MAP_H
#define SNARL_REPORT_MAP_H

#include "base/table.h"
#include "base/types.h"

struct refmap_item {
    u64 key, value;
    UT_hash_handle hh;
};
struct refmap {
    struct refmap_item *items;
};

/* The value's place, or NULL. */
u64 *refmap_get(const struct refmap *m, u64 key);
/* The value's place, made with value 0 when the key is new (then *fresh, if given, is true). */
u64 *refmap_put(struct refmap *m, u64 key, bool *fresh);
void refmap_free(struct refmap *m);
/* Walks: item = refmap_next(m, NULL), then refmap_next(m, item), until NULL. */
static inline struct refmap_item *refmap_next(const struct refmap *m, const struct refmap_item *item)
{
    return item ? item->hh.next : m->items;
}

#endif
