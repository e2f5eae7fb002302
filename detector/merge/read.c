/* One document as it is being merged: names of its locks, its threads, the keys of its contexts. Called by the other
 * files of this folder. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "internal.h"
#include "report/identity.h"
#include "report/label.h"

#define MAX_HELD 64u

static void index_numbers(struct refmap *map, const json_t *list, const char *key)
{
    const json_t *item;
    size_t i;
    json_array_foreach (list, i, item)
        *refmap_put(map, (u64)label_number(item, key), NULL) = i + 1;
}

void reading_open(struct reading *r, struct merge *m, const json_t *document, u32 first_run)
{
    const json_t *node;
    size_t i;
    *r = (struct reading){.m = m, .document = document, .first_run = first_run, .local = json_object()};
    r->graph = json_object_get(document, "lock_graph");
    json_array_foreach (json_object_get(r->graph, "nodes"), i, node) {
        json_t *local = json_object_get(node, "local");
        json_object_set(r->local, label_text(node, "class"), local ? local : json_object_get(node, "class"));
    }
    index_numbers(&r->thread, json_object_get(r->graph, "threads"), "thread");
    const json_t *run = json_object_get(document, "run");
    if (!json_array_size(json_object_get(run, "runs")))
        index_numbers(&r->process, json_object_get(run, "process_list"), "process");
    index_numbers(&r->segment, json_object_get(r->graph, "segments"), "segment");
}

void reading_close(struct reading *r)
{
    json_decref(r->local);
    refmap_free(&r->thread);
    must_close(r);
    refmap_free(&r->process);
    refmap_free(&r->segment);
}

const char *reading_local(const struct reading *r, const char *class)
{
    const char *local = json_string_value(json_object_get(r->local, class));
    return local ? local : class;
}

u32 reading_run(const struct reading *r, const json_t *context)
{
    const u64 *process = refmap_get(&r->process, (u64)label_number(context, "process"));
    json_int_t own = process ? (json_int_t)*process : label_number(context, "run");
    u32 run = r->first_run + (own > 0 && own <= (json_int_t)r->m->nruns ? (u32)own - 1 : 0);
    return run < r->m->nruns ? run : r->first_run;
}

const char *reading_role(const struct reading *r, const json_t *context)
{
    if (json_is_string(json_object_get(context, "role")))
        return label_text(context, "role");
    const u64 *at = refmap_get(&r->thread, (u64)label_number(context, "thread"));
    const json_t *thread = at ? json_array_get(json_object_get(r->graph, "threads"), *at - 1) : NULL;
    return json_is_true(json_object_get(thread, "main")) ? "main" : label_text(thread, "start");
}

static u64 hash_text(u64 h, const char *text)
{
    return hash_combine(h, hash_bytes(text, strlen(text), 0));
}

static u64 hash_function(u64 h, const json_t *stack)
{
    const json_t *frame = label_frame(stack);
    const char *name = label_text(frame, "function");
    char *word = identity_function(*name ? name : label_text(frame, "offset"));
    h = hash_text(h, word);
    free(word);
    return h;
}

/* Order does not count. */
static u64 hash_held(const struct reading *r, const json_t *held)
{
    const json_t *lock;
    size_t i;
    u64 sum = 0;
    json_array_foreach (held, i, lock) {
        if (i < MAX_HELD)
            sum += hash_text(hash_text(1, reading_local(r, label_text(lock, "class"))), label_text(lock, "mode"));
    }
    return sum;
}

u64 reading_key(const struct reading *r, const json_t *edge, const json_t *context)
{
    const json_t *stack = json_object_get(context, "stack"), *hold = json_object_get(context, "hold_stack");
    u64 h = hash_text(2, reading_local(r, label_text(edge, "from")));
    h = hash_text(h, reading_local(r, label_text(edge, "to")));
    h = hash_text(h, r->m->run[reading_run(r, context)].program);
    h = hash_text(h, reading_role(r, context));
    h = hash_combine(h, hash_held(r, json_object_get(context, "held")));
    h = hash_text(h, label_text(context, "mode_from"));
    h = hash_text(h, label_text(context, "mode_to"));
    h = hash_combine(h, json_is_true(json_object_get(context, "timed")));
    h = hash_function(h, stack ? stack : json_object_get(edge, "stack"));
    return hash_function(h, hold ? hold : json_object_get(edge, "hold_stack"));
}

bool reading_binds(const json_t *context)
{
    return !json_is_true(json_object_get(context, "try")) && !json_is_true(json_object_get(context, "unpublished"));
}
