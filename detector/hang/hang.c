/* Threads of a run, in whatever processes, that wait for ever. Called by the verb run. Takes no locks itself; allocates with
 * malloc.
 *
 * 1. Which threads have stood still since the last look (snapshot.c), and in which system calls (waits.c).
 * 2. Who could end each of these waits (ends.c): the processes that have the other end of a pipe or socket, that map the
 *    memory with the word, the child that is waited for; or the one thread that owns a lock.
 * 3. Whoever can be woken by somebody who can go on, can go on. Those that remain wait for one another. Of these, the
 *    sets that wait for nobody outside the set are the cause (knot.c); the others wait for them.
 * 4. All of a set still stand where they stood: then they did while 2 was asked, so nothing of it has changed since.
 *
 * Circles of locks, and threads of one process that wait for one another's signals, the engine has reported itself, at the
 * moment when they closed. */
#include "hang.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "analyze/finding.h"
#include "base/sys.h"
#include "knot.h"
#include "model/run.h"
#include "release.h"
#include "report/view.h"
#include "stacks.h"
#include "tell.h"

/* Of the time that passes, at most this part is spent on looking. */
#define SHARE 100u
#define LEAST_NS 90000000ULL

struct hang {
    struct snapshot *last;
    u64 next_ns;
    hang_same_fn *same; /* NULL: all are */
};

struct hang *hang_new(void)
{
    return view_alloc(sizeof(struct hang));
}

void hang_free(struct hang *h)
{
    if (h)
        snapshot_free(h->last);
    free(h);
}

/* ---- sets ---- */

/* Threads, then processes: each can go on only as all of its threads cannot. */
static struct knot_graph graph_of(const struct snapshot *s, const struct edges *ends)
{
    struct knot_graph g = {.n = s->nthreads + s->nprocesses};
    g.free = view_alloc(g.n * sizeof *g.free);
    g.edge = view_alloc((ends->n + s->nthreads) * sizeof *g.edge);
    for (u32 i = 0; i < s->nthreads; i++) {
        g.free[i] = s->thread[i].open;
        g.edge[g.nedges++] = (struct knot_edge){s->nthreads + s->thread[i].process, i};
    }
    for (u32 i = 0; i < s->nprocesses; i++)
        g.free[s->nthreads + i] = !s->process[i].complete;
    for (size_t i = 0; i < ends->n; i++) {
        const struct edge *e = &ends->edge[i];
        g.edge[g.nedges++] = (struct knot_edge){e->from, e->to_process ? s->nthreads + e->to : e->to};
    }
    return g;
}

/* Numbers of sets, one per thread; how many there are. */
static u32 sets_of(struct snapshot *s, bool outside, u32 **set)
{
    struct edges ends;
    snapshot_ends(s, outside, &ends);
    struct knot_graph g = graph_of(s, &ends);
    knot_reduce(&g);
    *set = view_alloc(g.n * sizeof **set);
    u32 n = knot_sets(&g, *set);
    free(g.free);
    free(g.edge);
    free(ends.edge);
    return n;
}

/* ---- a set ---- */

static bool is_lock_wait(const struct still_thread *t)
{
    return t->wait == WAIT_FOR_LOCK || t->wait == WAIT_FOR_THREAD;
}

/* Anything in it that the engine does not report by itself? */
static bool is_ours(const struct snapshot *s, const bool *part)
{
    for (u32 i = 0; i < s->nthreads; i++)
        if (part[i] && !is_lock_wait(&s->thread[i]))
            return true;
    return false;
}

static void signal_processes(const struct snapshot *s, const bool *part, int sig)
{
    for (u32 p = 0; p < s->nprocesses; p++)
        for (u32 i = s->process[p].first; i < s->process[p].first + s->process[p].nthreads; i++)
            if (part[i]) {
                kill((pid_t)s->process[p].pid, sig);
                break;
            }
}

static void report(const struct snapshot *s, const bool *part, enum on_deadlock wish)
{
    for (u32 i = 0; i < s->nthreads; i++)
        if (part[i] && snapshot_limited(s, &s->thread[i]))
            return;
    if (!is_ours(s, part) || tell_known(s, part) || !snapshot_holds(s, part))
        return;
    struct outside_stack *stacks = view_alloc(s->nthreads * sizeof *stacks);
    bool ends = wish == ON_DEADLOCK_ABORT;
    int victim = wish == ON_DEADLOCK_BREAK ? release_choose(s, part) : -1;
    if (ends) /* what they wait in may end by looking at them: they are not to go on then */
        signal_processes(s, part, SIGSTOP);
    stacks_read(s, part, ends, stacks);
    bool told = tell(s, part, stacks, ends ? FINDING_ENDED_PROGRAM : victim >= 0 ? FINDING_BROKEN : 0);
    if (told && victim >= 0)
        release_thread(&s->thread[victim]);
    if (ends)
        signal_processes(s, part, told ? SIGKILL : SIGCONT);
    stacks_free(stacks, s->nthreads);
}

static void look_closely(struct snapshot *s, enum on_deadlock wish)
{
    u32 *set, n = sets_of(s, false, &set);
    if (n) {
        free(set);
        n = sets_of(s, true, &set);
    }
    bool *part = view_alloc(s->nthreads * sizeof *part);
    for (u32 k = 1; k <= n; k++) {
        for (u32 i = 0; i < s->nthreads; i++)
            part[i] = set[i] == k;
        report(s, part, wish);
    }
    free(part);
    free(set);
}

/* Whoever has moved since may have changed what the arena says of the others. */
static void leave_moved(const struct hang *h, struct snapshot *s)
{
    for (u32 i = 0; i < s->nthreads; i++) {
        struct still_thread *t = &s->thread[i];
        if (h->same && !t->open && !h->same(t->tid, t->call, t->argument)) {
            t->open = true;
            s->process[t->process].complete = false;
        }
    }
}

/* Processor time: on a machine with other work a look lasts longer than it costs, and a hang would be told of late. */
static u64 work_now(void)
{
    struct timespec t = {0, 0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

void hang_look(struct hang *h)
{
    struct run_state run;
    u64 now = sys_now(), work = work_now();
    if (now < h->next_ns || !view_run(&run) || !(run.options.detect & DETECT_DEADLOCK))
        return;
    struct snapshot *s = snapshot_take(h->last);
    snapshot_free(h->last);
    h->last = s;
    leave_moved(h, s);
    bool any = false;
    for (u32 i = 0; i < s->nthreads; i++)
        any |= !s->thread[i].open;
    if (any)
        look_closely(s, run.options.on_deadlock);
    u64 cost = SHARE * (work_now() - work);
    h->next_ns = sys_now() + (cost > LEAST_NS ? cost : LEAST_NS);
}

void hang_look_twice(hang_same_fn *same)
{
    struct hang *h = hang_new();
    h->same = same;
    hang_look(h);
    nanosleep(&(struct timespec){0, (long)LEAST_NS}, NULL);
    h->next_ns = 0;
    hang_look(h);
    hang_free(h);
}
