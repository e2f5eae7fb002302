/* Who has which of Python's locks, and what the program calls them. Called by wait.c and feed.c. Takes no locks; allocates
 * with malloc.
 *
 * A lock of threading does not know who has taken it. But a `with` leaves the lock's own method for giving it back on the
 * stack of its frame, and the table of exceptions says how much of that stack is in use at an instruction, and where the
 * `with` stands. Recursive locks know their owner. A lock that was taken by hand and is not recursive has no owner that
 * could be known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python.h"

#define MAX_TABLE 65536u
#define MAX_DEPTH 64u
#define MAX_SLOTS 1000u
#define MAX_CHAIN 64u
#define MAX_HOLDS 20000u

/* ---- objects ---- */

/* Of threading, or the inside of one of multiprocessing. */
static u64 own_semaphore(const struct subject *s, u64 lock)
{
    char name[PYTHON_TEXT];
    python_type_name(s, lock, name);
    return strcmp(name, "_thread.lock") == 0 || strcmp(name, "_thread.RLock") == 0 ||
                   strcmp(name, "_multiprocessing.SemLock") == 0
               ? python_word(s, lock + PY_LOCK_SEMAPHORE)
               : 0;
}

/* A lock, or a method bound to one. */
static u64 lock_in(const struct subject *s, u64 value)
{
    if (!value || value % 8)
        return 0;
    u64 type = python_word(s, value + PY_OB_TYPE);
    if (type && type == s->python_function)
        value = python_word(s, value + PY_METHOD_SELF);
    return value && value % 8 == 0 && own_semaphore(s, value) ? value : 0;
}

/* What lies in a `with`: the method that ends it. */
static u64 lock_to_leave(const struct subject *s, u64 value)
{
    return value && value % 8 == 0 && python_word(s, value + PY_OB_TYPE) == s->python_function ? lock_in(s, value) : 0;
}

static u32 locals_of(const struct subject *s, const struct python_frame *f)
{
    u32 n = python_half(s, f->code + s->python->co_nlocals);
    return n < MAX_SLOTS ? n : 0;
}

/* A variable that inner functions use, too, lies in a cell. */
static u64 slot(const struct subject *s, const struct python_frame *f, u32 i)
{
    u64 value = python_word(s, f->at + s->python->f_locals + 8ULL * i);
    char name[PYTHON_TEXT];
    python_type_name(s, value, name);
    return strcmp(name, "cell") == 0 ? python_word(s, value + PY_CELL_CONTENT) : value;
}

/* ---- the table of exceptions ---- */

struct handler {
    u64 begin, end, target; /* bytes */
    u32 depth;
};

struct table {
    u8 bytes[MAX_TABLE];
    u32 n;
};

static u32 number(const struct table *t, u32 *at)
{
    u32 value = 0;
    for (u32 more = 64; more && *at < t->n; (*at)++) {
        value = value << 6 | (t->bytes[*at] & 63);
        more = t->bytes[*at] & 64;
    }
    return value;
}

static bool handler_at(const struct table *t, u64 offset, struct handler *h)
{
    for (u32 at = 0; at < t->n;) {
        u64 begin = 2ULL * number(t, &at);
        u64 end = begin + 2ULL * number(t, &at), target = 2ULL * number(t, &at);
        u32 depth = number(t, &at) >> 1;
        if (offset >= begin && offset < end) {
            *h = (struct handler){begin, end, target, depth};
            return true;
        }
    }
    return false;
}

/* How many values are in use on the stack of a frame; lines: for each depth the line of the outermost statement that cleans
 * up to there, which for a `with` is its own. */
static u32 depth_of(const struct subject *s, const struct python_frame *f, u32 lines[MAX_DEPTH + 1])
{
    static struct table t;
    u64 bytes = python_word(s, f->code + s->python->co_exceptions), size = python_word(s, bytes + PY_OB_SIZE);
    struct handler h;
    u32 first = 0, last = MAX_DEPTH;
    t.n = size && size < MAX_TABLE && subject_read(s, bytes + PY_BYTES_DATA, t.bytes, size) ? (u32)size : 0;
    u64 at = f->offset;
    for (u32 i = 0; i < MAX_CHAIN && handler_at(&t, at, &h) && h.depth <= MAX_DEPTH; i++) {
        if (!i)
            first = h.depth;
        if (h.depth <= last) {
            lines[h.depth] = python_line_at(s, f->code, h.target);
            last = h.depth;
        }
        at = h.target;
    }
    return first;
}

/* ---- holds ---- */

static void add(struct subject *s, const struct python_hold *h)
{
    u32 n = s->npython_holds;
    struct python_hold *more =
        n & (n - 1) ? s->python_hold : realloc(s->python_hold, (n ? 2 * (size_t)n : 1) * sizeof *h);
    if (!more || n == MAX_HOLDS)
        return;
    s->python_hold = more;
    more[s->npython_holds++] = *h;
}

static void add_frame(struct subject *s, u32 thread, u32 frame)
{
    const struct python_frame *f = &s->thread[thread].python[frame];
    u32 lines[MAX_DEPTH + 1] = {0}, depth = depth_of(s, f, lines), locals = locals_of(s, f);
    for (u32 i = 0; i < depth; i++) {
        u64 lock = lock_to_leave(s, slot(s, f, locals + i));
        if (lock)
            add(s, &(struct python_hold){lock, own_semaphore(s, lock), thread, frame,
                                         lines[i + 1] ? lines[i + 1] : f->line, false});
    }
}

/* The lock that the interpreter gives back at the thread's very end. */
static void add_end(struct subject *s, u32 thread)
{
    u16 at = s->python->thread_end;
    u64 reference = at ? python_word(s, s->thread[thread].python_state + at) : 0,
        lock = reference ? python_word(s, reference + PY_WEAK_OBJECT) : 0,
        semaphore = lock ? own_semaphore(s, lock) : 0;
    if (semaphore)
        add(s, &(struct python_hold){.lock = lock, .semaphore = semaphore, .thread = thread, .is_end = true});
}

void python_find_holds(struct subject *s)
{
    for (u32 i = 0; i < s->nthreads; i++) {
        if (!s->thread[i].python_state)
            continue;
        add_end(s, i);
        for (u32 k = s->python->attributes ? s->thread[i].npython : 0; k-- > 0;)
            add_frame(s, i, k);
    }
}

const struct python_hold *python_hold_of(const struct subject *s, u64 semaphore)
{
    for (u32 i = 0; i < s->npython_holds; i++)
        if (s->python_hold[i].semaphore == semaphore)
            return &s->python_hold[i];
    return NULL;
}

u64 python_owner(const struct subject *s, u64 lock)
{
    char name[PYTHON_TEXT];
    python_type_name(s, lock, name);
    return strcmp(name, "_thread.RLock") == 0 ? python_word(s, lock + PY_RLOCK_OWNER) : 0;
}

/* ---- names ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

u64 python_lock_of(const struct subject *s, const struct subject_thread *t, u64 semaphore)
{
    for (u32 i = 0; s->python->attributes && i < t->npython; i++) {
        const struct python_frame *f = &t->python[i];
        u32 n = locals_of(s, f) + python_half(s, f->code + s->python->co_stacksize);
        for (u32 k = 0; k < n && k < MAX_SLOTS; k++) {
            u64 lock = lock_in(s, slot(s, f, k));
            if (lock && own_semaphore(s, lock) == semaphore)
                return lock;
        }
    }
    return 0;
}

struct search {
    const struct subject *s;
    const struct python_frame *f;
    u64 lock, done;
    u64 list;   /* that has it */
    bool outer; /* it is what has the lock */
    char *name;
};

static bool say(struct search *x, const char *file, const char *of, const char *dot, const char *name)
{
    if (asprintf(&x->name, "%s:%s%s%s", file, of, dot, name) < 0)
        abort();
    return true;
}

static bool is_library(const char *file)
{
    const char *lib = strstr(file, "/lib/python");
    return file[0] == '<' || (lib && !strstr(lib, "/site-packages/") && !strstr(lib, "/dist-packages/"));
}

static char *search_all(struct search *x);

/* Of a class's file only the functions of the class tell; where none runs, whoever has the object. */
static bool in_object(u64 object, void *arg)
{
    struct search *x = arg;
    char attribute[PYTHON_TEXT], type[PYTHON_TEXT];
    const char *file = x->f->file;
    if (!python_attribute_of(x->s, object, x->lock, attribute))
        return false;
    if (strcmp(attribute, "_semlock") == 0) { /* multiprocessing: the program knows what is around it */
        if (x->outer)
            return false;
        struct search outer = {.s = x->s, .lock = object, .outer = true};
        x->name = search_all(&outer);
        return x->name;
    }
    python_type_name(x->s, object, type);
    size_t n = strlen(type);
    for (u32 i = 0; i < x->s->nthreads; i++)
        for (u32 k = 0; k < x->s->thread[i].npython; k++) {
            const struct python_frame *f = &x->s->thread[i].python[k];
            if (strncmp(f->function, type, n) == 0 && f->function[n] == '.')
                file = f->file;
        }
    return say(x, base_name(file), type, ".", attribute);
}

static bool in_list(u64 list, void *arg)
{
    struct search *x = arg;
    char type[PYTHON_TEXT];
    python_type_name(x->s, list, type);
    bool is_tuple = strcmp(type, "tuple") == 0;
    if (!is_tuple && strcmp(type, "list") != 0)
        return false;
    u64 n = python_word(x->s, list + PY_OB_SIZE),
        items = is_tuple ? list + PY_TUPLE_ITEMS : python_word(x->s, list + PY_TUPLE_ITEMS);
    for (u64 i = 0; i < n && i < MAX_SLOTS; i++)
        if (python_word(x->s, items + 8 * i) == x->lock) {
            x->list = list;
            return true;
        }
    return false;
}

/* All locks of a list have the list's name, as when the line is read that makes them. */
static bool in_globals(struct search *x)
{
    char name[PYTHON_TEXT];
    u64 globals = python_word(x->s, x->f->at + x->s->python->f_globals);
    if (globals == x->done)
        return false;
    x->done = globals;
    if (python_key_of(x->s, globals, x->lock, name) ||
        (python_each_value(x->s, globals, in_list, x) && python_key_of(x->s, globals, x->list, name)))
        return say(x, base_name(x->f->file), "", "", name);
    return python_each_value(x->s, globals, in_object, x);
}

static bool in_objects_of_locals(struct search *x)
{
    u32 n = locals_of(x->s, x->f);
    for (u32 i = 0; i < n; i++)
        if (in_object(slot(x->s, x->f, i), x))
            return true;
    return false;
}

static bool in_locals(struct search *x)
{
    const struct python_layout *l = x->s->python;
    u32 n = locals_of(x->s, x->f);
    u64 names = python_word(x->s, x->f->code + l->co_names_of_locals);
    char name[PYTHON_TEXT];
    for (u32 i = 0; i < n; i++)
        if ((slot(x->s, x->f, i) == x->lock || in_list(slot(x->s, x->f, i), x)) &&
            python_text(x->s, python_word(x->s, names + PY_TUPLE_ITEMS + 8ULL * i), name))
            return say(x, base_name(x->f->file), x->f->function, ".", name);
    return false;
}

static bool search_in(struct search *x, bool (*where)(struct search *x))
{
    x->done = 0;
    for (u32 i = 0; i < x->s->nthreads; i++)
        for (u32 k = x->s->thread[i].npython; k-- > 0;) { /* who has made a local variable is outside */
            x->f = &x->s->thread[i].python[k];
            if (!is_library(x->f->file) && where(x))
                return true;
        }
    return false;
}

static char *search_all(struct search *x)
{
    if (!search_in(x, in_globals) && !search_in(x, in_objects_of_locals))
        search_in(x, in_locals);
    return x->name;
}

char *python_name(const struct subject *s, u64 object)
{
    struct search x = {.s = s, .lock = object};
    return s->python->attributes && object && object % 8 == 0 ? search_all(&x) : NULL;
}
