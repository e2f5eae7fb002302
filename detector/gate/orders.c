/* Orders of a result against those of a baseline. Called by gate.c. Takes no locks; allocates with malloc. */
#include "orders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "orders_internal.h"
#include "report/label.h"

#define MAX_AGAINST 1000u
#define FLAG "baseline"

/* ---- words ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* "cache.c:118" of the frame that tells most; "" when nothing is known. */
static void put_place(struct buffer *b, const json_t *stack)
{
    const json_t *frame = label_frame(stack);
    if (!*label_text(frame, "file"))
        return;
    buffer_put(b, base_name(label_text(frame, "file")));
    if (label_number(frame, "line"))
        buffer_print(b, ":%lld", (long long)label_number(frame, "line"));
}

/* "first seen cache.c:118 < index.c:40", "" when no place is known. malloc'd. */
static char *first_seen(const json_t *edge)
{
    struct buffer b = {0}, from = {0}, to = {0};
    put_place(&from, json_object_get(edge, "hold_stack"));
    put_place(&to, json_object_get(edge, "stack"));
    if (to.length)
        buffer_print(&b, "first seen %s%s%s", from.length ? from.text : "", from.length ? " < " : "", to.text);
    free(from.text);
    free(to.text);
    return buffer_take(&b);
}

/* "f() at index.c:40" of a stack. malloc'd. */
static char *place_of(const json_t *stack)
{
    json_t *event = json_pack("{s:O}", "stack", stack ? stack : json_null());
    char *place = label_place(event);
    json_decref(event);
    return place;
}

/* ---- a finding ---- */

static json_t *event_json(const struct order_class *c, const char *action, const json_t *context, const char *which,
                          json_t *stack)
{
    char instance[32], mode[32];
    snprintf(instance, sizeof instance, "instance_%s", which);
    snprintf(mode, sizeof mode, "mode_%s", which);
    json_t *e =
        json_pack("{s:I,s:I,s:s,s:s,s:s,s:s,s:I,s:[],s:[],s:O}", "process",
                  (json_int_t)label_number(context, "process"), "thread", (json_int_t)label_number(context, "thread"),
                  "thread_name", "", "action", action, "object", c->name, "object_kind", label_text(c->node, "kind"),
                  "instance", (json_int_t)label_number(context, instance), "held", "held_at", "stack", stack);
    if (*label_text(context, mode))
        json_object_set_new(e, "mode", json_string(label_text(context, mode)));
    if (json_object_get(context, "run"))
        json_object_set(e, "run", json_object_get(context, "run"));
    return e;
}

static json_t *stack_of(const json_t *edge, const json_t *context, const char *key)
{
    json_t *own = json_object_get(context, key), *shared = json_object_get(edge, key);
    return own ? json_incref(own) : shared ? json_incref(shared) : json_array();
}

static void add_events(const struct orders *o, json_t *events, const struct order_seen *s)
{
    const json_t *contexts = json_object_get(s->edge, "contexts"), *context = json_array_get(contexts, 0), *c;
    size_t i;
    json_array_foreach (contexts, i, c) {
        if (!json_is_true(json_object_get(c, "try")) && !json_is_true(json_object_get(c, "unpublished"))) {
            context = c;
            break;
        }
    }
    json_t *hold = stack_of(s->edge, context, "hold_stack"), *ask = stack_of(s->edge, context, "stack");
    json_array_append_new(events, event_json(&o->class[s->from], "hold", context, "from", hold));
    json_array_append_new(events, event_json(&o->class[s->to], "acquire", context, "to", ask));
    json_decref(hold);
    json_decref(ask);
}

static void add_lock(const struct orders *o, json_t *locks, size_t class, json_int_t instance)
{
    const struct order_class *c = &o->class[class];
    const json_t *known;
    size_t i;
    json_array_foreach (locks, i, known) {
        if (label_is(known, "class", c->name))
            return;
    }
    json_t *lock = json_pack("{s:s,s:s,s:b,s:[],s:I,s:[]}", "class", c->name, "kind",
                             *label_text(c->node, "kind") ? label_text(c->node, "kind") : "mutex", "shared", 0, "born",
                             "instance", instance, "attributes");
    if (strcmp(c->local, c->name) != 0)
        json_object_set_new(lock, "local", json_string(c->local));
    json_array_append_new(locks, lock);
}

static const struct order_seen *find_seen(const struct orders *o, size_t from, size_t to)
{
    for (size_t i = 0; i < o->nseen; i++)
        if (o->seen[i].from == from && o->seen[i].to == to)
            return &o->seen[i];
    return NULL;
}

/* The way that is contradicted, in words; and what of it the result holds, as events. */
static void tell_way(const struct orders *o, const struct order_seen *s, const struct order_step *way, size_t n,
                     struct buffer *said, struct buffer *where, json_t *events, json_t *locks)
{
    size_t at = s->to, last_line = 0;
    buffer_put(said, label_short(o->class[at].name));
    for (size_t i = 0; i < n; i++) {
        size_t line = (size_t)way[i].entry->line;
        if (line && line != last_line)
            buffer_print(where, "%s%zu", where->length ? ", " : "", line);
        last_line = line;
        if (way[i].place >= o->nclasses)
            continue;
        buffer_print(said, " < %s", label_short(o->class[way[i].place].name));
        const struct order_seen *other = find_seen(o, at, way[i].place);
        if (other)
            add_events(o, events, other);
        at = way[i].place;
        add_lock(o, locks, at, 0);
    }
}

static void set_id(json_t *finding, const char *from, const char *to)
{
    static const char family[] = "order against the baseline";
    char id[17];
    u64 h = hash_combine(hash_bytes(family, sizeof family - 1, 0), hash_bytes(from, strlen(from), 0));
    h = hash_combine(h, hash_bytes(to, strlen(to), 0));
    snprintf(id, sizeof id, "%016llx", (unsigned long long)h);
    json_object_set_new(finding, "id", json_string(id));
}

static void set_texts(const struct orders *o, json_t *finding, const struct order_seen *s, const char *said,
                      const char *where, bool other_side)
{
    const char *from = label_short(o->class[s->from].name), *to = label_short(o->class[s->to].name);
    char *hold = place_of(json_object_get(s->edge, "hold_stack")), *ask = place_of(json_object_get(s->edge, "stack"));
    struct buffer title = {0}, why = {0}, fix = {0};
    buffer_print(&title, "order of locks against the baseline: %s before %s, but %s", from, to, said);
    buffer_print(&why, "%s is taken%s%s while %s is held%s%s. The baseline (%s%s%s) says %s. ", to, *ask ? " in " : "",
                 ask, from, *hold ? ", which was taken in " : "", hold, o->b->file, *where ? ", line " : "", where,
                 said);
    buffer_put(&why,
               other_side
                   ? "Both orders are in these results: two threads that keep them at the same time wait for each "
                     "other for ever."
                   : "Wherever the program still keeps that order, a thread there and one here can wait for each "
                     "other for ever.");
    buffer_print(
        &fix,
        "Take %s before %s here, too; or let go of %s before asking for %s. If the new order is the right one, "
        "change it everywhere and then the baseline: snarl check --baseline=%s --update RESULT.",
        to, from, from, to, o->b->file);
    json_object_set_new(finding, "title", json_string(title.text));
    json_object_set_new(finding, "why", json_string(why.text));
    json_object_set_new(finding, "fix", json_string(fix.text));
    free(title.text);
    free(why.text);
    free(fix.text);
    free(hold);
    free(ask);
}

static json_t *finding_json(const struct orders *o, const struct order_seen *s, const struct order_step *way, size_t n,
                            bool by_class)
{
    json_t *f = json_object(), *events = json_array(), *locks = json_array(), *flags = json_array();
    struct buffer said = {0}, where = {0};
    json_int_t count = label_number(s->edge, "count");
    json_object_set_new(f, "id", json_string(""));
    json_object_set_new(f, "kind", json_string("lock-order"));
    json_object_set_new(f, "verdict", json_string("possible"));
    json_object_set_new(f, "title", json_string(""));
    json_object_set_new(f, "why", json_string(""));
    json_object_set_new(f, "fix", json_string(""));
    json_object_set_new(f, "count", json_integer(count > 0 ? count : 1));
    json_object_set_new(f, "locks", locks);
    json_object_set_new(f, "events", events);
    json_object_set_new(f, "suppressed_by", json_null());
    json_object_set_new(f, "in_baseline", json_false());
    json_object_set_new(f, "counts", json_true());
    json_object_set_new(f, "flags", flags);
    json_object_set_new(f, "threads", json_array());
    json_array_append_new(flags, json_string(FLAG));
    if (by_class)
        json_array_append_new(flags, json_string("by-class"));
    add_events(o, events, s);
    add_lock(o, locks, s->from, label_number(json_array_get(events, 0), "instance"));
    add_lock(o, locks, s->to, label_number(json_array_get(events, 1), "instance"));
    tell_way(o, s, way, n, &said, &where, events, locks);
    set_id(f, o->class[s->from].local, o->class[s->to].local);
    set_texts(o, f, s, said.text, where.length ? where.text : "", json_array_size(events) > 2);
    free(said.text);
    free(where.text);
    return f;
}

/* ---- the check ---- */

/* A cycle that is found anyway tells it better; and if that is accepted, so is this. */
static bool told_by_cycle(const json_t *findings, const struct orders *o, const struct order_seen *s)
{
    const json_t *f, *e;
    size_t i, k;
    json_array_foreach (findings, i, f) {
        if (!label_is(f, "kind", "lock-order") && !label_is(f, "kind", "deadlock"))
            continue;
        bool holds = false;
        json_array_foreach (json_object_get(f, "events"), k, e) {
            const json_t *class = json_object_get(o->by_name, label_text(e, "object"));
            size_t at = class ? (size_t)json_integer_value(class) : SIZE_MAX;
            if (label_is(e, "action", "hold"))
                holds = at == s->from;
            else if (holds && at == s->to)
                return true;
            else
                holds = false;
        }
    }
    return false;
}

static bool has_rule(const struct order_step *way, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (way[i].entry->kind != BASELINE_ORDER)
            return true;
    return false;
}

/* A class of many locks on the way: which of them are the same is not known. */
static bool has_many(const struct orders *o, const struct order_step *way, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (way[i].place < o->nclasses && o->class[way[i].place].many)
            return true;
    return false;
}

static bool is_ruled(const struct orders *o, const struct order_seen *s)
{
    size_t n;
    struct order_step *way = orders_way(o, s->from, s->to, true, &n);
    free(way);
    return way != NULL;
}

static void add_new(const struct orders *o, json_t *list, const struct order_seen *s)
{
    char *seen = first_seen(s->edge);
    json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "from", o->class[s->from].name, "to", o->class[s->to].name,
                                          "first_seen", seen));
    free(seen);
}

json_t *orders_check(struct baseline *b, json_t *document)
{
    struct orders o;
    json_t *found = json_array(), *new = json_array(), *f;
    json_t *findings = json_object_get(document, "findings");
    size_t i, against = 0;
    orders_open(&o, b, document);
    for (i = 0; i < o.nseen; i++) {
        const struct order_seen *s = &o.seen[i];
        struct baseline_entry *listed = orders_listed(&o, s);
        size_t n = 0;
        if (listed)
            listed->seen = true;
        if (listed || is_ruled(&o, s))
            continue;
        add_new(&o, new, s);
        struct order_step *way = s->from != s->to ? orders_way(&o, s->to, s->from, false, &n) : NULL;
        if (way && !told_by_cycle(findings, &o, s) && against++ < MAX_AGAINST) {
            bool many = (o.class[s->to].many || has_many(&o, way, n)) && !has_rule(way, n);
            json_array_append_new(found, finding_json(&o, s, way, n, many));
        }
        free(way);
    }
    json_array_foreach (found, i, f)
        json_array_append(findings, f);
    json_decref(found);
    orders_close(&o);
    return json_pack("{s:I,s:o}", "against", (json_int_t)against, "new", new);
}

void orders_forget(json_t *document)
{
    json_t *findings = json_object_get(document, "findings");
    for (size_t i = json_array_size(findings); i-- > 0;)
        if (label_flag(json_array_get(findings, i), FLAG))
            json_array_remove(findings, i);
}

void orders_learn(struct baseline *b, const json_t *document)
{
    struct orders o;
    struct order_seen *fresh = NULL;
    size_t n = 0;
    orders_open(&o, b, document);
    if (o.nseen)
        fresh = malloc(o.nseen * sizeof *fresh);
    for (size_t i = 0; fresh && i < o.nseen; i++)
        if (!orders_listed(&o, &o.seen[i]) && !is_ruled(&o, &o.seen[i]))
            fresh[n++] = o.seen[i];
    for (size_t i = 0; i < n; i++) {
        char *seen = first_seen(fresh[i].edge);
        struct baseline_entry *e =
            baseline_add(b, BASELINE_ORDER, o.class[fresh[i].from].name, o.class[fresh[i].to].name);
        if (*seen)
            e->remark = seen;
        else
            free(seen);
    }
    free(fresh);
    orders_close(&o);
}
