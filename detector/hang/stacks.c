/* Native frames by inspect's unwinder, Python's between them. Called by hang.c. Takes no locks; allocates with malloc. */
#include "stacks.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/subject.h"
#include "report/view.h"

#define MAX_MODULES 4096u

/* What the run knows of a process's modules. */
struct modules {
    struct module_rec *rec;
    u32 n;
};

static struct modules modules_of(const struct still_process *p)
{
    struct modules m = {view_alloc(MAX_MODULES * sizeof *m.rec), 0};
    ref_t r = p->rec.modules;
    for (u32 steps = 0; r && m.n < MAX_MODULES && steps < MAX_MODULES; steps++) {
        struct module_rec *to = &m.rec[m.n];
        if (!view_get(r, to, sizeof *to))
            break;
        r = to->next;
        m.n += !to->gone;
    }
    return m;
}

/* A forked child has its parent's modules. */
static struct modules modules_with_parents(const struct still_process *p)
{
    struct still_process at = *p;
    struct modules m = modules_of(&at);
    for (u32 steps = 0; !m.n && at.rec.parent && steps < 64 && view_get(at.rec.parent, &at.rec, sizeof at.rec);
         steps++) {
        free(m.rec);
        m = modules_of(&at);
    }
    return m;
}

static const struct module_rec *module_at(const struct modules *m, u64 pc)
{
    for (u32 i = 0; i < m->n; i++)
        if (pc >= m->rec[i].lo && pc < m->rec[i].hi)
            return &m->rec[i];
    return NULL;
}

/* The innermost frames of the C library and of snarl stand for the call that waits. */
static u32 first_frame(const struct modules *m, const struct subject_thread *t)
{
    u32 i = 0;
    for (; i < t->nframes; i++) {
        const struct module_rec *r = module_at(m, t->frame[i].pc - !t->frame[i].exact);
        if (!r || !(r->is_libc || r->is_snarl))
            return i;
    }
    return 0;
}

static void put(struct outside_stack *o, u64 frame)
{
    if (o->n < STACK_MAX_FRAMES)
        o->frame[o->n++] = frame;
}

/* Python's frames stand for the interpreter's own, and go where those begin. */
static void build(const struct modules *m, const struct subject_thread *t, struct outside_stack *o)
{
    bool placed = !o->npython;
    for (u32 i = first_frame(m, t); i < t->nframes; i++) {
        const struct subject_frame *f = &t->frame[i];
        const struct module_rec *r = module_at(m, f->pc - !f->exact);
        if (!placed && r && r->is_python) {
            for (u32 k = 0; k < o->npython; k++)
                put(o, FRAME_PYTHON | k);
            placed = true;
        }
        if (!(o->npython && r && r->is_python))
            put(o,
                (r ? (u64)r->id << 48 : 0) | (f->exact ? FRAME_EXACT : 0) | FRAME_OFFSET(r ? f->pc - r->bias : f->pc));
    }
    for (u32 k = 0; !placed && k < o->npython; k++) /* the unwinder did not get as far as the interpreter */
        put(o, FRAME_PYTHON | k);
    o->cut = t->cut;
}

static bool wanted(const struct still_thread *t)
{
    return !(t->rec.wait.seq & 1) || !t->rec.wait.stack;
}

static void read_process(const struct snapshot *s, u32 process, const bool *part, struct outside_stack *out)
{
    const struct still_process *p = &s->process[process];
    struct subject subject;
    char err[600];
    if (!subject_live(&subject, p->pid, err, sizeof err))
        return;
    struct modules m = modules_with_parents(p);
    for (u32 i = p->first; i < p->first + p->nthreads; i++) {
        const struct still_thread *t = &s->thread[i];
        struct subject_thread *from = part[i] && wanted(t) ? subject_thread_of(&subject, t->tid) : NULL;
        if (!from)
            continue;
        out[i].python = from->python;
        out[i].npython = from->npython;
        from->python = NULL;
        from->npython = 0;
        build(&m, from, &out[i]);
    }
    free(m.rec);
    subject_free(&subject);
}

void stacks_read(const struct snapshot *s, const bool *part, bool doomed, struct outside_stack *out)
{
    subject_may_end = doomed ? SUBJECT_ANY_CALL : SUBJECT_SOCKET_CALLS;
    for (u32 p = 0; p < s->nprocesses; p++) {
        bool any = false;
        for (u32 i = s->process[p].first; i < s->process[p].first + s->process[p].nthreads; i++)
            any |= part[i] && wanted(&s->thread[i]);
        if (any)
            read_process(s, p, part, out);
    }
    subject_may_end = SUBJECT_NO_CALL;
}

void stacks_free(struct outside_stack *all, u32 n)
{
    for (u32 i = 0; i < n; i++)
        free(all[i].python);
    free(all);
}
