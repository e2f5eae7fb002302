/* The text report: stacks and the closing summary. Called by text.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "label.h"
#include "text.h"

#define MAX_FRAMES 12

/* What a program's start and a thread's start look like from below: true of every stack, of interest to nobody. */
static bool start_code(const json_t *frame)
{
    static const char *const names[] = {
        "_start",  "__libc_start_main", "__libc_start_call_main", "start_thread",  "clone", "clone3",
        "__clone", "__clone3",          "thread_start",           "_dl_start_user"};
    const char *function = label_text(frame, "function");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        /* "…@@GLIBC_2.34", "…_impl", "…+0x12" */
        if (strncmp(function, names[i], n) == 0 && (!function[n] || strchr("@_+.", function[n])))
            return true;
    }
    return false;
}

static bool foreign(const json_t *frame)
{
    return json_is_true(json_object_get(frame, "system"));
}

static bool interpreter(const json_t *frame)
{
    return json_is_true(json_object_get(frame, "interpreter"));
}

static bool has_python(const json_t *stack)
{
    const json_t *f;
    size_t i;
    json_array_foreach (stack, i, f) {
        if (label_is(f, "language", "python") && !interpreter(f))
            return true;
    }
    return false;
}

const char *text_path(const char *path)
{
    static char here[4096];
    if (!here[0] && !getcwd(here, sizeof here))
        here[0] = '/', here[1] = 0;
    size_t n = strlen(here);
    return n > 1 && strncmp(path, here, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

static void put_frame(struct text *t, const json_t *frame, size_t number, unsigned indent)
{
    const char *function = label_text(frame, "function"), *file = label_text(frame, "file"),
               *module = label_text(frame, "module");
    const char *slash = strrchr(module, '/');
    struct buffer where = {0};
    if (*file && label_number(frame, "line"))
        buffer_print(&where, "%s:%lld", text_path(file), (long long)label_number(frame, "line"));
    else if (*module)
        buffer_print(&where, "%s+%s", slash ? slash + 1 : module, label_text(frame, "offset"));
    else
        buffer_put(&where, *file ? file : "?");
    char *place = buffer_take(&where);
    buffer_print(&t->out, "%*s#%-2zu %s ", (int)indent, "", number, *function ? function : "(unknown function)");
    text_put(t, STYLE_PLACE, place);
    if (json_is_true(json_object_get(frame, "inlined")))
        text_put(t, STYLE_DIM, " (inlined)");
    if (json_is_true(json_object_get(frame, "nearest")))
        text_put(t, STYLE_DIM, " (nearest symbol)");
    buffer_put(&t->out, "\n");
    free(place);
}

static void put_skipped(struct text *t, size_t n, const char *what, unsigned indent)
{
    struct buffer b = {0};
    buffer_print(&b, "%*s… %zu frame%s of %s\n", (int)indent, "", n, n == 1 ? "" : "s", what);
    char *line = buffer_take(&b);
    text_put(t, STYLE_DIM, line);
    free(line);
}

/* Frames that are left out: the interpreter's own where Python frames tell the story, runs of library frames before and
 * between the program's own, start code at the end. */
void text_stack(struct text *t, const json_t *stack, unsigned indent)
{
    size_t n = json_array_size(stack), shown = 0;
    bool all = t->o->verbose, python = has_python(stack), own = label_frame(stack) && !foreign(label_frame(stack));
    while (!all && n > 1 &&
           (start_code(json_array_get(stack, n - 1)) || (python && interpreter(json_array_get(stack, n - 1)))))
        n--;
    for (size_t i = 0; i < n; i++) {
        const json_t *frame = json_array_get(stack, i);
        size_t run = 0;
        if (!all && python && interpreter(frame))
            continue;
        while (!all && own && i + run < n && foreign(json_array_get(stack, i + run)) &&
               !(python && interpreter(json_array_get(stack, i + run))))
            run++;
        if (run && i + run == n && shown)
            break; /* what lies below the program's own frames only called them */
        if (run > 1) {
            put_skipped(t, run, "libraries", indent);
            i += run - 1;
            continue;
        }
        if (!all && shown == MAX_FRAMES && n - i > 1) {
            put_skipped(t, n - i, "its callers (--verbose shows all)", indent);
            break;
        }
        put_frame(t, frame, i, indent);
        shown++;
    }
    if (!n)
        buffer_print(&t->out, "%*s(no stack)\n", (int)indent, "");
}

/* "2 deadlocks, 1 lock-misuse" of the findings that count, or that do not. */
static size_t count_kinds(const json_t *findings, bool counting, struct buffer *b)
{
    static const char *const kinds[] = {"deadlock",    "stuck",      "data-race",  "atomicity",
                                        "unprotected", "lock-order", "lock-misuse"};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    size_t total = 0, i, k, of_kind[KINDS + 1] = {0};
    const json_t *f;
    json_array_foreach (findings, i, f) {
        if (json_is_false(json_object_get(f, "counts")) == counting)
            continue;
        for (k = 0; k < KINDS && !label_is(f, "kind", kinds[k]); k++)
            ;
        of_kind[k]++;
        total++;
    }
    for (k = 0; k <= KINDS; k++)
        if (of_kind[k])
            buffer_print(b, "%s%zu %s", b->length ? ", " : "", of_kind[k], k < KINDS ? kinds[k] : "other");
    return total;
}

/* Races were to be found where possible, but nothing lets the accesses be seen. A script is not compiled. */
static bool unwatched(const json_t *run)
{
    const json_t *options = json_object_get(run, "options"), *kind;
    bool wanted = false;
    size_t i;
    json_array_foreach (json_object_get(options, "detect"), i, kind) {
        wanted |= json_is_string(kind) && strcmp(json_string_value(kind), "race") == 0;
    }
    return wanted && label_is(run, "accesses", "none") && label_is(options, "accesses", "auto") &&
           !json_is_true(json_object_get(run, "python"));
}

/* What was analysed, and each unit that was not. */
static void put_scan(struct text *t, const json_t *run, const json_t *units)
{
    const json_t *unit, *programs = json_object_get(run, "programs");
    size_t i, left_out = 0, n = json_array_size(units), mains = json_array_size(programs);
    json_array_foreach (units, i, unit)
        left_out += json_object_get(unit, "problem") != NULL;
    buffer_print(&t->out, "%zu unit%s, %lld lines", n - left_out, n - left_out == 1 ? "" : "s",
                 (long long)label_number(run, "lines"));
    if (mains > 1)
        buffer_print(&t->out, ", %zu programs", mains);
    buffer_print(&t->out, " in %.1f s\n", json_number_value(json_object_get(run, "duration_s")));
    if (left_out)
        buffer_print(&t->out, "snarl: %zu unit%s could not be read and %s left out:\n", left_out,
                     left_out == 1 ? "" : "s", left_out == 1 ? "is" : "are");
    json_array_foreach (units, i, unit) {
        if (json_object_get(unit, "problem"))
            buffer_print(&t->out, "  %s: %s\n", text_path(label_text(unit, "file")), label_text(unit, "problem"));
    }
}

static void put_run(struct text *t, const json_t *run)
{
    if (json_object_get(run, "units")) {
        put_scan(t, run, json_object_get(run, "units"));
        return;
    }
    json_int_t processes = label_number(run, "processes");
    if (processes > 1)
        buffer_print(&t->out, "%lld processes, ", (long long)processes);
    buffer_print(&t->out, "%lld thread%s, %lld lock%s, %lld lock operation%s", (long long)label_number(run, "threads"),
                 label_number(run, "threads") == 1 ? "" : "s", (long long)label_number(run, "locks"),
                 label_number(run, "locks") == 1 ? "" : "s", (long long)label_number(run, "lock_operations"),
                 label_number(run, "lock_operations") == 1 ? "" : "s");
    double seconds = json_number_value(json_object_get(run, "duration_s"));
    if (seconds > 0)
        buffer_print(&t->out, " in %.*f s", seconds < 10 ? 2 : 0, seconds);
    if (unwatched(run))
        buffer_put(&t->out, "; memory accesses not watched (build with snarl cc)");
    buffer_put(&t->out, "\n");
}

static void put_notes(struct text *t, const json_t *list, const char *before)
{
    const json_t *note;
    size_t i;
    json_array_foreach (list, i, note) {
        const char *s = json_is_string(note) ? json_string_value(note) : label_text(note, "text");
        struct buffer b = {0};
        buffer_print(&b, "%s", s);
        if (label_number(note, "count"))
            buffer_print(&b, ": %lld", (long long)label_number(note, "count"));
        char *line = buffer_take(&b);
        text_put(t, STYLE_STRONG, "snarl: ");
        buffer_put(&t->out, before);
        text_wrap(t, line, 7 + (unsigned)strlen(before));
        free(line);
    }
}

static void put_cost(struct text *t, const json_t *run)
{
    const json_t *cost = json_object_get(run, "cost");
    text_put(t, STYLE_STRONG, "snarl: ");
    buffer_print(&t->out,
                 "what it cost: %lld lock operations left the fast path (%lld had to wait, %lld were new orders), %lld "
                 "stacks, %.1f MiB of records\n",
                 (long long)label_number(cost, "slow"), (long long)label_number(cost, "waits"),
                 (long long)label_number(cost, "orders"), (long long)label_number(cost, "stacks"),
                 (double)label_number(cost, "bytes") / 1048576.0);
    if (!label_number(cost, "rewritten_bytes"))
        return;
    text_put(t, STYLE_STRONG, "snarl: ");
    buffer_print(&t->out, "rewriting %.1f MB of code (%.1f MB of it from the cache) took %lld ms of processor time\n",
                 (double)label_number(cost, "rewritten_bytes") / 1e6,
                 (double)label_number(cost, "rewritten_cached_bytes") / 1e6,
                 (long long)label_number(cost, "rewriting_ms"));
}

void text_summary(struct text *t, const json_t *document)
{
    const json_t *run = json_object_get(document, "run"), *findings = json_object_get(document, "findings");
    struct buffer counting = {0}, rest = {0};
    size_t n = count_kinds(findings, true, &counting), others = count_kinds(findings, false, &rest);
    char *kinds = buffer_take(&counting), *other_kinds = buffer_take(&rest);
    text_put(t, STYLE_STRONG, "snarl: ");
    if (n)
        buffer_print(&t->out, "%zu finding%s (%s)", n, n == 1 ? "" : "s", kinds);
    else
        buffer_put(&t->out, others ? "no finding that counts" : "no findings");
    if (others)
        buffer_print(&t->out, ", %zu not counted (%s)", others, other_kinds);
    buffer_put(&t->out, "; ");
    put_run(t, run);
    put_notes(t, json_object_get(run, "losses"), "not complete: ");
    put_notes(t, json_object_get(run, "notes"), "");
    if (n + others || t->o->verbose)
        put_notes(t, json_object_get(run, "symbols"), "");
    text_coverage(t, run);
    if (t->o->verbose && json_object_get(run, "cost"))
        put_cost(t, run);
    free(kinds);
    free(other_kinds);
}
