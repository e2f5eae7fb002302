/* Memory of the symbolizer: a pool that is freed as one, interned strings, a map from numbers to pointers, bounded
 * text. Called by all of detector/symbol. Takes no locks; allocates with malloc. Running out of memory gives NULL, ""
 * or false: names get poorer, nothing ends. */
#include "internal.h"

#include "base/hash.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pool_chunk {
    struct pool_chunk *next;
    _Alignas(16) char data[];
};

#define POOL_CHUNK 65536u

void *pool_alloc(struct pool *p, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + 15) & ~(size_t)15;
    if (!p->chunks || p->size - p->used < size) {
        size_t want = size > POOL_CHUNK ? size : POOL_CHUNK;
        struct pool_chunk *c = calloc(1, sizeof *c + want);
        if (!c)
            return NULL;
        c->next = p->chunks;
        p->chunks = c;
        p->used = 0;
        p->size = want;
    }
    void *at = p->chunks->data + p->used;
    p->used += size;
    return at;
}

void pool_free(struct pool *p)
{
    while (p->chunks) {
        struct pool_chunk *next = p->chunks->next;
        free(p->chunks);
        p->chunks = next;
    }
    free(p->strings);
    memset(p, 0, sizeof *p);
}

static bool strings_grow(struct pool *p)
{
    size_t slots = p->string_slots ? p->string_slots * 2 : 1024;
    const char **fresh = calloc(slots, sizeof *fresh);
    if (!fresh)
        return false;
    for (size_t i = 0; i < p->string_slots; i++) {
        const char *s = p->strings[i];
        if (!s)
            continue;
        size_t at = hash_bytes(s, strlen(s), 0) & (slots - 1);
        while (fresh[at])
            at = (at + 1) & (slots - 1);
        fresh[at] = s;
    }
    free(p->strings);
    p->strings = fresh;
    p->string_slots = slots;
    return true;
}

const char *pool_string_n(struct pool *p, const char *text, size_t n)
{
    if (!text)
        return NULL;
    if (p->nstrings * 2 >= p->string_slots && !strings_grow(p))
        return "";
    size_t at = hash_bytes(text, n, 0) & (p->string_slots - 1);
    for (const char *s; (s = p->strings[at]); at = (at + 1) & (p->string_slots - 1)) {
        if (strncmp(s, text, n) == 0 && s[n] == 0)
            return s;
    }
    char *copy = pool_alloc(p, n + 1);
    if (!copy)
        return "";
    memcpy(copy, text, n);
    p->strings[at] = copy;
    p->nstrings++;
    return copy;
}

const char *pool_string(struct pool *p, const char *text)
{
    return text ? pool_string_n(p, text, strlen(text)) : NULL;
}

const char *pool_format(struct pool *p, const char *format, ...)
{
    char buffer[3 * NAME_MAX_LENGTH];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(buffer, sizeof buffer, format, ap);
    va_end(ap);
    return n < 0 ? "" : pool_string(p, buffer);
}

void *map_get(const struct map *m, u64 key)
{
    if (!m->size)
        return NULL;
    for (size_t at = hash_mix64(key) & (m->size - 1); m->slots[at].value; at = (at + 1) & (m->size - 1)) {
        if (m->slots[at].key == key)
            return m->slots[at].value;
    }
    return NULL;
}

static void map_place(struct map_slot *slots, size_t size, u64 key, void *value)
{
    size_t at = hash_mix64(key) & (size - 1);
    while (slots[at].value)
        at = (at + 1) & (size - 1);
    slots[at] = (struct map_slot){key, value};
}

bool map_put(struct map *m, u64 key, void *value)
{
    if (m->n * 2 >= m->size) {
        size_t size = m->size ? m->size * 2 : 256;
        struct map_slot *slots = calloc(size, sizeof *slots);
        if (!slots)
            return false;
        for (size_t i = 0; i < m->size; i++) {
            if (m->slots[i].value)
                map_place(slots, size, m->slots[i].key, m->slots[i].value);
        }
        free(m->slots);
        m->slots = slots;
        m->size = size;
    }
    map_place(m->slots, m->size, key, value);
    m->n++;
    return true;
}

void map_free(struct map *m)
{
    free(m->slots);
    memset(m, 0, sizeof *m);
}

bool grow(void **array, size_t *cap, size_t n, size_t item)
{
    if (n < *cap)
        return true;
    size_t more = *cap ? *cap * 2 : 64;
    void *fresh = reallocarray(*array, more, item);
    if (!fresh)
        return false;
    *array = fresh;
    *cap = more;
    return true;
}

void text_add_n(struct text *t, const char *s, size_t n)
{
    if (!t->size)
        return;
    size_t room = t->size - 1 - t->len;
    if (n > room)
        n = room;
    memcpy(t->at + t->len, s, n);
    t->len += n;
    t->at[t->len] = 0;
}

void text_add(struct text *t, const char *s)
{
    text_add_n(t, s, strlen(s));
}

void text_format(struct text *t, const char *format, ...)
{
    char buffer[256];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(buffer, sizeof buffer, format, ap);
    va_end(ap);
    if (n > 0)
        text_add(t, buffer);
}
