/* Which suppression takes a finding, and which one would. Called by gate.c. Takes no locks; allocates with malloc.
 *
 * As with ThreadSanitizer a pattern is held against the function, the file and the module of every frame of every stack
 * of the finding, that of the threads' creation and of the memory's allocation among them, and against the name of the
 * memory; here also against the classes of the locks. */
#include <stdlib.h>
#include <string.h>

#include "pattern.h"
#include "report/buffer.h"
#include "report/identity.h"
#include "report/label.h"
#include "suppress.h"

static bool is_race(const json_t *f)
{
    return label_is(f, "kind", "data-race") || label_is(f, "kind", "unprotected") || label_is(f, "kind", "atomicity");
}

static bool speaks_of(const struct suppression *s, const json_t *f)
{
    switch (s->type) {
    case SUPPRESS_RACE:
    case SUPPRESS_RACE_TOP:
        return is_race(f);
    case SUPPRESS_DEADLOCK:
        return label_is(f, "kind", "deadlock") || label_is(f, "kind", "lock-order") || label_is(f, "kind", "stuck");
    case SUPPRESS_MUTEX:
        return label_is(f, "kind", "lock-misuse");
    case SUPPRESS_KIND:
        return label_is(f, "kind", s->kind) || label_is(f, "rule", s->kind);
    case SUPPRESS_FROM_LIB:
    case SUPPRESS_ID:
        return true;
    default:
        return false;
    }
}

static bool frame_matches(const char *pattern, const json_t *frame)
{
    static const char *const keys[] = {"function", "name", "file", "module"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (pattern_template(pattern, label_text(frame, keys[i])))
            return true;
    return false;
}

/* The steps in this order, with any frames between. Taking the first frame that fits is enough. */
static bool stack_matches(const struct suppression *s, const json_t *stack)
{
    const json_t *frame;
    size_t i, step = 0;
    json_array_foreach (stack, i, frame) {
        if (step < s->nsteps && frame_matches(s->step[step], frame))
            step++;
    }
    return step == s->nsteps;
}

static bool any_stack(const struct suppression *s, const json_t *list, const char *key)
{
    const json_t *item;
    size_t i;
    json_array_foreach (list, i, item) {
        if (stack_matches(s, json_object_get(item, key)))
            return true;
    }
    return false;
}

static bool stacks_match(const struct suppression *s, const json_t *f)
{
    const json_t *event;
    size_t i;
    json_array_foreach (json_object_get(f, "events"), i, event) {
        if (stack_matches(s, json_object_get(event, "stack")) ||
            any_stack(s, json_object_get(event, "held_at"), "stack"))
            return true;
    }
    return any_stack(s, json_object_get(f, "threads"), "created") ||
           any_stack(s, json_object_get(f, "locks"), "born") ||
           stack_matches(s, json_object_get(json_object_get(f, "memory"), "born"));
}

static bool names_match(const char *pattern, const json_t *f)
{
    const json_t *memory = json_object_get(f, "memory"), *lock;
    size_t i;
    if (pattern_template(pattern, label_text(memory, "name")) || pattern_template(pattern, label_text(memory, "shown")))
        return true;
    json_array_foreach (json_object_get(f, "locks"), i, lock) {
        if (pattern_template(pattern, label_text(lock, "class")) || pattern_template(pattern, label_text(lock, "name")))
            return true;
    }
    return false;
}

/* The innermost frame of an event: what made the access, or called the function that takes the lock. */
static bool tops_match(const struct suppression *s, const json_t *f, bool module_only)
{
    const json_t *event;
    size_t i;
    json_array_foreach (json_object_get(f, "events"), i, event) {
        const json_t *top = json_array_get(json_object_get(event, "stack"), 0);
        if (module_only ? pattern_template(s->step[0], label_text(top, "module")) : frame_matches(s->step[0], top))
            return true;
    }
    return false;
}

static bool has_id(const char *id, const json_t *f)
{
    const json_t *other;
    size_t i;
    if (label_is(f, "id", id))
        return true;
    json_array_foreach (json_object_get(f, "also"), i, other) {
        if (json_is_string(other) && strcmp(json_string_value(other), id) == 0)
            return true;
    }
    return false;
}

static bool takes(const struct suppression *s, const json_t *f)
{
    if (s->expired || !speaks_of(s, f))
        return false;
    if (!s->nsteps)
        return true;
    if (s->type == SUPPRESS_ID)
        return has_id(s->step[0], f);
    if (s->nsteps == 1 && (s->type == SUPPRESS_RACE_TOP || s->type == SUPPRESS_FROM_LIB))
        return tops_match(s, f, s->type == SUPPRESS_FROM_LIB);
    return (s->nsteps == 1 && names_match(s->step[0], f)) || stacks_match(s, f);
}

struct suppression *suppress_find(struct suppressions *s, const json_t *finding)
{
    for (size_t i = 0; i < s->n; i++)
        if (takes(&s->item[i], finding))
            return &s->item[i];
    return NULL;
}

/* ---- ready-made ones ---- */

static const char *type_of(const json_t *f)
{
    if (is_race(f))
        return "race";
    return label_is(f, "kind", "lock-misuse") ? "mutex" : "deadlock";
}

/* The first two frames of the program's own, whole names. */
static void put_frames(struct buffer *b, const json_t *stack)
{
    const json_t *frame;
    size_t i;
    int n = 0;
    json_array_foreach (stack, i, frame) {
        const char *name = label_text(frame, "function");
        if (n == 2 || json_is_true(json_object_get(frame, "system")) || !*name || strpbrk(name, "*^$#\n"))
            continue;
        buffer_print(b, "%s^%s$", n++ ? " <- " : "", name);
    }
}

static bool asks(const json_t *event)
{
    return !label_is(event, "action", "hold") && json_array_size(json_object_get(event, "stack"));
}

json_t *suppress_offer(const json_t *f)
{
    json_t *list = json_array();
    const json_t *event;
    size_t i;
    struct buffer b = {0}, frames = {0};
    buffer_print(&b, "id:%s", label_text(f, "id"));
    json_array_append_new(list, json_string(b.text));
    free(buffer_take(&b));
    json_array_foreach (json_object_get(f, "events"), i, event) {
        if (!asks(event))
            continue;
        put_frames(&frames, json_object_get(event, "stack"));
        if (frames.length) {
            buffer_print(&b, "%s:%s", type_of(f), frames.text);
            json_array_append_new(list, json_string(b.text));
        }
        break;
    }
    free(buffer_take(&b));
    free(buffer_take(&frames));
    return list;
}
