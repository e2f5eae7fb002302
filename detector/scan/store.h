/* Memory of a scan: arrays that grow, a hash map, texts kept once, sets kept once. Nothing is given back one by one; a
 * scan of one program ends with its process. Aborts on out-of-memory, like everything in the command. */
#ifndef SNARL_SCAN_STORE_H
#define SNARL_SCAN_STORE_H

#include <string.h>

#include "base/hash.h"
#include "base/types.h"

void *store_alloc(size_t n); /* zeroed */
void store_free(void *p);
void *store_grow(void *at, u32 *cap, u32 need, size_t size);

/* An array that grows: struct { T *at; u32 n, cap; }. */
#define LIST(T)                                                                                                        \
    struct {                                                                                                           \
        T *at;                                                                                                         \
        u32 n, cap;                                                                                                    \
    }
#define LIST_RESERVE(l, more)                                                                                          \
    ((l)->n + (more) > (l)->cap ? (void)((l)->at = store_grow((l)->at, &(l)->cap, (l)->n + (more), sizeof *(l)->at))   \
                                : (void)0)
#define LIST_ADD(l, ...) (LIST_RESERVE(l, 1), (l)->at[(l)->n] = (__VA_ARGS__), (l)->n++)

struct list_u32 {
    u32 *at;
    u32 n, cap;
};

/* u64 -> u32; the key ~0 is not for use. */
struct map {
    u64 *key;
    u32 *value;
    u32 n, cap;
};
/* The place of the key's value, NULL when it is not there. Valid until the next map_put. */
u32 *map_get(const struct map *m, u64 key);
/* The same, put there with 0 when it is missing. */
u32 *map_put(struct map *m, u64 key);
void map_free(struct map *m);

/* Texts kept once: 0 is "". */
struct texts {
    char *at;
    u32 n, cap;
    struct map index;
};
u32 texts_add(struct texts *t, const char *text, size_t n);
static inline const char *texts_at(const struct texts *t, u32 text)
{
    return t->n ? t->at + text : "";
}

/* Sorted sets of u32 kept once, so that equal sets have equal numbers; 0 is the empty one. */
struct sets {
    LIST(struct set_head {
        u32 start;
        u32 n;
    })
    head;
    struct list_u32 items;
    struct map index, memo;
};
/* items are sorted and made unique in place. */
u32 sets_make(struct sets *s, u32 *items, u32 n);
u32 sets_union(struct sets *s, u32 a, u32 b);
u32 sets_common(struct sets *s, u32 a, u32 b);
u32 sets_minus(struct sets *s, u32 a, u32 b);
u32 sets_one(struct sets *s, u32 item);
static inline u32 sets_add(struct sets *s, u32 a, u32 item)
{
    return sets_union(s, a, sets_one(s, item));
}
static inline u32 sets_drop(struct sets *s, u32 a, u32 item)
{
    return a ? sets_minus(s, a, sets_one(s, item)) : 0;
}
bool sets_has(const struct sets *s, u32 a, u32 item);
static inline u32 sets_count(const struct sets *s, u32 a)
{
    return a ? s->head.at[a].n : 0;
}
static inline u32 sets_item(const struct sets *s, u32 a, u32 i)
{
    return s->items.at[s->head.at[a].start + i];
}

#endif
