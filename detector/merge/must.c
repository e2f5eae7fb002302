/* The must order of one document: what every schedule keeps (create, join, fork, barriers; docs/decisions/0003). Called by
 * together.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>

#include "internal.h"
#include "report/label.h"
#include "report/view.h"

#define MAX_WORK (50u << 20) /* steps along the order, for one document; then nothing more is known */

/* Segments by index; edges both ways. */
struct must {
    size_t n;
    u32 *before, *after; /* first links, index + 1 */
    struct {
        u32 to, next;
    } * link;
    size_t nlinks;
    struct refmap past, future; /* segment index -> bit set, made when asked for */
    u64 work;
};

static void add_link(struct must *o, u32 *first, u32 to)
{
    o->link = merge_grow(o->link, o->nlinks, sizeof *o->link);
    o->link[o->nlinks].to = to;
    o->link[o->nlinks].next = *first;
    *first = (u32)++o->nlinks;
}

static struct must *must_open(struct reading *r)
{
    struct must *o = r->must;
    if (o)
        return o;
    r->must = o = view_alloc(sizeof *o);
    const json_t *list = json_object_get(r->graph, "segments"), *s, *a;
    size_t i, k;
    o->n = json_array_size(list);
    o->before = view_alloc((o->n + 1) * sizeof(u32));
    o->after = view_alloc((o->n + 1) * sizeof(u32));
    json_array_foreach (list, i, s) {
        json_array_foreach (json_object_get(s, "after"), k, a) {
            const u64 *at = json_is_integer(a) ? refmap_get(&r->segment, (u64)json_integer_value(a)) : NULL;
            if (!at)
                continue;
            add_link(o, &o->before[i], (u32)(*at - 1));
            add_link(o, &o->after[*at - 1], (u32)i);
        }
    }
    return o;
}

static void free_sets(struct refmap *sets)
{
    for (const struct refmap_item *i = refmap_next(sets, NULL); i; i = refmap_next(sets, i))
        free((void *)(uintptr_t)i->value);
    refmap_free(sets);
}

void must_close(struct reading *r)
{
    struct must *o = r->must;
    if (!o)
        return;
    free_sets(&o->past);
    free_sets(&o->future);
    free(o->before);
    free(o->after);
    free(o->link);
    free(o);
    r->must = NULL;
}

/* All that comes before a segment, or after it; itself too. NULL: too much work. */
static const u64 *reach(struct must *o, size_t start, bool past)
{
    bool fresh;
    u64 *place = refmap_put(past ? &o->past : &o->future, start, &fresh);
    if (!fresh)
        return (const u64 *)(uintptr_t)*place;
    if (o->work > MAX_WORK)
        return NULL;
    u64 *set = view_alloc((o->n / 64 + 1) * sizeof *set);
    u32 *todo = view_alloc((o->n + 1) * sizeof *todo);
    size_t n = 0;
    todo[n++] = (u32)start;
    set[start / 64] |= 1ULL << start % 64;
    while (n) {
        u32 at = todo[--n];
        for (u32 l = past ? o->before[at] : o->after[at]; l; l = o->link[l - 1].next) {
            u32 to = o->link[l - 1].to;
            o->work++;
            if (set[to / 64] >> to % 64 & 1)
                continue;
            set[to / 64] |= 1ULL << to % 64;
            todo[n++] = to;
        }
    }
    o->work += o->n / 64;
    free(todo);
    *place = (u64)(uintptr_t)set;
    return set;
}

static bool has(const u64 *set, size_t i)
{
    return set && (set[i / 64] >> i % 64 & 1);
}

u64 must_segment(const struct reading *r, const json_t *object, const char *key)
{
    const u64 *at = refmap_get(&r->segment, (u64)label_number(object, key));
    return at ? *at : 0;
}

bool must_before(struct reading *r, u64 a, u64 b)
{
    return a && b && has(reach(must_open(r), b - 1, true), a - 1);
}

bool must_before_or_after(struct reading *r, u64 at, u64 first, u64 last)
{
    return at && first && last &&
           (has(reach(must_open(r), at - 1, false), first - 1) || has(reach(must_open(r), at - 1, true), last - 1));
}
