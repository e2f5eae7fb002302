/* A finding side by side. Called by the renderers of SARIF and HTML. Takes no locks; allocates with malloc. */
#include "sides.h"

#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "label.h"
#include "text.h"
#include "view.h"

static const struct text_options plain = {0};

/* Ends a text that was begun in t, without what the terminal's layout put around it. malloc'd. */
static char *finish(struct text *t)
{
    char *s = buffer_take(&t->out);
    size_t skip = strspn(s, " "), n = strlen(s);
    while (n > skip && (s[n - 1] == '\n' || s[n - 1] == ' '))
        s[--n] = 0;
    memmove(s, s + skip, n - skip + 1);
    return s;
}

static void add_lock(struct side *s, char *text, const json_t *stack)
{
    s->locks = realloc(s->locks, (s->nlocks + 1) * sizeof *s->locks);
    if (!s->locks)
        abort();
    s->locks[s->nlocks++] = (struct side_lock){text, json_array_size(stack) ? stack : NULL};
}

/* "lock_a was taken" */
static void add_taken(struct side *s, const json_t *event, const char *before, char *name, const char *after)
{
    struct buffer b = {0};
    buffer_put(&b, before);
    buffer_put(&b, name);
    buffer_put(&b, after);
    free(name);
    add_lock(s, buffer_take(&b), json_object_get(event, "stack"));
}

/* All that it holds besides `but`. */
static void add_held(struct side *s, const json_t *f, const json_t *but, const char *before, const char *after)
{
    const json_t *held;
    size_t i;
    json_array_foreach (json_object_get(s->event, "held_at"), i, held) {
        bool told = but && label_number(held, "instance") == label_number(but, "instance") &&
                    label_is(held, "class", label_text(but, "object"));
        if (!told && !label_is(held, "class", LABEL_THREAD_END))
            add_taken(s, held, before, label_lock(f, label_text(held, "class"), label_number(held, "instance")), after);
    }
    json_int_t more = label_number(s->event, "held_more");
    if (more > 0) {
        struct buffer b = {0};
        buffer_print(&b, "and %lld more", (long long)more);
        add_lock(s, buffer_take(&b), NULL);
    }
}

const json_t *sides_wanted(const json_t *finding, const json_t *event)
{
    const json_t *held, *other;
    size_t i, k;
    json_array_foreach (json_object_get(event, "held_at"), i, held)
        json_array_foreach (json_object_get(finding, "events"), k, other) {
            if (other != event && !label_is(other, "action", "hold") &&
                label_is(other, "object", label_text(held, "class")) &&
                label_number(other, "instance") == label_number(held, "instance"))
                return held;
        }
    return NULL;
}

static struct side begin(const json_t *f, const json_t *event)
{
    json_int_t thread = label_number(event, "thread");
    return (struct side){.thread = thread, .who = label_thread(f, thread), .event = event};
}

static size_t of_cycle(const json_t *f, struct side *out)
{
    size_t n;
    struct advice_step *steps = advice_steps(f, &n);
    for (size_t i = 0; i < n; i++) {
        struct text t = {{0}, &plain};
        struct side s = begin(f, steps[i].ask);
        text_step(&t, f, &steps[i]);
        s.text = finish(&t);
        s.hold = steps[i].hold;
        if (s.hold)
            add_taken(&s, s.hold, "", label_object(f, s.hold), " was taken");
        add_held(&s, f, s.hold, "also holds ", "");
        out[i] = s;
    }
    free(steps);
    return n;
}

static size_t of_memory(const json_t *f, struct side *out)
{
    struct advice_access a[TEXT_ACCESSES];
    const char *verbs[TEXT_ACCESSES];
    size_t n = text_access_list(f, a, verbs);
    for (size_t i = 0; i < n; i++) {
        struct text t = {{0}, &plain};
        struct side s = begin(f, a[i].event);
        text_access(&t, f, &a[i], verbs[i]);
        s.text = finish(&t);
        add_held(&s, f, NULL, "", " was taken");
        out[i] = s;
    }
    return n;
}

static size_t of_events(const json_t *f, struct side *out)
{
    const json_t *event;
    size_t i, n = 0;
    json_array_foreach (json_object_get(f, "events"), i, event) {
        struct text t = {{0}, &plain};
        struct side s = begin(f, event);
        text_event(&t, f, event);
        s.text = finish(&t);
        if (!label_is(event, "action", "hold"))
            add_held(&s, f, event, "also holds ", "");
        out[n++] = s;
    }
    return n;
}

struct side *sides_of(const json_t *finding, size_t *n)
{
    struct side *s = view_alloc((json_array_size(json_object_get(finding, "events")) + TEXT_ACCESSES) * sizeof *s);
    *n = json_object_get(finding, "memory") ? of_memory(finding, s) : text_is_cycle(finding) ? of_cycle(finding, s) : 0;
    if (!*n)
        *n = of_events(finding, s);
    return s;
}

void sides_free(struct side *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < s[i].nlocks; k++)
            free(s[i].locks[k].text);
        free(s[i].locks);
        free(s[i].who);
        free(s[i].text);
    }
    free(s);
}
