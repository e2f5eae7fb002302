/* Reading, checking and writing of result files. Called by the verbs. Takes no locks; allocates with malloc.
 *
 * jansson tells where the syntax is broken, but not where a value stands that has the wrong type; that place is found
 * by walking the text again (locate). */
#include "document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "label.h"
#include "view.h"

#define MAX_FILE (1LL << 30)
#define MAX_STEPS 16

/* A member's name, or with NULL an element's number. */
struct step {
    const char *key;
    size_t index;
};

struct check {
    const char *text, *end, *name;
    char *err;
    size_t errlen;
    struct step step[MAX_STEPS];
    int depth;
};

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p))
        p++;
    return p;
}

/* Behind the string that begins at p. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        p += *p == '\\' && p + 1 < end;
    return p < end ? p + 1 : end;
}

/* Behind the value at p. The text has parsed, so brackets match. */
static const char *skip_value(const char *p, const char *end)
{
    int depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
            continue;
        } else if (*p == '}' || *p == ']') {
            if (--depth < 0)
                return p;
            p++;
        } else if (depth == 0 && strchr(",:", *p)) {
            return p;
        } else {
            p++;
            if (depth == 0 && p < end && !strchr(",]} \t\r\n", *p))
                continue;
        }
        if (depth == 0)
            return p;
    }
    return end;
}

/* Start of the step's value inside the container at p, or p itself when it is not there. */
static const char *enter(const char *p, const char *end, const struct step *s)
{
    const char *container = p;
    char closing = *p == '{' ? '}' : ']';
    p = skip_space(p + 1, end);
    for (size_t i = 0; p < end && *p != closing; i++) {
        bool here = !s->key && i == s->index;
        if (closing == '}') {
            const char *name = p;
            p = skip_string(p, end);
            here = s->key && (size_t)(p - name) == strlen(s->key) + 2 && memcmp(name + 1, s->key, strlen(s->key)) == 0;
            p = skip_space(p, end);
            p = skip_space(p + (p < end), end); /* the colon */
        }
        if (here)
            return p;
        p = skip_space(skip_value(p, end), end);
        if (p < end && *p == ',')
            p = skip_space(p + 1, end);
    }
    return container;
}

static void locate(const struct check *c, int *line, int *column)
{
    const char *p = skip_space(c->text, c->end);
    for (int i = 0; i < c->depth && p < c->end && (*p == '{' || *p == '['); i++)
        p = enter(p, c->end, &c->step[i]);
    *line = *column = 1;
    for (const char *q = c->text; q < p; q++) {
        (*column)++;
        if (*q == '\n') {
            ++*line;
            *column = 1;
        }
    }
}

__attribute__((format(printf, 2, 3))) static bool wrong(const struct check *c, const char *format, ...)
{
    char text[300];
    int line, column;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    locate(c, &line, &column);
    char path[300] = "";
    for (int i = 0; i < c->depth; i++) {
        size_t n = strlen(path);
        if (c->step[i].key)
            snprintf(path + n, sizeof path - n, "%s%s", n ? "." : "", c->step[i].key);
        else
            snprintf(path + n, sizeof path - n, "[%zu]", c->step[i].index);
    }
    snprintf(c->err, c->errlen, "%s:%d:%d: %s%s%s", c->name, line, column, path, *path ? ": " : "", text);
    return false;
}

enum type { OBJECT, ARRAY, STRING, INTEGER, NUMBER, BOOLEAN };
static const char *const type_names[] = {"an object",  "an array", "a string",
                                         "an integer", "a number", "true or false"};

static bool has_type(const json_t *j, enum type t)
{
    switch (t) {
    case OBJECT:
        return json_is_object(j);
    case ARRAY:
        return json_is_array(j);
    case STRING:
        return json_is_string(j);
    case INTEGER:
        return json_is_integer(j);
    case NUMBER:
        return json_is_number(j);
    default:
        return json_is_boolean(j);
    }
}

/* A member that has to be of this type; missing is wrong only when it is required. */
static bool member(struct check *c, const json_t *object, const char *key, enum type t, bool required)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return !required || wrong(c, "\"%s\" is missing", key);
    if (has_type(value, t))
        return true;
    c->step[c->depth++] = (struct step){key, 0};
    return wrong(c, "should be %s", type_names[t]);
}

typedef bool (*check_item)(struct check *c, const json_t *item);

/* An array member whose items are all objects that pass the test. */
static bool items(struct check *c, const json_t *object, const char *key, check_item test, bool required)
{
    const json_t *item;
    size_t i;
    if (!member(c, object, key, ARRAY, required))
        return false;
    c->step[c->depth++] = (struct step){key, 0};
    json_array_foreach (json_object_get(object, key), i, item) {
        c->step[c->depth++] = (struct step){NULL, i};
        if (!json_is_object(item))
            return wrong(c, "should be an object");
        if (!test(c, item))
            return false;
        c->depth--;
    }
    c->depth--;
    return true;
}

static bool frame_ok(struct check *c, const json_t *f)
{
    return member(c, f, "function", STRING, false) && member(c, f, "file", STRING, false) &&
           member(c, f, "line", INTEGER, false) && member(c, f, "module", STRING, false) &&
           member(c, f, "offset", STRING, false) && member(c, f, "inlined", BOOLEAN, false) &&
           member(c, f, "build_id", STRING, false);
}

static bool lock_ok(struct check *c, const json_t *l)
{
    return member(c, l, "class", STRING, true) && member(c, l, "kind", STRING, true) &&
           items(c, l, "born", frame_ok, false);
}

static bool held_ok(struct check *c, const json_t *h)
{
    return member(c, h, "class", STRING, true) && items(c, h, "stack", frame_ok, false);
}

static bool event_ok(struct check *c, const json_t *e)
{
    return member(c, e, "action", STRING, true) && member(c, e, "thread", INTEGER, true) &&
           member(c, e, "size", INTEGER, false) && member(c, e, "process", INTEGER, false) &&
           member(c, e, "object", STRING, false) && member(c, e, "held", ARRAY, false) &&
           items(c, e, "held_at", held_ok, false) && items(c, e, "stack", frame_ok, true);
}

static bool thread_ok(struct check *c, const json_t *t)
{
    return member(c, t, "thread", INTEGER, true) && items(c, t, "created", frame_ok, false);
}

static bool memory_ok(struct check *c, const json_t *m)
{
    if (!m)
        return true;
    c->step[c->depth++] = (struct step){"memory", 0};
    bool ok = member(c, m, "name", STRING, true) && member(c, m, "size", INTEGER, false) &&
              member(c, m, "region", STRING, false) && items(c, m, "born", frame_ok, false);
    c->depth -= ok;
    return ok;
}

static bool finding_ok(struct check *c, const json_t *f)
{
    if (!(member(c, f, "id", STRING, true) && member(c, f, "kind", STRING, true) &&
          member(c, f, "rule", STRING, false) && member(c, f, "verdict", STRING, true) &&
          member(c, f, "title", STRING, true) && member(c, f, "why", STRING, false) &&
          member(c, f, "fix", STRING, false) && member(c, f, "count", INTEGER, false)))
        return false;
    const char *id = label_text(f, "id");
    if (strlen(id) != 16 || strspn(id, "0123456789abcdef") != 16) {
        c->step[c->depth++] = (struct step){"id", 0};
        return wrong(c, "should be 16 lower-case hexadecimal digits");
    }
    return member(c, f, "memory", OBJECT, false) && memory_ok(c, json_object_get(f, "memory")) &&
           items(c, f, "locks", lock_ok, false) && items(c, f, "events", event_ok, true) &&
           items(c, f, "threads", thread_ok, false);
}

static bool node_ok(struct check *c, const json_t *n)
{
    return member(c, n, "class", STRING, true) && member(c, n, "kind", STRING, true) &&
           member(c, n, "locks", INTEGER, false);
}

static bool edge_ok(struct check *c, const json_t *e)
{
    return member(c, e, "from", STRING, true) && member(c, e, "to", STRING, true) &&
           member(c, e, "count", INTEGER, false) && items(c, e, "stack", frame_ok, false) &&
           member(c, e, "contexts", ARRAY, false);
}

static bool longest_ok(struct check *c, const json_t *l)
{
    return member(c, l, "ns", INTEGER, true) && member(c, l, "thread", INTEGER, false) &&
           items(c, l, "stack", frame_ok, false) && items(c, l, "released", frame_ok, false);
}

static bool contention_ok(struct check *c, const json_t *r)
{
    static const char *const numbers[] = {"acquisitions", "contended",       "reacquired", "given_up",
                                          "wait_ns",      "longest_wait_ns", "hold_ns",    "longest_hold_ns"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!member(c, r, numbers[i], INTEGER, false))
            return false;
    const json_t *wait = json_object_get(r, "longest_wait");
    if (!member(c, r, "class", STRING, true) || !member(c, r, "kind", STRING, false) ||
        !member(c, r, "mode", STRING, false) || !member(c, r, "local", STRING, false) ||
        !member(c, r, "wait_histogram", ARRAY, false) || !member(c, r, "hold_histogram", ARRAY, false) ||
        !items(c, r, "longest_holds", longest_ok, false) || !member(c, r, "longest_wait", OBJECT, false))
        return false;
    c->step[c->depth++] = (struct step){"longest_wait", 0};
    bool ok = !wait || longest_ok(c, wait);
    c->depth -= ok;
    return ok;
}

static bool document_ok(struct check *c, const json_t *d)
{
    if (!json_is_object(d))
        return wrong(c, "this is no result of snarl: it should be an object");
    if (!json_object_get(d, "schema"))
        return wrong(c, "this is no result of snarl: \"schema\" is missing");
    if (!member(c, d, "schema", STRING, true))
        return false;
    if (!label_is(d, "schema", "snarl/1")) {
        c->step[c->depth++] = (struct step){"schema", 0};
        return wrong(c, "this version of snarl reads \"snarl/1\"");
    }
    if (!member(c, d, "run", OBJECT, true) || !items(c, d, "findings", finding_ok, true) ||
        !items(c, d, "contention", contention_ok, false) || !member(c, d, "lock_graph", OBJECT, false))
        return false;
    const json_t *run = json_object_get(d, "run"), *graph = json_object_get(d, "lock_graph");
    c->step[c->depth++] = (struct step){"run", 0};
    if (!member(c, run, "command", ARRAY, false) || !member(c, run, "pid", INTEGER, false) ||
        !member(c, run, "threads", INTEGER, false) || !member(c, run, "duration_s", NUMBER, false))
        return false;
    c->step[c->depth - 1].key = "lock_graph";
    return !graph || (items(c, graph, "nodes", node_ok, true) && items(c, graph, "edges", edge_ok, true));
}

/* Every string of the document, made harmless. */
static void sanitize(json_t *j)
{
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_string(j)) {
        char *safe = escape_text(json_string_value(j), json_string_length(j));
        if (strcmp(safe, json_string_value(j)) != 0 || strlen(safe) != json_string_length(j))
            json_string_set(j, safe);
        free(safe);
    }
    json_array_foreach (j, i, value)
        sanitize(value);
    json_object_foreach (j, key, value)
        sanitize(value);
}

json_t *document_parse(const char *text, size_t n, const char *name, char *err, size_t errlen)
{
    json_error_t e;
    struct check c = {.text = text, .end = text + n, .name = name, .err = err, .errlen = errlen};
    json_t *d = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!d) {
        char *safe = escape_text(e.text, strlen(e.text));
        snprintf(err, errlen, "%s:%d:%d: %s", name, e.line > 0 ? e.line : 1, e.column > 0 ? e.column : 1, safe);
        free(safe);
        return NULL;
    }
    if (!document_ok(&c, d)) {
        json_decref(d);
        return NULL;
    }
    sanitize(d);
    return d;
}

/* malloc'd; NULL with errno. */
static char *read_all(const char *path, size_t *n)
{
    int fd = strcmp(path, "-") == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return NULL;
    size_t cap = fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < MAX_FILE ? (size_t)st.st_size + 1 : 65536;
    char *text = view_alloc(cap);
    ssize_t got;
    *n = 0;
    while ((got = read(fd, text + *n, cap - *n)) > 0) {
        *n += (size_t)got;
        if (*n == cap && (cap *= 2) <= (size_t)MAX_FILE * 2) {
            text = realloc(text, cap);
            if (!text)
                abort();
        }
    }
    int err = got < 0 ? errno : *n > (size_t)MAX_FILE ? EFBIG : 0;
    close(fd);
    errno = err;
    if (!err)
        return text;
    free(text);
    return NULL;
}

json_t *document_load(const char *path, char *err, size_t errlen)
{
    size_t n;
    char *text = read_all(path, &n), *name = escape_text(path, strlen(path));
    json_t *d = NULL;
    if (text)
        d = document_parse(text, n, name, err, errlen);
    else
        snprintf(err, errlen, "%s: %s", name, strerror(errno));
    free(text);
    free(name);
    return d;
}

bool document_looks_like_json(const char *path)
{
    char head[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof head) : -1;
    if (fd >= 0)
        close(fd);
    const char *p = skip_space(head, head + (n > 0 ? n : 0));
    return n > 0 && p < head + n && (*p == '{' || *p == '[');
}

int document_write_text(const char *text, size_t n, const char *path)
{
    bool out = strcmp(path, "-") == 0;
    int fd = out ? 1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), err = 0;
    if (fd < 0)
        return -errno;
    while (n && !err) {
        ssize_t k = write(fd, text, n);
        if (k > 0) {
            text += k;
            n -= (size_t)k;
        } else if (k < 0 && errno != EINTR) {
            err = -errno;
        }
    }
    if (!out && close(fd) < 0 && !err)
        err = -errno;
    return err;
}

int document_write(const json_t *document, const char *path)
{
    char *text = json_dumps(document, JSON_INDENT(1));
    if (!text)
        return -ENOMEM;
    size_t n = strlen(text);
    text[n] = '\n'; /* in place of the terminator: the length is known */
    int err = document_write_text(text, n + 1, path);
    free(text);
    return err;
}
