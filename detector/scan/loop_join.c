/* Threads that are joined in a loop. "for (i = 0; i < n; i++) pthread_join(thread[i], NULL)" joins all: that the loop may end
 * before its first round, or pass over a thread that was never made, does not leave one running. So the ways around such a
 * join count as the join. Called by flow.c. Takes no locks; allocates with malloc. */
#include "flow.h"

static const struct known *known_at(const struct flow *f, u32 value)
{
    const struct call *c = f->a->p->values.at[value].op == V_CALL ? points_call(&f->a->pt, value) : NULL;
    return c ? c->known : NULL;
}

/* Branches that every further round passes, and that may lead past the join. */
static void find_ways_around(struct flow *f, u32 call, u32 block)
{
    const struct program *p = f->a->p;
    for (u32 b = f->f->block; b < f->f->block + f->f->nblocks; b++) {
        const struct block *branch = &p->blocks.at[b];
        if (branch->loop != p->blocks.at[block].loop || branch->nsucc != 2 || b == block)
            continue;
        const u32 *to = p->succ.at + branch->succ;
        bool first = to[0] == block || graph_reaches(p, to[0], block, b);
        bool second = to[1] == block || graph_reaches(p, to[1], block, b);
        if (first == second)
            continue;
        bool always = true; /* no round without this branch */
        for (u32 i = 0; i < p->blocks.at[block].nsucc && always; i++) {
            u32 next = p->succ.at[p->blocks.at[block].succ + i];
            always = next != block && (next == b || !graph_reaches(p, next, block, b));
        }
        if (always)
            LIST_ADD(&f->around, (struct way_around){b, to[first ? 1 : 0], call});
    }
}

void flow_find_joins(struct flow *f)
{
    const struct program *p = f->a->p;
    for (u32 b = f->f->block; b < f->f->block + f->f->nblocks; b++)
        for (u32 i = 0; i < p->blocks.at[b].ncode && p->blocks.at[b].loop; i++) {
            u32 value = p->code.at[p->blocks.at[b].code + i];
            const struct known *k = known_at(f, value);
            if (k && (k->op == K_JOIN || k->op == K_JOIN_OBJECT) && !k->timed)
                find_ways_around(f, value, b);
        }
}

void flow_pass_joins(struct flow *f, struct state *s, u32 from, u32 to)
{
    for (u32 i = 0; i < f->around.n; i++) {
        const struct way_around *w = &f->around.at[i];
        if (w->from != from || w->to != to)
            continue;
        u32 handle = flow_handle(f, known_at(f, w->call), w->call);
        if (handle)
            effect_join(f->a, s, handle, known_at(f, w->call)->op == K_JOIN ? JOINS_EACH : JOINS_OBJECT, w->call);
    }
}
