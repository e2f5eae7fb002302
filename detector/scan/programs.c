/* Units to programs to results. Called by the command. Takes no locks; allocates with malloc.
 *
 * A unit with main and the units that define what it needs, directly or not, are one program, as if the others were a
 * library. Without any main all units are one. Each program is analysed in a process of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "emit.h"
#include "front.h"
#include "unit.h"

struct loaded {
    struct units *u;
    struct program *unit;          /* by unit; texts.n 0: not there */
    struct map functions, globals; /* hash of a name -> unit that defines it + 1 */
    struct map several;            /* names that several units define */
    struct list_u32 mains;
};

static u64 name_hash(const struct program *p, u32 text)
{
    const char *name = text_of(p, text);
    return hash_bytes(name, strlen(name), 0) >> 1;
}

static u32 needs_of(const struct program *p)
{
    u32 n = 0;
    for (u32 k = 0; k < p->functions.n; k++)
        n += !(p->functions.at[k].flags & FN_DEFINED);
    return n;
}

/* Of several units that define a name, the one that needs least: a small one made for programs that want nothing else. */
static void define(struct loaded *l, struct map *by_name, u64 name, u32 unit)
{
    u32 *known = map_put(by_name, name);
    if (*known)
        *map_put(&l->several, name) = 1;
    if (!*known || needs_of(&l->unit[unit]) < needs_of(&l->unit[*known - 1]))
        *known = unit + 1;
}

/* What a unit defines for others. */
static void enter(struct loaded *l, u32 i)
{
    const struct program *p = &l->unit[i];
    bool main = false;
    for (u32 k = 0; k < p->functions.n; k++) {
        const struct function *f = &p->functions.at[k];
        if ((f->flags & (FN_DEFINED | FN_STATIC)) != FN_DEFINED)
            continue;
        main |= strcmp(text_of(p, f->name), "main") == 0;
        define(l, &l->functions, name_hash(p, f->name), i);
    }
    for (u32 k = 0; k < p->globals.n; k++) {
        const struct global *g = &p->globals.at[k];
        if ((g->flags & (GL_DEFINED | GL_STATIC)) == GL_DEFINED)
            define(l, &l->globals, name_hash(p, g->name), i);
    }
    if (main)
        LIST_ADD(&l->mains, i);
}

/* False when a kept unit is damaged: it is removed, and to be made again. */
static bool load_unit(struct loaded *l, u32 i)
{
    struct unit *u = &l->u->at[i];
    struct program *p = &l->unit[i];
    if (!u->result || p->texts.n || unit_load(p, u->result) == 0)
        return true;
    *p = (struct program){0};
    bool kept = u->state == UNIT_CACHED;
    if (kept)
        unlink(u->result);
    u->state = kept ? UNIT_TODO : UNIT_LEFT_OUT;
    u->problem = kept ? NULL : strdup("its result cannot be read back");
    free(u->result);
    u->result = NULL;
    return !kept;
}

static void load(struct loaded *l, const struct front_options *o)
{
    bool good = true;
    for (u32 i = 0; i < l->u->n; i++)
        good &= load_unit(l, i);
    if (!good && compile_all(l->u, o) == 0)
        for (u32 i = 0; i < l->u->n; i++)
            load_unit(l, i);
    for (u32 i = 0; i < l->u->n; i++)
        enter(l, i);
}

/* Of one program: its units, and what these define. */
struct gathering {
    struct loaded *l;
    bool *in;
    struct map defined; /* hash of a name */
    struct list_u32 work;
    bool doubtful; /* names that several units define are looked for, too */
};

static void add_unit(struct gathering *g, u32 unit)
{
    const struct program *p = &g->l->unit[unit];
    g->in[unit] = true;
    LIST_ADD(&g->work, unit);
    for (u32 k = 0; k < p->functions.n; k++)
        if (p->functions.at[k].flags & FN_DEFINED)
            *map_put(&g->defined, name_hash(p, p->functions.at[k].name)) = 1;
    for (u32 k = 0; k < p->globals.n; k++)
        if (p->globals.at[k].flags & GL_DEFINED)
            *map_put(&g->defined, name_hash(p, p->globals.at[k].name)) = 1;
}

/* As a linker takes members of an archive: what is there already is not looked for, and nobody has a second main. */
static void need(struct gathering *g, const struct map *by_name, u64 name)
{
    const u32 *by = map_get(&g->defined, name) ? NULL : map_get(by_name, name);
    if (!by || g->in[*by - 1] || (!g->doubtful && map_get(&g->l->several, name)))
        return;
    for (u32 i = 0; i < g->l->mains.n; i++)
        if (g->l->mains.at[i] == *by - 1)
            return;
    add_unit(g, *by - 1);
}

static void add_needed(struct gathering *g, u32 unit)
{
    const struct program *p = &g->l->unit[unit];
    for (u32 k = 0; k < p->functions.n; k++)
        if (!(p->functions.at[k].flags & FN_DEFINED))
            need(g, &g->l->functions, name_hash(p, p->functions.at[k].name));
    for (u32 k = 0; k < p->globals.n; k++)
        if (!(p->globals.at[k].flags & GL_DEFINED))
            need(g, &g->l->globals, name_hash(p, p->globals.at[k].name));
}

/* Marks the units of the program that begins with one. Names that several define are left for last: mostly a unit that is
 * needed anyway has them. */
static void gather(struct loaded *l, u32 main, bool *in)
{
    struct gathering g = {.l = l, .in = in};
    add_unit(&g, main);
    do {
        g.doubtful = false;
        while (g.work.n)
            add_needed(&g, g.work.at[--g.work.n]);
        g.doubtful = true;
        for (u32 i = 0; i < l->u->n && !g.work.n; i++)
            if (in[i])
                add_needed(&g, i);
    } while (g.work.n);
    map_free(&g.defined);
    free(g.work.at);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* in: which to name; NULL: all. Those that were left out are always named. */
static json_t *units_json(const struct units *u, const bool *in)
{
    json_t *list = json_array();
    for (u32 i = 0; i < u->n; i++) {
        const struct unit *unit = &u->at[i];
        json_t *j = json_pack("{s:s,s:s}", "directory", unit->folder, "file", unit->file);
        if (!j || (in && !in[i] && !unit->problem)) {
            json_decref(j);
            continue;
        }
        if (unit->problem)
            json_object_set_new(j, "problem", json_string(unit->problem));
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *analyse(struct loaded *l, const bool *in)
{
    struct scan *s = store_alloc(sizeof *s);
    struct link link;
    double start = now();
    link_begin(&link, &s->program);
    for (u32 i = 0; i < l->u->n; i++)
        if (in[i] && l->unit[i].texts.n)
            link_add(&link, &l->unit[i]);
    scan_run(s);
    return emit_document(s, units_json(l->u, in), now() - start);
}

/* In a child, so that its memory goes with it, and a failure of ours ends one program only. */
static json_t *analyse_apart(struct loaded *l, const bool *in, const char *scratch)
{
    char *path;
    int status = -1;
    if (asprintf(&path, "%s/result.json", scratch) < 0)
        abort();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        json_t *d = analyse(l, in);
        _exit(json_dump_file(d, path, JSON_COMPACT) == 0 ? 0 : 1);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    json_t *d = pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? json_load_file(path, 0, NULL) : NULL;
    unlink(path);
    free(path);
    return d;
}

static void add_number(json_t *to, const json_t *from, const char *key)
{
    json_int_t sum = json_integer_value(json_object_get(to, key)) + json_integer_value(json_object_get(from, key));
    json_object_set_new(to, key, json_integer(sum));
}

static json_t *find_id(json_t *findings, const json_t *id)
{
    json_t *f;
    size_t i;
    json_array_foreach (findings, i, f)
        if (json_equal(json_object_get(f, "id"), id))
            return f;
    return NULL;
}

/* Programs have names of their own for their locks, so graphs do not meet; but for those of types and functions. */
static void unite_lists(json_t *to, const json_t *from, const char *key, const char *other)
{
    json_t *item, *known;
    size_t i, k;
    json_array_foreach (from, i, item) {
        json_array_foreach (to, k, known)
            if (json_equal(json_object_get(known, key), json_object_get(item, key)) &&
                json_equal(json_object_get(known, other), json_object_get(item, other)))
                break;
        if (k == json_array_size(to))
            json_array_append(to, item);
    }
}

static void unite_graphs(json_t *all, const json_t *d)
{
    json_t *to = json_object_get(all, "lock_graph"), *from = json_object_get(d, "lock_graph");
    unite_lists(json_object_get(to, "nodes"), json_object_get(from, "nodes"), "class", "class");
    unite_lists(json_object_get(to, "edges"), json_object_get(from, "edges"), "from", "to");
}

/* Adds one program's result; what several programs share is told once. */
static void unite(json_t *all, json_t *d)
{
    json_t *findings = json_object_get(all, "findings"), *f, *run = json_object_get(all, "run");
    json_t *more = json_object_get(d, "run"), *programs = json_object_get(run, "programs");
    size_t i;
    json_array_foreach (json_object_get(d, "findings"), i, f) {
        json_t *known = find_id(findings, json_object_get(f, "id"));
        if (known)
            add_number(known, f, "count");
        else
            json_array_append(findings, f);
    }
    unite_graphs(all, d);
    add_number(run, more, "threads");
    add_number(run, more, "functions");
    add_number(run, more, "lines");
    add_number(run, more, "unresolved_calls");
    json_array_append(programs, json_array_get(json_object_get(more, "command"), 1));
}

static json_t *empty_document(const struct units *u)
{
    json_t *d = json_pack("{s:s,s:{s:s,s:s},s:{s:[s],s:[],s:o},s:[],s:{s:[],s:[]}}", "schema", "snarl/1", "tool",
                          "name", "snarl", "version", SNARL_VERSION, "run", "command", "snarl scan", "programs",
                          "units", units_json(u, NULL), "findings", "lock_graph", "nodes", "edges");
    return d;
}

json_t *programs_scan(struct units *u, const struct front_options *o, char *err, size_t errlen)
{
    struct loaded l = {.u = u};
    u32 failed = 0, programs;
    double start = now();
    bool *in = store_alloc(u->n + 1);
    l.unit = store_alloc((u->n + 1) * sizeof *l.unit);
    load(&l, o);
    json_t *all = empty_document(u);
    programs = l.mains.n ? l.mains.n : 1;
    for (u32 i = 0; i < programs; i++) {
        memset(in, !l.mains.n, u->n);
        if (l.mains.n)
            gather(&l, l.mains.at[i], in);
        if (o->progress)
            fprintf(stderr, "\r\033[Ksnarl: analysing program %u of %u", i + 1, programs);
        json_t *d = analyse_apart(&l, in, o->scratch);
        failed += !d;
        if (d)
            unite(all, d);
        json_decref(d);
    }
    if (o->progress)
        fputs("\r\033[K", stderr);
    json_object_set_new(json_object_get(all, "run"), "duration_s", json_real(now() - start));
    free(in);
    if (failed == programs) {
        snprintf(err, errlen, "the analysis failed");
        json_decref(all);
        return NULL;
    }
    return all;
}
