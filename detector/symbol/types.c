/* heap_class, data_heap: the struct that an allocation holds, from its size, the offset of the lock or the bytes in it,
 * and the code that allocated.
 * Called by detector/report. Takes no locks, allocates; answers are kept, as many locks come from one place.
 *
 * Debug information does not say what a malloc is for. A struct of the very size that has such a lock at the very
 * offset is strong evidence already; a pointer to it in the allocating function (variable, parameter, result, template
 * argument) makes it certain enough. Where two fit equally well, neither is taken.
 *
 * For data there is no lock to go by: nothing is taken without such a pointer, to the struct itself and not to pointers
 * to it. The functions that use the data may have one, too, but they have pointers to much else: they only decide for a
 * block of exactly that size. */
#include "internal.h"

#include "base/hash.h"

#include <stdio.h>
#include <string.h>

#define CANDIDATES_MAX 32
#define SITES_MAX 12 /* frames of a stack that are looked at */
#define DATA_SITES 4 /* for data: the further out, the less have pointers to do with it */

/* How an allocation can hold a struct. From the surest. */
enum fit {
    FIT_EXACT,
    FIT_ARRAY,    /* n of them */
    FIT_FLEXIBLE, /* it ends with an array of no fixed length */
    FIT_COOKIE,   /* new T[n]: the count, 8 bytes, then n of them */
    FIT_TRAILING, /* something else behind it */
    FIT_COUNT,
    FIT_MAPPED = FIT_COUNT /* at the beginning of pages that hold more */
};

struct candidate {
    const char *class_name;  /* "type.field" */
    const char *shown;       /* data: with indexes */
    struct data_name object; /* data: what is there */
    const char *type, *base; /* outer type, and the one that names the class */
    u64 size;
    Dwarf_Die member;
    bool bare; /* nothing but the lock */
};

struct search {
    struct symbol_module *m;
    u64 size, offset;
    struct target want;
    struct unit *unit; /* whose candidates are in `found`, and of which fit */
    enum fit fit;
    struct candidate found[CANDIDATES_MAX];
    size_t n;
};

static bool place_of(enum fit fit, const struct type_entry *t, u64 size, u64 offset, bool data, u64 *inside)
{
    *inside = offset;
    switch (fit) {
    case FIT_EXACT:
        return t->size == size;
    case FIT_ARRAY:
        *inside = offset % t->size;
        return size > t->size && size % t->size == 0 && !(data && t->flexible);
    case FIT_COOKIE:
        if (size < 8 + t->size || (size - 8) % t->size != 0 || offset < 8 || (data && t->flexible))
            return false;
        *inside = (offset - 8) % t->size;
        return true;
    case FIT_FLEXIBLE:
        return t->flexible && t->size < size && (offset < t->size || data);
    case FIT_MAPPED:
        return offset < t->size;
    default:
        return t->size < size && offset < t->size;
    }
}

static void keep_candidate(struct search *s, const struct candidate *c)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->found[i].class_name == c->class_name) /* interned */
            return;
    }
    if (s->n < CANDIDATES_MAX)
        s->found[s->n++] = *c;
}

static void add_data_candidate(struct search *s, struct type_entry *t, u64 inside, bool array)
{
    char path[NAME_MAX_LENGTH] = "", index[32] = "";
    struct type_path p = {.path = {path, sizeof path, 0}, .want_base = true};
    struct pool *pool = &s->m->owner->pool;
    const char *name = type_name(s->m, &t->die);
    if (!name)
        return;
    type_path_data(s->m, &t->die, inside, s->want.size, &p);
    struct candidate c = {.type = name, .base = p.base ? p.base : name, .size = t->size, .member = p.member};
    if (type_is_library(c.base))
        return;
    if (array && t->size && p.start == 0)
        snprintf(index, sizeof index, "[%llu]", (unsigned long long)((s->offset - inside) / t->size));
    c.shown = pool_format(pool, "%s%s%s", c.base, index, path + p.start);
    data_describe(s->m, &p, &c.object);
    data_strip_indexes(path + p.start);
    c.class_name = pool_format(pool, "%s%s%s", c.base, array ? "[]" : "", path + p.start);
    keep_candidate(s, &c);
}

static void add_candidate(struct search *s, struct type_entry *t, u64 inside, bool array)
{
    char path[NAME_MAX_LENGTH] = "";
    struct type_path p = {.path = {path, sizeof path, 0}, .want_base = true};
    bool holds = type_path_lock(s->m, &t->die, inside, s->want.lock, &p);
    /* pthread_mutex_t itself: a typedef of a nameless union */
    bool bare = !holds && inside == 0 && lock_type_name(type_name(s->m, &t->die), s->want.lock);
    const char *name = holds || bare ? type_name(s->m, &t->die) : NULL;
    if (!name)
        return;
    struct candidate c = {.type = name, .base = p.base ? p.base : name, .size = t->size, .member = p.member};
    c.bare = path[p.start] == 0;
    c.class_name = pool_format(&s->m->owner->pool, "%s%s%s", c.base, array ? "[]" : "", path + p.start);
    keep_candidate(s, &c);
}

static void find_candidates(struct search *s, struct unit *u, enum fit fit)
{
    u64 inside;
    if (s->unit == u && s->fit == fit)
        return; /* the next frame of the same unit */
    s->unit = u;
    s->fit = fit;
    s->n = 0;
    unit_types(s->m, u);
    for (size_t i = 0; i < u->ntypes; i++) {
        bool array = fit == FIT_ARRAY || fit == FIT_COOKIE;
        if (!place_of(fit, &u->types[i], s->size, s->offset, s->want.data, &inside))
            continue;
        if (s->want.data)
            add_data_candidate(s, &u->types[i], inside, array);
        else
            add_candidate(s, &u->types[i], inside, array);
    }
}

/* A struct of a lock's size around a lock: that the size fits says nothing. */
static bool only_wraps(const struct search *s, const struct candidate *c)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->found[i].bare && s->found[i].size == c->size)
            return true;
    }
    return false;
}

/* The one candidate that counts: 1, none: 0, several: -1. */
static int pick(struct search *s, const struct evidence *e, bool near, struct candidate *out)
{
    int n = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct candidate *c = &s->found[i];
        if (e ? !evidence_of(e, c->type, near, false) && !evidence_of(e, c->base, near, false)
              : c->bare || only_wraps(s, c))
            continue;
        *out = *c;
        n++;
    }
    return n > 1 ? -1 : n;
}

/* For data: the one whose own type it is; what only holds one somewhere inside, as a node of a container does, is
 * asked for next. */
static bool pick_data(struct search *s, const struct evidence *e, bool near, struct candidate *out)
{
    for (int inner = 0; inner < 2; inner++) {
        int n = 0;
        for (size_t i = 0; i < s->n; i++) {
            struct candidate *c = &s->found[i];
            if (!evidence_of(e, inner ? c->base : c->type, near, true))
                continue;
            *out = *c;
            n++;
        }
        if (n)
            return n == 1;
    }
    return false;
}

struct sites {
    struct {
        struct symbol_module *m;
        struct unit *u;
        Dwarf_Die *function;
        u64 address;
        struct evidence evidence;
    } at[2 * SITES_MAX];
    size_t n, allocating; /* the first so many allocate */
};

static void add_site(struct sites *s, struct symbol_module *m, struct unit *u, Dwarf_Die *function, u64 address)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->at[i].u == u && s->at[i].address == address)
            return;
    }
    if (!u || s->n == ARRAY_LEN(s->at))
        return;
    s->at[s->n].m = m;
    s->at[s->n].u = u;
    s->at[s->n].function = function;
    s->at[s->n++].address = address;
}

/* With link-time optimisation the types are in the units of the sources, the code is in others: those of the origins
 * count, too. */
static void add_sites(struct sites *s, const struct symbol_site *from, size_t n)
{
    for (size_t i = 0; i < n && i < SITES_MAX; i++) {
        struct symbol_module *m = from[i].module;
        Dwarf_Die *function, chain[16], origin;
        u64 address = from[i].address - (from[i].call_site && from[i].address);
        struct unit *u = m && module_open(m) && m->dwarf ? unit_at(m, address, &function) : NULL;
        if (!u)
            continue;
        add_site(s, m, u, function, address);
        size_t levels = function ? inline_chain(function, address - m->dwarf_bias, chain, ARRAY_LEN(chain)) : 0;
        for (size_t k = levels; k > 0; k--) {
            die_origin(&chain[k - 1], &origin);
            add_site(s, m, unit_of(m, &origin), function, address);
        }
    }
}

/* For data: the type that a pointer in the line of the allocation has, else, where the size says much, one that the
 * functions know. */
static bool find_data_fit(struct sites *sites, struct search *s, enum fit fit, struct candidate *best)
{
    bool array = fit == FIT_ARRAY || fit == FIT_COOKIE, other = false;
    for (int near = 1; near >= (fit == FIT_FLEXIBLE ? 1 : 0) && !other; near--) {
        size_t n = near || array ? sites->allocating : sites->n;
        for (size_t i = 0; i < n; i++) {
            struct evidence *e = &sites->at[i].evidence;
            s->m = sites->at[i].m;
            find_candidates(s, sites->at[i].u, fit);
            evidence_gather(s->m, sites->at[i].function, sites->at[i].address, e);
            if (s->n && (near || !array || !e->other) && pick_data(s, e, near, best))
                return true;
            other |= near && e->near_other.addr;
        }
    }
    return false;
}

/* Among the structs that fit in one way: 1 found, 0 none fits, -1 several or none that can be told. */
static int find_fit(struct sites *sites, struct search *s, enum fit fit, struct candidate *best)
{
    bool any = false;
    for (int mode = 0; mode < 3; mode++) { /* declared at the call, in the function, by size and offset alone */
        if (mode == 2 && fit > FIT_FLEXIBLE)
            break;
        for (size_t i = 0; i < sites->n; i++) {
            s->m = sites->at[i].m;
            find_candidates(s, sites->at[i].u, fit);
            if (!s->n)
                continue;
            for (size_t k = 0; k < s->n; k++)
                any |= !s->found[k].bare || fit == FIT_EXACT;
            struct evidence *e = &sites->at[i].evidence;
            evidence_gather(s->m, sites->at[i].function, sites->at[i].address, e);
            int n = pick(s, mode < 2 ? e : NULL, mode == 0, best);
            if (n == 1)
                return best->bare ? -1 : 1;
            if (n < 0 && mode == 2)
                return -1;
        }
    }
    return any && fit <= FIT_FLEXIBLE ? -1 : 0;
}

static bool find_type(struct sites *sites, struct search *s, struct candidate *best)
{
    for (int fit = FIT_EXACT; fit < (s->want.data ? FIT_TRAILING : FIT_COUNT); fit++) {
        if (s->want.data && find_data_fit(sites, s, (enum fit)fit, best))
            return true;
        int n = s->want.data ? 0 : find_fit(sites, s, (enum fit)fit, best);
        if (n != 0)
            return n > 0;
    }
    return false;
}

/* The struct that begins a mapping: one that a function of the stack has a pointer to, else a variable of its source. */
static bool find_mapped(struct sites *sites, struct search *s, struct candidate *best)
{
    for (int variables = 0; variables < 2; variables++) {
        for (size_t i = 0; i < sites->n; i++) {
            struct evidence of_source = {0}, *e = variables ? &of_source : &sites->at[i].evidence;
            s->m = sites->at[i].m;
            find_candidates(s, sites->at[i].u, FIT_MAPPED);
            if (variables)
                evidence_of_variables(s->m, sites->at[i].u, e);
            else
                evidence_gather(s->m, sites->at[i].function, sites->at[i].address, e);
            int n = pick(s, e, false, best);
            if (n)
                return n == 1 && !best->bare;
        }
    }
    return false;
}

static u64 heap_key(const struct symbol_site *alloc, size_t nalloc, const struct symbol_site *init, size_t ninit,
                    u64 size, u64 offset, enum lock_type type)
{
    u64 h = hash_combine(hash_combine(size, offset), hash_combine(nalloc, (u64)type));
    for (size_t i = 0; i < nalloc; i++)
        h = hash_combine(hash_combine(h, (u64)(uintptr_t)alloc[i].module), alloc[i].address);
    for (size_t i = 0; i < ninit; i++)
        h = hash_combine(hash_combine(h, (u64)(uintptr_t)init[i].module), init[i].address);
    return h;
}

static bool find_holder(struct sites *sites, struct search *s, bool mapped, struct candidate *best)
{
    if (s->want.lock == LOCK_TYPE_CUSTOM)
        return false;
    return mapped ? find_mapped(sites, s, best) : s->offset < s->size && find_type(sites, s, best);
}

void heap_class(struct symbolizer *s, const struct symbol_site *alloc, size_t nalloc, const struct symbol_site *init,
                size_t ninit, bool init_seen, u64 alloc_size, u64 offset, enum lock_type type,
                struct variable_name *out)
{
    bool mapped = alloc_size == HEAP_MAPPED;
    struct search search = {.size = alloc_size, .offset = offset, .want = {.lock = type}};
    struct sites sites;
    struct candidate best;
    u64 key = heap_key(alloc, nalloc, init, ninit, alloc_size, offset, type) ^ init_seen;
    struct variable_name *known = map_get(&s->heap, key);
    if (known) {
        *out = *known;
        return;
    }
    memset(out, 0, sizeof *out);
    out->module = "";
    memset(&sites, 0, sizeof sites);
    add_sites(&sites, alloc, nalloc);
    add_sites(&sites, init, ninit);
    if (find_holder(&sites, &search, mapped, &best)) {
        out->class_name = out->local = best.class_name;
        out->source = NAME_TYPED;
        die_declared(search.m, &best.member, out);
    } else {
        site_class(s, alloc, nalloc, init, ninit, init_seen, out);
    }
    known = pool_alloc(&s->pool, sizeof *known);
    if (known) {
        *known = *out;
        map_put(&s->heap, key, known);
    }
}

/* The block is an array of something simple: T *p = malloc(…). */
static void describe_element(struct sites *sites, u64 size, struct data_name *out)
{
    for (size_t i = 0; i < sites->allocating; i++) {
        struct evidence *e = &sites->at[i].evidence;
        struct type_path p = {.object = e->near_other};
        if (e->near_other.addr && die_size(&e->near_other) == size) {
            data_describe(sites->at[i].m, &p, out);
            return;
        }
    }
}

void data_heap(struct symbolizer *s, const struct symbol_site *alloc, size_t nalloc, const struct symbol_site *use,
               size_t nuse, u64 alloc_size, u64 offset, u64 size, struct data_name *out)
{
    struct search search = {.size = alloc_size, .offset = offset, .want = {.size = size, .data = out}};
    struct sites sites;
    struct candidate best;
    u64 key = hash_combine(heap_key(alloc, nalloc, use, nuse, alloc_size, offset, LOCK_TYPE_ANY), size);
    struct data_name *known = map_get(&s->data, key);
    if (known) {
        *out = *known;
        return;
    }
    *out = (struct data_name){.name.module = ""};
    memset(&sites, 0, sizeof sites);
    add_sites(&sites, alloc, nalloc < DATA_SITES ? nalloc : DATA_SITES);
    sites.allocating = sites.n;
    add_sites(&sites, use, nuse < DATA_SITES ? nuse : DATA_SITES);
    if (alloc_size && offset < alloc_size && find_type(&sites, &search, &best)) {
        *out = best.object;
        out->name.class_name = out->name.local = best.class_name;
        out->name.module = "";
        out->name.source = NAME_TYPED;
        out->shown = best.shown;
        die_declared(search.m, &best.member, &out->name);
    } else {
        site_class(s, alloc, nalloc, NULL, 0, false, &out->name);
        describe_element(&sites, size, out);
    }
    known = pool_alloc(&s->pool, sizeof *known);
    if (known) {
        *known = *out;
        map_put(&s->data, key, known);
    }
}
