/* Findings as JSON, in the form that runs write them. Called by the command. Takes no locks; allocates with malloc. */
#include "emit.h"

#include <stdlib.h>

#include "name.h"
#include "report/identity.h"

static const char *const kinds[] = {"data-race", "unprotected", "atomicity", "lock-order", "lock-misuse"};
static const char *const lock_kinds[LOCK_KIND_COUNT] = {"mutex", "rwlock", "spin", "sem", "mutex", "custom", "mutex"};

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *text_json(const struct program *p, u32 text)
{
    json_t *j = json_string(text_of(p, text));
    return j ? j : json_string("?");
}

static json_t *frame(struct emit *e, u32 function, u32 loc)
{
    const struct program *p = e->w->a->p;
    const struct loc *l = &p->locs.at[loc];
    json_t *j = json_object();
    const char *file = text_of(p, l->file), *dot = strrchr(file, '.');
    set(j, "function", text_json(p, function));
    set(j, "file", text_json(p, l->file));
    set(j, "line", json_integer(l->line));
    set(j, "column", json_integer(l->column));
    set(j, "module", json_string(e->module));
    set(j, "inlined", json_boolean(l->outer != 0));
    if (strncmp(file, "/usr/", 5) == 0) /* headers of the system: templates and inline functions */
        set(j, "system", json_true());
    set(j, "language", json_string(dot && strcmp(dot, ".c") != 0 && strcmp(dot, ".h") != 0 ? "c++" : "c"));
    return j;
}

/* Innermost first, to the thread's start. */
json_t *emit_frames(struct emit *e, u32 value, u32 context)
{
    const struct program *p = e->w->a->p;
    json_t *frames = json_array();
    for (int depth = 0; depth < 64; depth++) {
        u32 loc = p->values.at[value].loc;
        for (; p->locs.at[loc].outer; loc = p->locs.at[loc].outer)
            json_array_append_new(frames, frame(e, p->locs.at[loc].function, loc));
        json_array_append_new(frames, frame(e, p->functions.at[p->values.at[value].function].shown, loc));
        const struct context *c = &e->w->contexts.at[context];
        if (c->up == NONE)
            break;
        value = c->call;
        context = c->up;
    }
    return frames;
}

char *emit_class(struct emit *e, u32 path)
{
    struct name n = name_of_path(e->w, path);
    struct buffer b = {0};
    if (strcmp(n.region, "global") == 0)
        buffer_print(&b, "%s:", e->module);
    buffer_put(&b, n.local);
    free(n.local);
    free(n.shown);
    return buffer_take(&b);
}

/* The kind of a lock: from any function that takes it. */
const char *emit_lock_kind(struct emit *e, u32 path)
{
    for (u32 i = 0; i < e->w->acquired.n; i++) {
        const struct deed *d = &e->w->deeds.at[e->w->acquired.at[i]];
        const struct known *k = LOCK_PATH(d->path) == path ? lock_call(e->w, d) : NULL;
        if (LOCK_PATH(d->path) == path && e->w->a->p->values.at[d->value].op == V_RMW)
            return "spin";
        if (k && k->op != K_WAIT)
            return lock_kinds[k->kind];
    }
    return "mutex";
}

static void add_lock(struct emit *e, u32 path)
{
    json_t *locks = json_object_get(e->finding, "locks"), *known, *j = json_object();
    struct name n = name_of_path(e->w, path);
    char *class = emit_class(e, path);
    size_t i;
    json_array_foreach (locks, i, known) {
        if (strcmp(json_string_value(json_object_get(known, "class")), class) == 0) {
            json_decref(j);
            j = NULL;
            break;
        }
    }
    if (j) {
        set(j, "class", json_string(class));
        set(j, "kind", json_string(emit_lock_kind(e, path)));
        set(j, "shared", json_false());
        set(j, "born", json_array());
        set(j, "instance", json_integer((json_int_t)json_array_size(locks) + 1));
        set(j, "local", json_string(n.local));
        if (n.file)
            set(j, "declared", json_pack("{s:o,s:i}", "file", text_json(e->w->a->p, n.file), "line", (int)n.line));
        json_array_append_new(locks, j);
    }
    free(n.local);
    free(n.shown);
    free(class);
}

static json_int_t instance_of(struct emit *e, const char *class)
{
    json_t *known;
    size_t i;
    json_array_foreach (json_object_get(e->finding, "locks"), i, known)
        if (strcmp(json_string_value(json_object_get(known, "class")), class) == 0)
            return json_integer_value(json_object_get(known, "instance"));
    return 0;
}

static void add_thread(struct emit *e, u32 root)
{
    struct whole *w = e->w;
    const struct root *r = &w->roots.at[root];
    u32 *known = map_put(&e->shown, root);
    if (*known)
        return;
    *known = 1;
    json_t *j = json_object();
    set(j, "thread", json_integer(root + 1));
    set(j, "process", json_integer(1));
    set(j, "name", json_string(""));
    set(j, "main", json_boolean(r->thread == NONE && !w->library));
    set(j, "start", text_json(w->a->p, w->a->p->functions.at[r->function].shown));
    set(j, "many", json_boolean(r->many));
    for (u32 i = 0; r->thread != NONE && i < w->created.n; i++) {
        const struct deed *d = &w->deeds.at[w->created.at[i]];
        if (d->path != root)
            continue;
        set(j, "created_by", json_integer(d->root + 1));
        set(j, "created", emit_frames(e, d->value, d->context));
        break;
    }
    json_array_append_new(e->threads, j);
}

/* Locks that a deed surely holds, and where they were taken. */
static void add_held(struct emit *e, json_t *event, u32 deed)
{
    struct whole *w = e->w;
    const struct deed *d = &w->deeds.at[deed];
    json_t *held = json_array(), *held_at = json_array();
    for (u32 i = 0, n = sets_count(&w->a->sets, d->must); i < n; i++) {
        u32 element = sets_item(&w->a->sets, d->must, i), taken = lock_taken_at(w, deed, element);
        char *class = emit_class(e, LOCK_PATH(element));
        json_t *at = json_object();
        add_lock(e, LOCK_PATH(element));
        set(at, "class", json_string(class));
        set(at, "instance", json_integer(instance_of(e, class)));
        set(at, "mode", json_string(LOCK_SHARED(element) ? "shared" : "exclusive"));
        set(at, "stack",
            taken == NONE ? json_array() : emit_frames(e, w->deeds.at[taken].value, w->deeds.at[taken].context));
        json_array_append_new(held, json_string(class));
        json_array_append_new(held_at, at);
        free(class);
    }
    set(event, "held", held);
    set(event, "held_at", held_at);
}

json_t *emit_event(struct emit *e, u32 deed, const char *action, u32 path)
{
    const struct deed *d = &e->w->deeds.at[deed];
    json_t *j = json_object();
    char *class = emit_class(e, path);
    add_thread(e, d->root);
    set(j, "process", json_integer(1));
    set(j, "thread", json_integer(d->root + 1));
    set(j, "thread_name", json_string(""));
    set(j, "action", json_string(action));
    set(j, "object", json_string(class));
    add_held(e, j, deed);
    set(j, "stack", emit_frames(e, d->value, d->context));
    json_array_append(json_object_get(e->finding, "events"), j);
    free(class);
    return j;
}

static void lock_event(struct emit *e, u32 deed, const char *action, u32 element, u32 stack_of)
{
    u32 path = LOCK_PATH(element);
    add_lock(e, path);
    json_t *j = emit_event(e, deed, action, path);
    char *class = emit_class(e, path);
    set(j, "object_kind", json_string(emit_lock_kind(e, path)));
    set(j, "instance", json_integer(instance_of(e, class)));
    set(j, "mode", json_string(LOCK_SHARED(element) ? "shared" : "exclusive"));
    if (stack_of != deed) {
        const struct deed *d = stack_of == NONE ? NULL : &e->w->deeds.at[stack_of];
        set(j, "stack", d ? emit_frames(e, d->value, d->context) : json_array());
        set(j, "held", json_array());
        set(j, "held_at", json_array());
    }
    json_decref(j);
    free(class);
}

static void add_place(struct emit *e, json_t *places, struct map *seen, u32 deed)
{
    const struct program *p = e->w->a->p;
    u32 value = deed == NONE ? NONE : e->w->deeds.at[deed].value;
    u32 *known = deed == NONE ? NULL : map_put(seen, value);
    if (!known || *known || json_array_size(places) >= 50)
        return;
    *known = 1;
    json_array_append_new(places,
                          frame(e, p->functions.at[p->values.at[value].function].shown, p->values.at[value].loc));
}

/* Where else the same locks are taken in these orders. */
static void other_steps(struct emit *e, const struct found *f)
{
    json_t *places = json_array();
    struct map seen = {0};
    for (u32 i = 0; i < f->more.n; i++) {
        add_place(e, places, &seen, f->more.at[i].deed);
        add_place(e, places, &seen, lock_taken_at(e->w, f->more.at[i].deed, f->more.at[i].lock));
    }
    set(e->finding, "other_places", places);
    map_free(&seen);
}

static void order_events(struct emit *e, const struct found *f)
{
    for (u32 i = 0; i < f->side.n; i++) {
        u32 deed = f->side.at[i].deed, held = f->side.at[i].lock;
        lock_event(e, deed, "hold", held, lock_taken_at(e->w, deed, held));
        lock_event(e, deed, "acquire", e->w->deeds.at[deed].path, deed);
    }
    other_steps(e, f);
}

static void misuse_events(struct emit *e, const struct found *f)
{
    static const char *const actions[] = {[R_ACQUIRE] = "acquire",
                                          [R_RELEASE] = "release",
                                          [R_WAIT] = "wait",
                                          [R_DESTROY] = "destroy",
                                          [R_LEAVE] = "exit"};
    u32 deed = f->side.at[0].deed, held = f->side.at[0].lock;
    u8 kind = e->w->deeds.at[deed].kind;
    u32 element = kind == R_LEAVE ? held : e->w->deeds.at[deed].path;
    if (held && kind != R_LEAVE && strcmp(f->rule, "returns-holding") != 0)
        lock_event(e, deed, "hold", held, lock_taken_at(e->w, deed, held));
    lock_event(e, deed, actions[kind] ? actions[kind] : "acquire", element, deed);
}

static json_t *memory_json(struct emit *e, const struct found *f)
{
    const struct program *p = e->w->a->p;
    struct name n = f->cell == NONE ? name_of_path(e->w, f->path) : name_of_cell(e->w, f->cell, f->path);
    json_t *j = json_object();
    struct buffer b = {0};
    if (strcmp(n.region, "global") == 0)
        buffer_print(&b, "%s:", e->module);
    buffer_put(&b, n.local);
    char *full = buffer_take(&b);
    set(j, "name", json_string(full));
    set(j, "local", json_string(n.local));
    set(j, "shown", json_string(n.shown));
    set(j, "region", json_string(n.region));
    set(j, "born", json_array());
    if (n.file)
        set(j, "declared", json_pack("{s:o,s:i}", "file", text_json(p, n.file), "line", (int)n.line));
    free(full);
    free(n.local);
    free(n.shown);
    return j;
}

static void access_events(struct emit *e, const struct found *f)
{
    struct whole *w = e->w;
    json_t *others = json_array();
    struct map seen = {0};
    for (u32 i = 0; i < f->side.n; i++) {
        const struct deed *d = &w->deeds.at[f->side.at[i].deed];
        bool write = d->flags & R_WRITE, atomic = d->flags & R_ATOMIC;
        const char *action = atomic ? write ? "atomic-write" : "atomic-read" : write ? "write" : "read";
        json_decref(emit_event(e, f->side.at[i].deed, action, f->path));
        *map_put(&seen, d->value) = 1;
    }
    for (u32 i = 0; i < f->others.n; i++)
        add_place(e, others, &seen, f->others.at[i]);
    set(e->finding, "other_places", others);
    map_free(&seen);
}

static json_t *emit_finding(struct emit *e, const struct found *f)
{
    json_t *j = e->finding = json_object();
    e->threads = json_array();
    map_free(&e->shown);
    set(j, "id", json_string(""));
    set(j, "kind", json_string(kinds[f->kind]));
    if (f->rule)
        set(j, "rule", json_string(f->rule));
    set(j, "verdict", json_string("static"));
    set(j, "confidence", json_string(f->score >= 18 ? "high" : f->score >= 14 ? "medium" : "low"));
    set(j, "title", json_string(""));
    set(j, "why", json_string(""));
    set(j, "fix", json_string(""));
    set(j, "count", json_integer(1));
    set(j, "locks", json_array());
    set(j, "events", json_array());
    if (f->kind <= FOUND_ATOMICITY) {
        set(j, "memory", memory_json(e, f));
        access_events(e, f);
    } else if (f->kind == FOUND_ORDER) {
        order_events(e, f);
    } else {
        misuse_events(e, f);
    }
    set(j, "suppressed_by", json_null());
    set(j, "in_baseline", json_false());
    set(j, "counts", json_true());
    set(j, "threads", e->threads);
    identity_set(j);
    emit_sentences(e, f);
    return j;
}

static int by_score(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->kind != y->kind ? (x->kind < y->kind ? 1 : -1) : (x->path > y->path) - (x->path < y->path);
}

/* One for each id: the same bug in several contexts, or fields of one object at the same places. */
static json_t *findings_json(struct emit *e, struct findings *f)
{
    json_t *all = json_array(), *seen = json_object();
    if (f->at.n)
        qsort(f->at.at, f->at.n, sizeof *f->at.at, by_score);
    for (u32 i = 0; i < f->at.n; i++) {
        json_t *j = emit_finding(e, &f->at.at[i]), *known;
        const char *id = json_string_value(json_object_get(j, "id"));
        known = json_object_get(seen, id);
        if (known) {
            json_integer_set(json_object_get(known, "count"), json_integer_value(json_object_get(known, "count")) + 1);
            json_decref(j);
            continue;
        }
        json_object_set(seen, id, j);
        json_array_append_new(all, j);
    }
    json_decref(seen);
    return all;
}

json_t *emit_document(struct scan *s, json_t *units, double seconds)
{
    struct emit e = {.w = &s->whole, .module = name_of_program(&s->program)};
    json_t *run = json_pack("{s:[s,s],s:i,s:i,s:i,s:f,s:b,s:o}", "command", "scan", e.module, "threads",
                            (int)s->whole.roots.n, "functions", (int)s->program.functions.n, "lines",
                            (int)s->program.lines, "duration_s", seconds, "library", s->whole.library, "units", units);
    u32 unresolved = 0;
    for (u32 i = 0; i < s->analysis.pt.calls.n; i++) {
        const struct call *c = &s->analysis.pt.calls.at[i];
        bool pointer = s->program.values.at[s->program.values.at[c->value].a].op != V_FUNCTION;
        unresolved += pointer && !c->known && !c->targets.n;
    }
    set(run, "unresolved_calls", json_integer(unresolved));
    json_t *d = json_pack("{s:s,s:{s:s,s:s},s:o}", "schema", "snarl/1", "tool", "name", "snarl", "version",
                          SNARL_VERSION, "run", run);
    set(d, "findings", findings_json(&e, &s->findings));
    set(d, "lock_graph", emit_graph(&e, &s->findings));
    free(e.module);
    return d;
}
