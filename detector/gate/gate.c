/* Puts suppressions, baseline, owners and changed lines together. Called by the verbs. Takes no locks; allocates with
 * malloc. */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "changed.h"
#include "orders.h"
#include "owners.h"
#include "report/escape.h"
#include "report/label.h"
#include "report/view.h"

#define MAX_FILE (64u << 20)

char *gate_read_file(const char *path, size_t *n, char *err, size_t errlen)
{
    FILE *f = fopen(path, "re");
    char *text = f ? view_alloc(65536) : NULL, *safe;
    size_t room = 65536, got;
    *n = 0;
    while (text && (got = fread(text + *n, 1, room - *n, f)) > 0) {
        *n += got;
        if (*n == room) {
            room *= 2;
            text = realloc(text, room);
            if (!text)
                abort();
        }
        if (*n > MAX_FILE) {
            errno = EFBIG;
            break;
        }
    }
    if (f && !ferror(f) && *n <= MAX_FILE) {
        fclose(f);
        return text;
    }
    int code = errno;
    if (f)
        fclose(f);
    free(text);
    safe = escape_text(path, strlen(path));
    snprintf(err, errlen, "%s: %s", safe, strerror(code));
    free(safe);
    errno = code;
    return NULL;
}

/* YYYY-MM-DD, in UTC: the same for everybody who runs the same build. */
static void today(char out[16])
{
    time_t now = time(NULL);
    struct tm tm;
    if (!gmtime_r(&now, &tm) || !strftime(out, 16, "%Y-%m-%d", &tm))
        snprintf(out, 16, "0000-00-00");
}

int gate_add_suppressions(struct gate *g, const char *path, char *err, size_t errlen)
{
    size_t n;
    char day[16], *text = gate_read_file(path, &n, err, errlen);
    if (!text)
        return -errno;
    today(day);
    int bad = suppress_parse(&g->suppressions, text, n, path, day, err, errlen);
    free(text);
    return bad;
}

int gate_open_baseline(struct gate *g, const char *path, char *err, size_t errlen)
{
    size_t n;
    char *text = gate_read_file(path, &n, err, errlen);
    int code = text ? 0 : -errno;
    if (!text && code != -ENOENT)
        return code;
    baseline_free(&g->baseline);
    int bad = baseline_parse(&g->baseline, text ? text : "", text ? n : 0, path, err, text ? errlen : 0);
    free(text);
    g->has_baseline = !bad;
    g->has_file = !bad && !code;
    return bad ? bad : code;
}

void gate_notices(const struct gate *g, void (*say)(const char *text))
{
    for (size_t i = 0; i < g->suppressions.n; i++) {
        const struct suppression *s = &g->suppressions.item[i];
        const char *why = suppress_no_effect(s->type);
        struct buffer b = {0};
        buffer_print(&b, "%s:%d: %s", s->file, s->line, s->rule);
        if (s->expired)
            buffer_print(&b, " expired on %s and suppresses nothing any more%s%s", s->expires,
                         s->owner ? "; owner: " : "", s->owner ? s->owner : "");
        else if (why)
            buffer_print(&b, " has no effect: %s", why);
        if (s->expired || why)
            say(b.text);
        free(b.text);
    }
}

/* ---- applied to a document ---- */

static json_t *unused_json(const struct suppressions *all)
{
    json_t *list = json_array();
    for (size_t i = 0; i < all->n; i++) {
        const struct suppression *s = &all->item[i];
        if (s->used || suppress_no_effect(s->type))
            continue;
        json_t *j = json_pack("{s:s,s:i,s:s}", "file", s->file, "line", s->line, "rule", s->rule);
        if (s->owner)
            json_object_set_new(j, "owner", json_string(s->owner));
        if (s->expired)
            json_object_set_new(j, "expired", json_string(s->expires));
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *stale_json(const struct baseline *b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->n; i++) {
        const struct baseline_entry *e = &b->entry[i];
        struct buffer text = {0};
        if (e->seen || e->kind == BASELINE_RULE || e->kind == BASELINE_LEVEL)
            continue;
        buffer_print(&text, e->kind == BASELINE_ACCEPT ? "accept %s" : "order %s < %s", e->name[0],
                     e->kind == BASELINE_ACCEPT ? "" : e->name[1]);
        if (e->remark && e->kind == BASELINE_ACCEPT) {
            char *safe = escape_text(e->remark, strlen(e->remark));
            buffer_print(&text, "  # %s", safe);
            free(safe);
        }
        char *safe = escape_text(text.text, text.length);
        json_array_append_new(list, json_pack("{s:i,s:s}", "line", e->line, "text", safe));
        free(safe);
        free(text.text);
    }
    return list;
}

static void apply_to(struct gate *g, json_t *finding)
{
    struct suppression *s = suppress_find(&g->suppressions, finding);
    struct baseline_entry *e = g->has_baseline ? baseline_accepts(&g->baseline, finding) : NULL;
    if (s) {
        s->used++;
        json_object_set_new(finding, "suppressed_by", json_string(s->rule));
    }
    if (e)
        e->seen = true;
    if (g->has_baseline)
        json_object_set_new(finding, "in_baseline", json_boolean(e != NULL));
    json_object_set_new(finding, "suppressions", suppress_offer(finding));
    if (g->owners)
        json_object_set_new(finding, "owners", owners_of(g->owners, finding));
}

void gate_apply(struct gate *g, json_t *document)
{
    json_t *gate = json_object(), *orders = NULL, *finding;
    size_t i;
    if (g->has_baseline) {
        orders_forget(document);
        orders = orders_check(&g->baseline, document);
    }
    json_array_foreach (json_object_get(document, "findings"), i, finding)
        apply_to(g, finding);
    if (g->suppressions.n)
        json_object_set_new(gate, "unused_suppressions", unused_json(&g->suppressions));
    if (orders) {
        json_object_set_new(orders, "file", json_string(g->baseline.file));
        json_object_set_new(orders, "stale", stale_json(&g->baseline));
        json_object_set_new(gate, "baseline", orders);
    }
    if (json_object_size(gate))
        json_object_set(document, "gate", gate);
    json_decref(gate);
}

size_t gate_count(const struct gate *g, json_t *document)
{
    json_t *f;
    size_t i, n = 0;
    json_array_foreach (json_object_get(document, "findings"), i, f) {
        bool yes = json_is_true(json_object_get(f, "counts"));
        if (g->changed) {
            bool touched = changed_touches(g->changed, f);
            json_object_set_new(f, "touches_change", json_boolean(touched));
            if (yes && !touched)
                json_object_set_new(f, "counts", json_false());
            yes &= touched;
        }
        n += yes;
    }
    return n;
}

/* ---- learning ---- */

static void remark_of(struct baseline_entry *e, const json_t *f)
{
    struct buffer b = {0};
    const json_t *lock;
    size_t i;
    buffer_put(&b, *label_text(f, "rule") ? label_text(f, "rule") : label_text(f, "kind"));
    const char *memory = label_text(json_object_get(f, "memory"), "name");
    if (*memory) {
        buffer_print(&b, " %s", memory);
    } else {
        json_array_foreach (json_object_get(f, "locks"), i, lock)
            buffer_print(&b, "%s %s", i ? "," : "", label_text(lock, "class"));
    }
    e->remark = buffer_take(&b);
}

bool gate_learn(struct gate *g, const json_t *document, bool prune)
{
    struct baseline *b = &g->baseline;
    const json_t *f;
    size_t i, before = b->n;
    bool changed = false;
    for (i = 0; i < before; i++) {
        struct baseline_entry *e = &b->entry[i];
        e->gone = prune && !e->seen && (e->kind == BASELINE_ORDER || e->kind == BASELINE_ACCEPT);
        changed |= e->gone;
    }
    orders_learn(b, document);
    json_array_foreach (json_object_get(document, "findings"), i, f) {
        if (json_is_true(json_object_get(f, "counts")) && !label_flag(f, "baseline"))
            remark_of(baseline_add(b, BASELINE_ACCEPT, label_text(f, "id"), NULL), f);
    }
    return changed || b->n != before;
}
