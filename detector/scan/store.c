/* Memory of a scan. Called by everything in scan/. Takes no locks; allocates with malloc. */
#include "store.h"

#include <stdlib.h>

void *store_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        abort();
    return p;
}

void store_free(void *p)
{
    free(p);
}

void *store_grow(void *at, u32 *cap, u32 need, size_t size)
{
    u32 more = *cap ? *cap : 8;
    while (more < need) {
        if (more > UINT32_MAX / 2)
            abort();
        more *= 2;
    }
    at = realloc(at, more * size);
    if (!at)
        abort();
    *cap = more;
    return at;
}

/* Keys are kept plus one: 0 marks an empty place. */
static u32 map_place(const struct map *m, u64 key)
{
    u32 h = (u32)hash_mix64(key) & (m->cap - 1);
    while (m->key[h] && m->key[h] != key + 1)
        h = (h + 1) & (m->cap - 1);
    return h;
}

u32 *map_get(const struct map *m, u64 key)
{
    if (!m->cap)
        return NULL;
    u32 h = map_place(m, key);
    return m->key[h] ? &m->value[h] : NULL;
}

static void map_widen(struct map *m)
{
    struct map old = *m;
    m->cap = old.cap ? old.cap * 2 : 16;
    m->key = store_alloc(m->cap * sizeof *m->key);
    m->value = store_alloc(m->cap * sizeof *m->value);
    for (u32 i = 0; i < old.cap; i++)
        if (old.key[i]) {
            u32 h = map_place(m, old.key[i] - 1);
            m->key[h] = old.key[i];
            m->value[h] = old.value[i];
        }
    free(old.key);
    free(old.value);
}

u32 *map_put(struct map *m, u64 key)
{
    if ((m->n + 1) * 3 > m->cap * 2)
        map_widen(m);
    u32 h = map_place(m, key);
    if (!m->key[h]) {
        m->key[h] = key + 1;
        m->n++;
    }
    return &m->value[h];
}

void map_free(struct map *m)
{
    free(m->key);
    free(m->value);
    *m = (struct map){0};
}

u32 texts_add(struct texts *t, const char *text, size_t n)
{
    if (!t->n)
        LIST_ADD(t, 0);
    if (!n)
        return 0;
    for (u64 h = hash_bytes(text, n, 0) >> 1;; h++) {
        u32 *known = map_put(&t->index, h);
        if (!*known) {
            LIST_RESERVE(t, (u32)n + 1);
            *known = t->n;
            memcpy(t->at + t->n, text, n);
            t->at[t->n + n] = 0;
            t->n += (u32)n + 1;
            return *known;
        }
        if (strncmp(t->at + *known, text, n) == 0 && t->at[*known + n] == 0)
            return *known;
    }
}

static int by_number(const void *a, const void *b)
{
    u32 x = *(const u32 *)a, y = *(const u32 *)b;
    return (x > y) - (x < y);
}

/* items are sorted and unique. */
static u32 intern(struct sets *s, const u32 *items, u32 n)
{
    if (!n)
        return 0;
    if (!s->head.n)
        LIST_ADD(&s->head, (struct set_head){0, 0});
    for (u64 h = hash_bytes(items, n * sizeof *items, n) >> 1;; h++) {
        u32 *known = map_put(&s->index, h);
        if (!*known) {
            LIST_RESERVE(&s->items, n);
            memcpy(s->items.at + s->items.n, items, n * sizeof *items);
            *known = s->head.n;
            LIST_ADD(&s->head, (struct set_head){s->items.n, n});
            s->items.n += n;
            return *known;
        }
        struct set_head *head = &s->head.at[*known];
        if (head->n == n && memcmp(s->items.at + head->start, items, n * sizeof *items) == 0)
            return *known;
    }
}

u32 sets_make(struct sets *s, u32 *items, u32 n)
{
    u32 kept = 0;
    if (n)
        qsort(items, n, sizeof *items, by_number);
    for (u32 i = 0; i < n; i++)
        if (!kept || items[kept - 1] != items[i])
            items[kept++] = items[i];
    return intern(s, items, kept);
}

u32 sets_one(struct sets *s, u32 item)
{
    return intern(s, &item, 1);
}

bool sets_has(const struct sets *s, u32 a, u32 item)
{
    if (!a)
        return false;
    const u32 *at = s->items.at + s->head.at[a].start;
    u32 low = 0, high = s->head.at[a].n;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (at[middle] == item)
            return true;
        if (at[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

enum operation { UNION, COMMON, MINUS };

static u32 combine(struct sets *s, u32 a, u32 b, enum operation op)
{
    u64 key = ((u64)a << 32 | b) * 3 + op;
    u32 *memo = map_get(&s->memo, key);
    if (memo)
        return *memo;
    u32 na = sets_count(s, a), nb = sets_count(s, b), n = 0, i = 0, j = 0;
    u32 local[128], *out = na + nb <= ARRAY_LEN(local) ? local : store_alloc((na + nb) * sizeof *out);
    while (i < na || j < nb) {
        u32 x = i < na ? sets_item(s, a, i) : UINT32_MAX, y = j < nb ? sets_item(s, b, j) : UINT32_MAX;
        bool left = i < na && (j >= nb || x <= y), right = j < nb && (i >= na || y <= x);
        if (op == UNION || (op == COMMON && left && right) || (op == MINUS && left && !right))
            out[n++] = left ? x : y;
        i += left;
        j += right;
    }
    u32 result = intern(s, out, n);
    if (out != local)
        free(out);
    *map_put(&s->memo, key) = result;
    return result;
}

u32 sets_union(struct sets *s, u32 a, u32 b)
{
    return a == b || !b ? a : !a ? b : combine(s, a < b ? a : b, a < b ? b : a, UNION);
}

u32 sets_common(struct sets *s, u32 a, u32 b)
{
    return a == b ? a : !a || !b ? 0 : combine(s, a < b ? a : b, a < b ? b : a, COMMON);
}

u32 sets_minus(struct sets *s, u32 a, u32 b)
{
    return a == b || !a ? 0 : !b ? a : combine(s, a, b, MINUS);
}
