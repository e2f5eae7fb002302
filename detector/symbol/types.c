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

#define EVIDENCE_MAX 128
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
    FIT_COUNT
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

struct evidence {
    const char *type[EVIDENCE_MAX];
    bool near[EVIDENCE_MAX];   /* declared in the line of the call: T *p = malloc(…) */
    bool direct[EVIDENCE_MAX]; /* a pointer to it, not to pointers to it */
    size_t n, line;
    bool now_near, known;
    /* Pointers to what is no struct: the block may be an array of those. */
    bool other;           /* but char * and char **, which everybody has */
    Dwarf_Die near_other; /* its type */
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

static void add_evidence(struct symbol_module *m, struct evidence *e, const char *name, bool direct)
{
    if (!name || e->n == EVIDENCE_MAX)
        return;
    e->near[e->n] = e->now_near;
    e->direct[e->n] = direct;
    e->type[e->n++] = pool_string(&m->owner->pool, name);
}

/* A pointer to something that is no struct. */
static void add_other(struct evidence *e, Dwarf_Die *type)
{
    Dwarf_Die to = *type, next;
    for (unsigned i = 0; i < TYPE_DEPTH && dwarf_tag(&to) == DW_TAG_pointer_type && die_type(&to, &next); i++) {
        die_peel(&next);
        to = next;
    }
    e->other |= die_size(&to) != 1;
    if (e->now_near)
        e->near_other = *type;
}

/* A type by its name, and, one level down, what it is a template of: unique_ptr<T>, vector<T>. */
static void evidence_type(struct symbol_module *m, Dwarf_Die *type, struct evidence *e, unsigned depth)
{
    Dwarf_Die at = *type, child, argument;
    unsigned pointers = depth > 0;
    for (unsigned i = 0; i < TYPE_DEPTH; i++) {
        const char *n = die_text(&at, DW_AT_name);
        if (pointers && lock_type_name(n, LOCK_TYPE_ANY))
            add_evidence(m, e, n, pointers == 1);
        int tag = dwarf_tag(&at);
        if (tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type || tag == DW_TAG_rvalue_reference_type ||
            tag == DW_TAG_array_type) {
            if (tag != DW_TAG_array_type && pointers++ == 1)
                add_other(e, &at);
            if (!die_type(&at, &child))
                return;
            at = child;
        } else if (!die_unwrap(&at)) {
            break;
        }
    }
    die_peel(&at);
    int tag = dwarf_tag(&at);
    if (tag != DW_TAG_structure_type && tag != DW_TAG_class_type && tag != DW_TAG_union_type) {
        if (pointers == 1 && (tag == DW_TAG_base_type || tag == DW_TAG_enumeration_type))
            add_other(e, &at);
        return;
    }
    if (pointers)
        add_evidence(m, e, type_name(m, &at), pointers == 1);
    if (depth > 2 || !die_first_child(&at, &child))
        return;
    do {
        if (dwarf_tag(&child) == DW_TAG_template_type_parameter && die_type(&child, &argument))
            evidence_type(m, &argument, e, depth + 1);
    } while (die_next(&child));
}

struct evidence_walk {
    struct symbol_module *m;
    struct evidence *e;
};

static enum walk collect_evidence(Dwarf_Die *die, void *context)
{
    struct evidence_walk *w = context;
    Dwarf_Die type;
    u64 line;
    w->e->now_near = false;
    switch (dwarf_tag(die)) {
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
        return WALK_INTO;
    case DW_TAG_variable:
    case DW_TAG_formal_parameter:
        w->e->now_near = w->e->line && die_uint(die, DW_AT_decl_line, &line) && line == w->e->line;
        if (die_type(die, &type))
            evidence_type(w->m, &type, w->e, 0);
        return WALK_OVER;
    case DW_TAG_template_type_parameter:
        if (die_type(die, &type))
            evidence_type(w->m, &type, w->e, 1);
        return WALK_OVER;
    default:
        return WALK_OVER;
    }
}

/* What the functions at a site have pointers to. */
static void gather_evidence(struct symbol_module *m, Dwarf_Die *function, u64 address, struct evidence *e)
{
    Dwarf_Die chain[16], origin, type;
    if (e->known)
        return;
    e->known = true;
    if (!function)
        return;
    size_t n = inline_chain(function, address - m->dwarf_bias, chain, ARRAY_LEN(chain));
    const struct symbol_frames *frames = symbol_lookup(m->owner, m, address, false);
    for (size_t i = n; i > 0; i--) {
        /* The abstract function has the variables that this copy optimised away. */
        Dwarf_Attribute a;
        origin = chain[i - 1];
        e->line = frames->n == n ? frames->frame[n - i].line : 0;
        if (dwarf_attr(&chain[i - 1], DW_AT_abstract_origin, &a))
            dwarf_formref_die(&a, &origin);
        die_walk(m, &origin, collect_evidence, &(struct evidence_walk){m, e});
        e->now_near = false;
        if (die_type(&origin, &type))
            evidence_type(m, &type, e, 0);
    }
}

static bool supported(const struct evidence *e, const struct candidate *c, bool near, bool direct)
{
    for (size_t i = 0; i < e->n; i++) {
        if ((near && !e->near[i]) || (direct && !e->direct[i]))
            continue;
        if (strcmp(e->type[i], c->type) == 0 || strcmp(e->type[i], c->base) == 0)
            return true;
    }
    return false;
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
        if (e ? !supported(e, c, near, s->want.data) : c->bare || only_wraps(s, c))
            continue;
        *out = *c;
        n++;
    }
    return n > 1 ? -1 : n;
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
    for (int near = 1; near >= (fit == FIT_FLEXIBLE) && !other; near--) {
        size_t n = near || array ? sites->allocating : sites->n;
        for (size_t i = 0; i < n; i++) {
            struct evidence *e = &sites->at[i].evidence;
            s->m = sites->at[i].m;
            find_candidates(s, sites->at[i].u, fit);
            gather_evidence(s->m, sites->at[i].function, sites->at[i].address, e);
            if (s->n && (near || !array || !e->other) && pick(s, e, near, best) == 1)
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
            gather_evidence(s->m, sites->at[i].function, sites->at[i].address, e);
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

void heap_class(struct symbolizer *s, const struct symbol_site *alloc, size_t nalloc, const struct symbol_site *init,
                size_t ninit, bool init_seen, u64 alloc_size, u64 offset, enum lock_type type,
                struct variable_name *out)
{
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
    if (alloc_size && offset < alloc_size && type != LOCK_TYPE_CUSTOM && find_type(&sites, &search, &best)) {
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
