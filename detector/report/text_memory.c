/* The text report: accesses to memory and where that memory is. Called by text.c. Takes no locks; allocates with
 * malloc. */
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "escape.h"
#include "label.h"
#include "text.h"

#define MOST_TYPE 60 /* characters of a type's name that are of use to anybody */
#define MOST_HELD 3

/* " counter (4 bytes), holding cache.lock" */
static void put_held_names(struct text *t, const json_t *f, const json_t *event)
{
    const json_t *held = json_object_get(event, "held_at"), *h;
    size_t i, n = json_array_size(held);
    buffer_put(&t->out, ", holding ");
    if (!n)
        buffer_put(&t->out, "no lock");
    json_array_foreach (held, i, h) {
        if (i == MOST_HELD)
            break;
        buffer_put(&t->out, i == 0 ? "" : i + 1 == n ? " and " : ", ");
        text_label(t, STYLE_STRONG, label_lock(f, label_text(h, "class"), label_number(h, "instance")));
        if (label_is(h, "mode", "shared"))
            buffer_put(&t->out, " (reading)");
    }
    json_int_t more = label_number(event, "held_more") + (n > MOST_HELD ? (json_int_t)(n - MOST_HELD) : 0);
    if (more)
        buffer_print(&t->out, " and %lld more", (long long)more);
}

static void put_held_places(struct text *t, const json_t *f, const json_t *event)
{
    const json_t *h;
    size_t i;
    json_array_foreach (json_object_get(event, "held_at"), i, h) {
        char *place = label_place(h);
        if (*place && i < MOST_HELD) {
            buffer_put(&t->out, "    ");
            text_label(t, STYLE_STRONG, label_lock(f, label_text(h, "class"), label_number(h, "instance")));
            buffer_put(&t->out, " was taken in ");
            text_put(t, STYLE_PLACE, place);
            buffer_put(&t->out, "\n");
        }
        free(place);
    }
}

void text_access(struct text *t, const json_t *f, const struct advice_access *a, const char *verb)
{
    json_int_t size = label_number(a->event, "size");
    buffer_put(&t->out, "  ");
    text_label(t, STYLE_STRONG, label_thread(f, label_number(a->event, "thread")));
    buffer_put(&t->out, verb);
    text_label(t, STYLE_STRONG, label_memory(f));
    if (size > 0 && a->verb <= VERB_WRITE)
        buffer_print(&t->out, " (%lld byte%s)", (long long)size, size == 1 ? "" : "s");
    if (a->atomic)
        buffer_put(&t->out, ", atomically");
    if (json_is_true(json_object_get(a->event, "in_handler")))
        buffer_put(&t->out, ", in a signal handler");
    put_held_names(t, f, a->event);
    buffer_put(&t->out, "\n");
}

static void put_access(struct text *t, const json_t *f, const struct advice_access *a, const char *verb)
{
    text_access(t, f, a, verb);
    const json_t *stack = json_object_get(a->event, "stack");
    bool lost = json_is_true(json_object_get(a->event, "stack_lost"));
    if (json_array_size(stack))
        text_stack(t, stack, 6);
    if (lost || !json_array_size(stack))
        text_put(t, STYLE_DIM,
                 json_array_size(stack) ? "      (the stack below is no longer known)\n"
                                        : "      (stack no longer known)\n");
    put_held_places(t, f, a->event);
    buffer_put(&t->out, "\n");
}

/* A read, the write that came between, and the write that depends on the read. */
static size_t pair_list(const json_t *f, struct advice_access *a, const char **verbs)
{
    bool seen = label_is(f, "verdict", "observed"), ran = !label_is(f, "verdict", "static");
    const char *const words[TEXT_ACCESSES] = {ran ? " read " : " reads ", seen ? " meanwhile wrote " : " also writes ",
                                              ran ? " wrote back " : " writes back "};
    const json_t *event;
    size_t i, n = 0;
    json_array_foreach (json_object_get(f, "events"), i, event) {
        if (n == TEXT_ACCESSES)
            break;
        a[n] = (struct advice_access){.event = event, .verb = n > 0 ? VERB_WRITE : VERB_READ, .write = n > 0};
        verbs[n] = words[n];
        n++;
    }
    return n;
}

size_t text_access_list(const json_t *f, struct advice_access a[TEXT_ACCESSES], const char *verbs[TEXT_ACCESSES])
{
    static const char *const words[ADVICE_VERBS][2] = {
        {" reads ", " earlier read "},    {" writes ", " earlier wrote "},
        {" frees ", " earlier freed "},   {" allocates ", " earlier allocated "},
        {" uses ", " earlier used "},     {" initialises ", " earlier initialised "},
        {" closes ", " earlier closed "}, {" destroys ", " earlier destroyed "},
    };
    if (label_is(f, "kind", "atomicity"))
        return pair_list(f, a, verbs);
    struct advice_access both[2];
    size_t n = advice_accesses(f, both);
    bool ran = !label_is(f, "verdict", "static"); /* in source code none comes first */
    for (size_t i = 0; i < n; i++) {              /* the later one first: that is where it was noticed */
        a[i] = both[n - 1 - i];
        verbs[i] = words[a[i].verb][ran && i > 0];
    }
    return n;
}

void text_accesses(struct text *t, const json_t *f)
{
    struct advice_access a[TEXT_ACCESSES];
    const char *verbs[TEXT_ACCESSES];
    size_t n = text_access_list(f, a, verbs);
    for (size_t i = 0; i < n; i++)
        put_access(t, f, &a[i], verbs[i]);
}

static void put_bytes(struct text *t, json_int_t n, const char *before)
{
    if (n > 0)
        buffer_print(&t->out, "%s%lld byte%s", before, (long long)n, n == 1 ? "" : "s");
}

static void put_owner(struct text *t, const json_t *f, const json_t *memory, const char *before)
{
    if (!label_number(memory, "thread"))
        return;
    buffer_put(&t->out, before);
    text_label(t, STYLE_STRONG, label_thread(f, label_number(memory, "thread")));
}

static void put_region(struct text *t, const json_t *f, const json_t *memory)
{
    const json_t *block = json_object_get(memory, "block");
    const char *function = label_text(memory, "function");
    if (json_is_true(json_object_get(memory, "thread_local"))) {
        buffer_put(&t->out, ", thread-local");
        put_owner(t, f, memory, ", that of ");
    } else if (label_is(memory, "region", "global")) {
        buffer_print(&t->out, ", global, %s", label_text(memory, "name"));
    } else if (label_is(memory, "region", "stack")) {
        buffer_put(&t->out, ", on the stack");
        put_owner(t, f, memory, " of ");
        if (*function)
            buffer_print(&t->out, ", in %s()", function);
    } else if (block) {
        put_bytes(t, label_number(block, "offset"), ", ");
        buffer_print(&t->out,
                     label_number(block, "offset") > 0 ? " into a heap block of %lld bytes"
                                                       : ", at the start of a heap block of %lld bytes",
                     (long long)label_number(block, "size"));
    } else {
        buffer_put(&t->out, label_is(memory, "region", "shared") ? ", shared memory" : ", allocated memory");
        buffer_print(&t->out, " at %s", label_text(memory, "address"));
    }
}

/* Where it was made; what: the word for that, NULL for none. */
static void put_origin(struct text *t, const json_t *f, const json_t *memory, const char *what)
{
    const json_t *born = json_object_get(memory, "born");
    if (what && json_array_size(born)) {
        buffer_put(&t->out, what);
        put_owner(t, f, memory, " by ");
    }
    buffer_put(&t->out, "\n");
    if (what && json_array_size(born))
        text_stack(t, born, 6);
}

void text_memory(struct text *t, const json_t *f)
{
    const json_t *memory = json_object_get(f, "memory"), *declared = json_object_get(memory, "declared"),
                 *born = json_object_get(memory, "born");
    const char *type = label_text(memory, "type"), *between = ": ";
    json_int_t size = label_number(memory, "object_size");
    buffer_put(&t->out, "  ");
    text_label(t, STYLE_STRONG, label_memory(f));
    if (label_is(memory, "region", "descriptor")) {
        put_origin(t, f, memory, ", opened");
        return;
    }
    if (*type && escape_columns(type) <= MOST_TYPE) {
        buffer_print(&t->out, ": %s", type);
        between = ", ";
    }
    put_bytes(t, size ? size : label_number(memory, "size"), between);
    put_region(t, f, memory);
    if (*label_text(declared, "file")) {
        buffer_put(&t->out, ", declared at ");
        text_put(t, STYLE_PLACE, text_path(label_text(declared, "file")));
        if (label_number(declared, "line"))
            buffer_print(&t->out, ":%lld", (long long)label_number(declared, "line"));
    }
    bool allocated = label_is(memory, "region", "heap") || label_is(memory, "region", "shared");
    put_origin(t, f, memory, allocated && json_array_size(born) ? "\n    allocated" : NULL);
}
