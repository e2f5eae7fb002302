/* Hash map of the collector. Called by everything in report/ that remembers what it has seen. Takes no locks; allocates with malloc. */
#include "map.h"

#include "view.h"

u64 *refmap_get(const struct refmap *m, u64 key)
{
    struct refmap_item *item;
    HASH_FIND(hh, m->items, &key, sizeof key, item);
    return item ? &item->value : NULL;
}

u64 *refmap_put(struct refmap *m, u64 key, bool *fresh)
{
    u64 *known = refmap_get(m, key);
    if (fresh)
        *fresh = !known;
    if (known)
        return known;
    struct refmap_item *item = view_alloc(sizeof *item);
    item->key = key;
    HASH_ADD(hh, m->items, key, sizeof item->key, item);
    return &item->value;
}

void refmap_free(struct refmap *m)
{
    struct refmap_item *item, *next;
    HASH_ITER (hh, m->items, item, next) {
        HASH_DEL(m->items, item);
        free(item);
    }
}
