/* Names for people. Called by advice*.c and text*.c. Takes no locks; allocates with malloc. Documents may come from a
 * file: nothing is taken for granted. */
#include "label.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"

const char *label_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

bool label_is(const json_t *object, const char *key, const char *value)
{
    return strcmp(label_text(object, key), value) == 0;
}

json_int_t label_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

bool label_flag(const json_t *finding, const char *flag)
{
    const json_t *f;
    size_t i;
    json_array_foreach (json_object_get(finding, "flags"), i, f) {
        if (json_is_string(f) && strcmp(json_string_value(f), flag) == 0)
            return true;
    }
    return false;
}

const char *label_short(const char *class)
{
    static const char *const whole[] = {"sem:", "file:", "FILE:", "python:", "thread:"};
    const char *name = class;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strncmp(class, whole[i], strlen(whole[i])) == 0)
            return class;
    for (const char *p = class; *p; p++) {
        if (p[0] == ':' && p[1] == ':')
            p++;
        else if (p[0] == ':' && p[1])
            name = p + 1;
    }
    return name;
}

/* "the end of T2" */
static char *thread_end(const json_t *finding, json_int_t instance)
{
    const json_t *lock;
    size_t i;
    struct buffer b = {0};
    json_array_foreach (json_object_get(finding, "locks"), i, lock) {
        if (label_number(lock, "instance") == instance && label_number(lock, "ends_thread")) {
            char *thread = label_thread(finding, label_number(lock, "ends_thread"));
            buffer_print(&b, "the end of %s", thread);
            free(thread);
            return buffer_take(&b);
        }
    }
    buffer_put(&b, "a thread's end");
    return buffer_take(&b);
}

char *label_lock(const json_t *finding, const char *class, json_int_t instance)
{
    const char *name = label_short(class);
    const json_t *lock;
    size_t i;
    int same = 0, rank = 0;
    json_array_foreach (json_object_get(finding, "locks"), i, lock) {
        const char *other = label_text(lock, "class");
        if (strcmp(other, class) == 0) {
            same++;
            if (label_number(lock, "instance") == instance)
                rank = same;
        } else if (strcmp(label_short(other), label_short(class)) == 0) {
            name = class;
        }
    }
    struct buffer b = {0};
    if (strcmp(class, LABEL_THREAD_END) == 0)
        return thread_end(finding, instance);
    buffer_put(&b, name);
    if (same > 1 && rank)
        buffer_print(&b, " (%d)", rank);
    return buffer_take(&b);
}

static const json_t *find_thread(const json_t *finding, json_int_t number)
{
    const json_t *t;
    size_t i;
    json_array_foreach (json_object_get(finding, "threads"), i, t) {
        if (label_number(t, "thread") == number)
            return t;
    }
    return NULL;
}

static bool several_processes(const json_t *finding)
{
    const json_t *threads = json_object_get(finding, "threads"), *t;
    size_t i;
    json_array_foreach (threads, i, t) {
        if (label_number(t, "process") != label_number(json_array_get(threads, 0), "process"))
            return true;
    }
    return false;
}

char *label_thread(const json_t *finding, json_int_t number)
{
    const json_t *t = find_thread(finding, number);
    struct buffer b = {0};
    if (!number) { /* its record serves another thread by now */
        buffer_put(&b, "a thread that has ended");
        return buffer_take(&b);
    }
    buffer_print(&b, "T%lld", (long long)number);
    if (t && *label_text(t, "name"))
        buffer_print(&b, " (%s)", label_text(t, "name"));
    else if (t && json_is_true(json_object_get(t, "main")))
        buffer_put(&b, " (main)");
    else if (t && *label_text(t, "start"))
        buffer_print(&b, " (%s)", label_text(t, "start"));
    if (t && several_processes(finding))
        buffer_print(&b, " of process %lld", (long long)label_number(t, "pid"));
    return buffer_take(&b);
}

/* "room in a pipe" */
static char *awaited(const json_t *event)
{
    static const char *const kinds[][2] = {{"pipe", "a pipe"}, {"socket", "a socket"}};
    const char *what = label_text(event, "awaits"), *thing = label_text(event, "object");
    struct buffer b = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (label_is(event, "object_kind", kinds[i][0]))
            thing = kinds[i][1];
    if (strcmp(what, "end") == 0 && label_number(event, "object_pid"))
        buffer_print(&b, "the end of process %lld", (long long)label_number(event, "object_pid"));
    else if (strcmp(what, "end") == 0)
        buffer_put(&b, "the end of a child");
    else if (strcmp(what, "data") == 0)
        buffer_print(&b, "data from %s", thing);
    else if (strcmp(what, "room") == 0)
        buffer_print(&b, "room in %s", thing);
    else if (strcmp(what, "event") == 0 && strcmp(thing, "events") == 0)
        buffer_put(&b, "what it polls for");
    else
        buffer_print(&b, "%s %s", strcmp(what, "event") == 0 ? "an event at" : "a wake-up at a", thing);
    return buffer_take(&b);
}

char *label_object(const json_t *finding, const json_t *event)
{
    if (json_object_get(event, "awaits"))
        return awaited(event);
    if (json_object_get(event, "object_thread"))
        return label_thread(finding, label_number(event, "object_thread"));
    return label_lock(finding, label_text(event, "object"), label_number(event, "instance"));
}

const json_t *label_frame(const json_t *stack)
{
    const json_t *frame, *first = NULL;
    size_t i;
    json_array_foreach (stack, i, frame) {
        bool foreign =
            json_is_true(json_object_get(frame, "system")) || json_is_true(json_object_get(frame, "interpreter"));
        if (!foreign)
            return frame;
        if (!first && *label_text(frame, "function"))
            first = frame;
    }
    return first ? first : json_array_get(stack, 0);
}

static void put_function(struct buffer *b, const json_t *frame)
{
    const char *name = *label_text(frame, "name") ? label_text(frame, "name") : label_text(frame, "function");
    if (!*name)
        return;
    bool bare = isalnum((unsigned char)name[strlen(name) - 1]) || name[strlen(name) - 1] == '_';
    bool nearest = json_is_true(json_object_get(frame, "nearest"));
    buffer_print(b, "%s%s", nearest ? label_text(frame, "function") : name, bare && !nearest ? "()" : "");
}

char *label_function(const json_t *event)
{
    const json_t *frame = label_frame(json_object_get(event, "stack"));
    struct buffer b = {0};
    put_function(&b, frame);
    return buffer_take(&b);
}

char *label_place(const json_t *event)
{
    const json_t *frame = label_frame(json_object_get(event, "stack"));
    struct buffer b = {0};
    const char *file = label_text(frame, "file"), *base = strrchr(file, '/');
    put_function(&b, frame);
    if (*file) {
        buffer_print(&b, "%s%s", b.length ? " at " : "", base && base[1] ? base + 1 : file);
        if (label_number(frame, "line"))
            buffer_print(&b, ":%lld", (long long)label_number(frame, "line"));
    } else if (*label_text(frame, "module")) {
        const char *path = label_text(frame, "module"), *slash = strrchr(path, '/');
        buffer_print(&b, "%s%s+%s", b.length ? " in " : "", slash ? slash + 1 : path, label_text(frame, "offset"));
    }
    return buffer_take(&b);
}

char *label_memory(const json_t *finding)
{
    const json_t *memory = json_object_get(finding, "memory");
    const char *shown = label_text(memory, "shown"), *name = label_text(memory, "name");
    struct buffer b = {0};
    buffer_put(&b, *shown ? shown : *name ? label_short(name) : "memory");
    return buffer_take(&b);
}
