/* The report of last resort: a run without `snarl run`, and no snarl command to be found. Kinds, and where:
 * module+offset, for addr2line. Called by standalone.c at the process's end. Takes no lock, allocates nothing, writes
 * to standard error. */
#include "analyze/finding.h"
#include "base/arena.h"
#include "base/sys.h"
#include "model/run.h"
#include "model/stack.h"
#include "model/thread.h"
#include "standalone.h"
#include "text.h"

#define MAX_FRAMES 8

static const char *const kind_names[FINDING_KIND_COUNT] = {
#define X(e, s, t) s,
    FINDING_KINDS(X)
#undef X
};
static const char *const rule_names[RULE_COUNT] = {
#define X(e, s) s,
    FINDING_RULES(X)
#undef X
};
static const char *const verdict_names[VERDICT_COUNT] = {
#define X(e, s) s,
    FINDING_VERDICTS(X)
#undef X
};
static const char *const action_names[EVENT_ACTION_COUNT] = {
#define X(e, s) s,
    EVENT_ACTIONS(X)
#undef X
};
#define NAME(names, i) ((i) < ARRAY_LEN(names) ? (names)[i] : "?")

static void put(const struct text *line)
{
    sys_write_all(2, line->buf, line->len);
}

static const char *module_name(u32 id)
{
    struct arena_cursor c = {0, 0};
    for (ref_t r; (r = arena_next(POOL_MODULE, &c));) {
        const struct module_rec *m = arena_at(r);
        if (m->id == id && m->path) {
            const char *path = string_text(m->path), *slash = strrchr(path, '/');
            return slash ? slash + 1 : path;
        }
    }
    return "?";
}

static void put_frame(u64 frame)
{
    char buf[512];
    struct text t = text_in(buf, sizeof buf);
    text_add(&t, "      ");
    if (frame & FRAME_PYTHON) {
        const struct py_frame *f = arena_at((ref_t)frame);
        text_add(&t, string_text(f->file));
        text_add(&t, ":");
        text_number(&t, f->line, 10);
    } else {
        text_add(&t, module_name(FRAME_MODULE(frame)));
        text_add(&t, "+0x");
        text_number(&t, FRAME_OFFSET(frame), 16);
    }
    text_add(&t, "\n");
    put(&t);
}

static void put_event(const struct finding_event *e)
{
    char buf[128];
    struct text t = text_in(buf, sizeof buf);
    text_add(&t, "    thread ");
    text_number(&t, e->thread ? ((const struct thread_rec *)arena_at(e->thread))->number : 0, 10);
    text_add(&t, ", ");
    text_add(&t, NAME(action_names, e->action));
    if (e->size) {
        text_add(&t, " at 0x");
        text_number(&t, e->address, 16);
        text_add(&t, ", bytes: ");
        text_number(&t, e->size, 10);
    }
    text_add(&t, "\n");
    put(&t);
    if (!e->stack)
        return;
    const struct stack_rec *s = arena_at(e->stack);
    for (u32 i = 0; i < s->n && i < MAX_FRAMES; i++)
        put_frame(s->frame[i]);
}

static void put_memory(const struct finding_rec *f)
{
    char buf[512];
    struct text t = text_in(buf, sizeof buf);
    if (f->memory.region != REGION_GLOBAL || !f->memory.module)
        return;
    text_add(&t, "    in ");
    text_add(&t, module_name(((const struct module_rec *)arena_at(f->memory.module))->id));
    text_add(&t, "+0x");
    text_number(&t, f->memory.offset, 16);
    text_add(&t, "\n");
    put(&t);
}

static void put_finding(const struct finding_rec *f)
{
    char buf[128];
    struct text t = text_in(buf, sizeof buf);
    text_add(&t, "  ");
    text_add(&t, NAME(kind_names, f->kind));
    if (f->rule) {
        text_add(&t, " ");
        text_add(&t, NAME(rule_names, f->rule));
    }
    text_add(&t, ", ");
    text_add(&t, NAME(verdict_names, f->verdict));
    text_add(&t, "\n");
    put(&t);
    if (f->mem_size)
        put_memory(f);
    for (u32 i = 0; i < f->nevents; i++)
        put_event(&f->events[i]);
}

void raw_report(const char *folder)
{
    char buf[4352];
    struct text t = text_in(buf, sizeof buf);
    u32 n = run()->nfindings;
    text_add(&t, "snarl: ");
    text_number(&t, n, 10);
    text_add(&t, n == 1 ? " finding. The snarl command, which would show it in full, was not found; "
                        : " findings. The snarl command, which would show them in full, was not found; ");
    text_add(&t, "`snarl report` can read ");
    text_add(&t, folder);
    text_add(&t, "\n");
    put(&t);
    for (ref_t f = run()->findings; f; f = ((const struct finding_rec *)arena_at(f))->next)
        if (((const struct finding_rec *)arena_at(f))->complete)
            put_finding(arena_at(f));
}
