/* Copies records out of an arena that may be damaged or still changing. Called by collect*.c and names.c, in the
 * command only. Takes no locks; allocates with malloc. */
#include "view.h"

#include <stdlib.h>
#include <string.h>

#include "escape.h"

void *view_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        abort();
    return p;
}

bool view_get(ref_t r, void *out, size_t n)
{
    const void *p = arena_check(r, n);
    if (p)
        memcpy(out, p, n);
    else
        memset(out, 0, n);
    return p != NULL;
}

void *view_items(ref_t r, u64 n, size_t size)
{
    const void *p = n && n < (1u << 30) ? arena_check(r, n * size) : NULL;
    if (!p)
        return NULL;
    void *copy = view_alloc(n * size);
    memcpy(copy, p, n * size);
    return copy;
}

bool view_run(struct run_state *out)
{
    return view_get(arena_header()->run, out, sizeof *out);
}

char *view_string_raw(ref_t r)
{
    struct string_rec head;
    char *copy = NULL;
    if (view_get(r, &head, sizeof head)) {
        u32 n = head.length < VIEW_MAX_STRING ? head.length : VIEW_MAX_STRING;
        const char *text = arena_check(r, sizeof head + n);
        if (text) {
            copy = view_alloc(n + 1);
            memcpy(copy, text + sizeof head, n);
        }
    }
    return copy ? copy : view_alloc(1);
}

char *view_string(ref_t r)
{
    char *raw = view_string_raw(r);
    char *safe = escape_text(raw, strlen(raw));
    free(raw);
    return safe;
}

bool view_stack(ref_t r, struct view_stack *out)
{
    struct stack_rec head;
    out->n = out->flags = 0;
    if (!view_get(r, &head, sizeof head))
        return false;
    u32 n = head.n < STACK_MAX_FRAMES ? head.n : STACK_MAX_FRAMES;
    const char *frames = arena_check(r, sizeof head + (u64)n * sizeof(u64));
    if (!frames)
        return false;
    memcpy(out->frame, frames + sizeof head, (size_t)n * sizeof(u64));
    out->n = n;
    out->flags = head.flags;
    return n > 0;
}

bool view_object(ref_t r, struct view_object *out)
{
    memset(out, 0, sizeof *out);
    if (!view_get(r, &out->head, sizeof out->head) || out->head.kind == OBJ_NONE || out->head.kind >= OBJ_THREAD)
        return false;
    if (out->head.kind >= OBJ_COND) {
        struct sync_rec s;
        if (!view_get(r, &s, sizeof s))
            return false;
        out->birth = s.birth;
        out->needed = s.needed;
    } else {
        struct lock_rec l;
        if (!view_get(r, &l, sizeof l))
            return false;
        out->birth = l.birth;
        out->acquisitions = l.acquisitions;
        out->sem_initial = l.sem_initial;
        out->level = l.level;
    }
    return true;
}

ref_t view_next(enum arena_pool pool, struct view_walk *w, void *out, size_t n)
{
    const struct arena_header *h = arena_header();
    /* Records smaller than what the reader knows would overlap: not an arena of this version's making. */
    if (h->pools[pool].item_size < n || h->nchunks > ARENA_MAX_CHUNKS)
        return 0;
    while (w->seen < VIEW_MAX_RECORDS) {
        ref_t r = arena_next(pool, &w->cursor);
        if (!r)
            return 0;
        w->seen++;
        if (view_get(r, out, n))
            return r;
        /* Past the file's end, as a damaged count says: the rest of this chunk is too. */
        w->cursor.chunk++;
        w->cursor.item = 0;
    }
    return 0;
}

enum arena_pool view_pool(ref_t r)
{
    const struct arena_header *h = arena_header();
    u32 n = h->nchunks < ARENA_MAX_CHUNKS ? h->nchunks : ARENA_MAX_CHUNKS;
    for (u32 i = 0; i < n; i++) {
        struct arena_chunk c = h->chunks[i];
        if (c.pool >= POOL_COUNT || r < c.first)
            continue;
        u32 step = h->pools[c.pool].item_size >> 4;
        if (step && (r - c.first) / step < c.used && (r - c.first) % step == 0 && (r - c.first) / step < c.items)
            return (enum arena_pool)c.pool;
    }
    return POOL_COUNT;
}
