/* Translation of addresses between originals and copies. Made once for each module; asked by handlers of signals and
 * faults, and by whoever shows stacks. Takes no lock; asking allocates nothing.
 *
 * Copies stand in the order of their originals, and so do checks and their ways out: one sorted list answers both ways. */
#include "rewrite_map.h"

/* A locked instruction has one check, and its end is as long. */
static void add_after(struct rewrite_map *m, const struct place *p, const struct check *c)
{
    if (c->after)
        m->checks[m->nchecks++] =
            (struct map_check){c->after, c->back, c->end, c->cold, p->at, (u32)(p->at + p->length)};
}

bool map_make(struct rewrite_map *m, const struct rewrite *r, const struct arena *a)
{
    u64 places = (u64)r->places.n * sizeof *m->places, checks = 2ULL * r->checks.n * sizeof *m->checks;
    *m = (struct rewrite_map){.text_lo = r->image.text_lo,
                              .text_hi = r->image.text_hi,
                              .lo = a->lo,
                              .hi = a->hi,
                              .stubs_lo = a->stubs,
                              .stubs_hi = a->stubs_end,
                              .cold = a->copies_end,
                              .bytes = places + checks};
    m->places = sys_map(m->bytes ? m->bytes : 1);
    if (!m->places)
        return false;
    m->checks = (struct map_check *)((u8 *)m->places + places);
    for (u32 i = 0; i < r->places.n; i++) {
        const struct place *p = &r->places.item[i];
        if (p->copy == NOWHERE)
            continue;
        m->places[m->nplaces++] = (struct map_place){p->at, p->copy};
        for (u32 k = p->checks; k != NOWHERE; k = r->checks.item[k].next) {
            const struct check *c = &r->checks.item[k];
            m->checks[m->nchecks++] =
                (struct map_check){c->hot, c->back, c->end, c->cold, r->places.item[c->place].at, 0};
            add_after(m, p, c);
        }
    }
    return true;
}

void map_free(struct rewrite_map *m)
{
    sys_unmap(m->places, m->bytes ? m->bytes : 1);
    *m = (struct rewrite_map){0};
}

/* The last of n items whose key is not above v, or -1. */
#define LAST_NOT_ABOVE(items, n, key, v)                                                                               \
    __extension__({                                                                                                    \
        u32 lo_ = 0, hi_ = (n);                                                                                        \
        while (lo_ < hi_) {                                                                                            \
            u32 middle_ = lo_ + (hi_ - lo_) / 2;                                                                       \
            if ((items)[middle_].key <= (v))                                                                           \
                lo_ = middle_ + 1;                                                                                     \
            else                                                                                                       \
                hi_ = middle_;                                                                                         \
        }                                                                                                              \
        (int64_t) lo_ - 1;                                                                                             \
    })

static void found_place(const struct rewrite_map *m, u32 offset, struct map_found *out)
{
    int64_t i = LAST_NOT_ABOVE(m->places, m->nplaces, copy, offset);
    if (i < 0)
        return;
    out->where = MAP_CODE;
    out->original = m->text_lo + m->places[i].at;
    out->copy = m->lo + m->places[i].copy;
}

bool map_find(const struct rewrite_map *m, u64 in_copy, struct map_found *out)
{
    *out = (struct map_found){0};
    if (in_copy >= m->stubs_lo && in_copy < m->stubs_hi)
        out->where = MAP_STUB;
    if (in_copy < m->lo || in_copy >= m->hi)
        return out->where != MAP_NONE;
    u32 offset = (u32)(in_copy - m->lo);
    bool cold = in_copy >= m->cold;
    int64_t i =
        cold ? LAST_NOT_ABOVE(m->checks, m->nchecks, cold, offset) : LAST_NOT_ABOVE(m->checks, m->nchecks, hot, offset);
    if (!cold)
        found_place(m, offset, out);
    out->code = out->copy;
    if (i < 0)
        return out->where != MAP_NONE;
    const struct map_check *c = &m->checks[i];
    bool behind = !cold && offset >= c->hot + c->end;
    if (!cold && c->after && m->lo + c->hot >= out->copy) {
        out->original = m->text_lo + c->after;
        out->check = m->lo + c->hot;
        out->back = out->check + c->back;
        out->copy = out->code = behind ? out->check + c->end : out->check;
        out->where = behind ? MAP_CODE : MAP_AFTER;
        return true;
    }
    if (behind) {
        if (m->lo + c->hot >= out->copy)
            out->code = m->lo + c->hot + c->end;
        return out->where != MAP_NONE;
    }
    found_place(m, c->hot, out);
    out->check = m->lo + c->hot;
    out->back = out->check + c->back;
    out->cold = m->lo + c->cold;
    out->where = cold ? MAP_COLD : offset < c->hot + c->back ? MAP_CHECK : MAP_RETURN;
    return true;
}

u64 map_copy_of(const struct rewrite_map *m, u64 original)
{
    if (original < m->text_lo || original >= m->text_hi)
        return 0;
    u32 at = (u32)(original - m->text_lo);
    int64_t i = LAST_NOT_ABOVE(m->places, m->nplaces, at, at);
    return i >= 0 && m->places[i].at == at ? m->lo + m->places[i].copy : 0;
}
