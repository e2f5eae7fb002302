/* Modules and stacks -> arena. Called by feed.c and by those who look at runs from outside. Takes RANK_STACKS through
 * interning; allocates in the arena. */
#include "feed_stack.h"

#include <stdlib.h>
#include <string.h>

#include "analyze/engine.h"
#include "model/stack.h"

static u16 *module_ids;

void feed_modules(const struct subject *s)
{
    struct process_rec *p = arena_at(engine_process());
    module_ids = calloc(s->nmodules + 1, sizeof *module_ids);
    for (u32 i = 0; module_ids && i < s->nmodules; i++) {
        const struct subject_module *m = &s->module[i];
        ref_t ref = arena_alloc(POOL_MODULE, sizeof(struct module_rec));
        if (!ref)
            return;
        struct module_rec *r = arena_at(ref);
        r->path = string_intern(m->path, (u32)strlen(m->path));
        r->lo = m->lo;
        r->hi = m->hi;
        r->bias = m->bias;
        r->is_main = m->is_main;
        r->is_libc = m->is_libc;
        r->is_system = m->is_system;
        r->is_python = m->is_python;
        r->build_id_len = (u8)m->build_id_length;
        memcpy(r->build_id, m->build_id, m->build_id_length);
        module_number(ref);
        r->next = p->modules;
        p->modules = ref;
        module_ids[i] = (u16)r->id;
    }
}

static u64 frame_of(const struct subject *s, const struct subject_frame *f)
{
    const struct subject_module *m = subject_module_at(s, f->pc);
    u64 exact = f->exact ? FRAME_EXACT : 0;
    return m && module_ids ? (u64)module_ids[m - s->module] << 48 | exact | FRAME_OFFSET(f->pc - m->bias)
                           : exact | FRAME_OFFSET(f->pc);
}

ref_t feed_python_frame(const struct python_frame *p, u32 line)
{
    ref_t r = arena_blob(sizeof(struct py_frame));
    if (r) {
        struct py_frame *f = arena_at(r);
        f->function = string_intern(p->function, (u32)strlen(p->function));
        f->file = string_intern(p->file, (u32)strlen(p->file));
        f->line = line;
    }
    return r;
}

struct frames {
    u64 frame[STACK_MAX_FRAMES];
    u32 n;
};

static void put(struct frames *f, u64 frame)
{
    if (f->n < STACK_MAX_FRAMES)
        f->frame[f->n++] = frame;
}

static void put_python(struct frames *f, const struct subject_thread *t, u32 first, u32 line)
{
    for (u32 i = first; i < t->npython; i++) {
        ref_t r = feed_python_frame(&t->python[i], i == first && line ? line : t->python[i].line);
        if (r)
            put(f, FRAME_PYTHON | r);
    }
}

static bool is_python(const struct subject *s, const struct subject_frame *f)
{
    const struct subject_module *m = subject_module_at(s, f->pc - !f->exact);
    return m && m->is_python;
}

/* Python's frames stand for the interpreter's own, and go where those begin. */
static ref_t intern(const struct subject *s, const struct subject_thread *t, u32 at)
{
    struct frames f = {.n = 0};
    bool placed = !t->npython;
    for (; at < t->nframes; at++) {
        bool own = t->npython && is_python(s, &t->frame[at]);
        if (own && !placed)
            put_python(&f, t, 0, 0);
        placed |= own;
        if (!own)
            put(&f, frame_of(s, &t->frame[at]));
    }
    if (!placed) /* the unwinder did not get as far as the interpreter */
        put_python(&f, t, 0, 0);
    return f.n ? stack_intern(f.frame, f.n, t->cut ? STACK_CUT : 0) : 0;
}

ref_t feed_stack(const struct subject *s, const struct subject_thread *t, u32 *skipped)
{
    u32 first = 0;
    for (; first < t->nframes; first++) {
        const struct subject_module *m = subject_module_at(s, t->frame[first].pc);
        if (!m || !m->is_libc)
            break;
    }
    if (first == t->nframes)
        first = 0;
    *skipped = first;
    return intern(s, t, first);
}

ref_t feed_stack_of_hold(const struct subject *s, const struct python_hold *h)
{
    const struct subject_thread *t = &s->thread[h->thread];
    struct frames f = {.n = 0};
    put_python(&f, t, h->frame, h->line);
    u32 at = t->nframes;
    while (at > 0 && !is_python(s, &t->frame[at - 1])) /* the thread's start */
        at--;
    for (; at && at < t->nframes; at++)
        put(&f, frame_of(s, &t->frame[at]));
    return f.n ? stack_intern(f.frame, f.n, t->cut ? STACK_CUT : 0) : 0;
}
