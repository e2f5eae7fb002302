/* Open addressing with linear probing, at most half full. Called by the collector. Takes no locks; allocates with
 * malloc. */
#include "map.h"

#include <stdlib.h>

#include "base/hash.h"
#include "view.h"

static struct refmap_slot *probe(const struct refmap *m, u64 key)
{
    size_t i = (size_t)hash_mix64(key) & (m->size - 1);
    while (m->slot[i].used && m->slot[i].key != key)
        i = (i + 1) & (m->size - 1);
    return &m->slot[i];
}

u64 *refmap_get(const struct refmap *m, u64 key)
{
    if (!m->size)
        return NULL;
    struct refmap_slot *s = probe(m, key);
    return s->used ? &s->value : NULL;
}

static void grow(struct refmap *m)
{
    struct refmap bigger = {NULL, m->size ? m->size * 2 : 64, m->used};
    bigger.slot = view_alloc(bigger.size * sizeof *bigger.slot);
    for (size_t i = 0; i < m->size; i++)
        if (m->slot[i].used)
            *probe(&bigger, m->slot[i].key) = m->slot[i];
    free(m->slot);
    *m = bigger;
}

u64 *refmap_put(struct refmap *m, u64 key, bool *fresh)
{
    if (m->used * 2 >= m->size)
        grow(m);
    struct refmap_slot *s = probe(m, key);
    if (fresh)
        *fresh = !s->used;
    if (!s->used) {
        s->used = true;
        s->key = key;
        m->used++;
    }
    return &s->value;
}

void refmap_free(struct refmap *m)
{
    free(m->slot);
    *m = (struct refmap){0};
}
