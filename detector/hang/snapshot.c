/* Which threads of the run stand still. Called by hang.c. Takes no locks; allocates with malloc.
 *
 * A thread that sleeps, and has been taken from a processor as often as at the last look, has slept in between: had it
 * run, it would have been taken from it again. So all threads that are still at two looks slept at the same time between
 * them, and what they have (descriptors, mappings, locks) did not change by them. */
#include "snapshot.h"
#include "inspect/proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "model/run.h"
#include "report/view.h"

#define MAX_PROCESSES 4096u
#define STATUS_BYTES 4096u
/* Signals by which the C library and the processor speak, and the one that Python's own handler only takes a note of. */
#define OF_FAULTS (1ULL << 3 | 1ULL << 4 | 1ULL << 5 | 1ULL << 6 | 1ULL << 7 | 1ULL << 10 | 1ULL << 30)
#define OF_LIBC (3ULL << 31)
#define OF_INTERRUPT (1ULL << 1)

/* ---- lines of a status ---- */

static u64 field(const char *status, const char *name, int base)
{
    const char *at = strstr(status, name);
    return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

struct seen {
    char state;
    u64 switches, caught;
    u32 parent, tracer;
    bool inner; /* of another name space: its number there is another one */
};

static bool look(u32 pid, u32 tid, struct seen *s)
{
    char status[STATUS_BYTES];
    if (!proc_read(status, sizeof status, "/proc/%u/task/%u/status", pid, tid))
        return false;
    const char *state = strstr(status, "\nState:\t"), *names = strstr(status, "\nNSpid:\t");
    s->state = state ? state[8] : 0;
    s->switches = field(status, "\nvoluntary_ctxt_switches:", 10) + field(status, "\nnonvoluntary_ctxt_switches:", 10);
    s->caught = field(status, "\nSigCgt:", 16);
    s->parent = (u32)field(status, "\nPPid:", 10);
    s->tracer = (u32)field(status, "\nTracerPid:", 10);
    s->inner = names && strchr(names + 8, '\t') && strchr(names + 8, '\t') < strchr(names + 8, '\n');
    return s->state && strstr(status, "voluntary_ctxt_switches:");
}

/* ---- processes ---- */

struct taking {
    struct snapshot *s;
    const struct snapshot *before;
    struct still_process *p;
    bool failed;
};

static int by_tid(const void *a, const void *b)
{
    const struct switches *x = a, *y = b;
    return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static bool unmoved(const struct snapshot *before, u32 tid, u64 switches)
{
    struct switches key = {tid, 0};
    const struct switches *b =
        before && before->nthreads ? bsearch(&key, before->sorted, before->nthreads, sizeof key, by_tid) : NULL;
    return b && b->n == switches;
}

static void sort_threads(struct snapshot *s)
{
    s->sorted = view_alloc(s->nthreads * sizeof *s->sorted);
    for (u32 i = 0; i < s->nthreads; i++)
        s->sorted[i] = (struct switches){s->thread[i].tid, s->thread[i].switches};
    qsort(s->sorted, s->nthreads, sizeof *s->sorted, by_tid);
}

static void take_thread(u32 tid, void *arg)
{
    struct taking *k = arg;
    struct snapshot *s = k->s;
    struct seen seen;
    if (s->nthreads >= SNAPSHOT_THREADS || !look(k->p->pid, tid, &seen) || seen.inner) {
        k->failed = true;
        return;
    }
    if (seen.state == 'Z' || seen.state == 'X')
        return;
    struct still_thread *t = &s->thread[s->nthreads++];
    *t = (struct still_thread){.tid = tid, .switches = seen.switches, .fd = -1, .open = true};
    t->still = seen.state == 'S' && !seen.tracer && unmoved(k->before, tid, seen.switches);
    k->p->nthreads++;
    k->p->parent = seen.parent;
    u64 harmless = OF_FAULTS | OF_LIBC | (k->p->python ? OF_INTERRUPT : 0);
    k->p->signalled |= (seen.caught & ~harmless) != 0 || seen.tracer;
}

/* Timers send signals; the file is there only where the kernel can save processes to disk. */
static bool has_timers(u32 pid)
{
    char text[16];
    return proc_read(text, sizeof text, "/proc/%u/timers", pid);
}

/* Is it the program that the run knows by this number? */
static bool is_that(u32 pid, const struct process_rec *rec, bool *python)
{
    char path[32], now[4096];
    snprintf(path, sizeof path, "/proc/%u/exe", pid);
    ssize_t n = readlink(path, now, sizeof now - 1);
    char *then = view_string_raw(rec->exe);
    now[n > 0 ? n : 0] = 0;
    bool same = n > 0 && (!*then || strcmp(now, then) == 0);
    const char *slash = strrchr(now, '/');
    *python = rec->python || (slash && strncmp(slash, "/python", 7) == 0);
    free(then);
    return same;
}

static void take_process(struct taking *k, ref_t ref, const struct process_rec *rec)
{
    struct snapshot *s = k->s;
    char folder[32];
    bool python;
    if (s->nprocesses == MAX_PROCESSES || !rec->pid || snapshot_process(s, rec->pid) >= 0 ||
        !is_that(rec->pid, rec, &python))
        return;
    k->p = &s->process[s->nprocesses];
    *k->p = (struct still_process){.pid = rec->pid, .ref = ref, .rec = *rec, .first = s->nthreads, .python = python};
    k->failed = false;
    snprintf(folder, sizeof folder, "/proc/%u/task", rec->pid);
    if (!proc_numbers(folder, take_thread, k) || !k->p->nthreads) {
        s->nthreads = k->p->first;
        return;
    }
    k->p->signalled |= has_timers(rec->pid) || rec->unseen_wakers || (rec->flags & PROCESS_ALARM);
    k->p->complete = !k->failed;
    for (u32 i = k->p->first; i < s->nthreads; i++) {
        s->thread[i].process = s->nprocesses;
        k->p->complete &= s->thread[i].still;
    }
    s->nprocesses++;
}

/* ---- what the engine knows of them ---- */

static void know_threads(struct snapshot *s)
{
    struct view_walk w = {0};
    struct thread_rec r;
    for (ref_t ref; (ref = view_next(POOL_THREAD, &w, &r, sizeof r));) {
        if (r.state != THREAD_RUNNING)
            continue;
        for (u32 i = 0; i < s->nprocesses; i++) {
            const struct still_process *p = &s->process[i];
            for (u32 k = p->first; p->ref == r.process && k < p->first + p->nthreads; k++)
                if (s->thread[k].tid == r.tid) {
                    s->thread[k].ref = ref;
                    s->thread[k].rec = r;
                }
        }
    }
}

static int later_first(const void *a, const void *b)
{
    ref_t x = *(const ref_t *)a, y = *(const ref_t *)b;
    return x > y ? -1 : x < y;
}

/* A number that was used again, or an exec, leaves an older record: the newest counts. */
static void take_processes(struct taking *k)
{
    static ref_t refs[MAX_PROCESSES];
    struct view_walk w = {0};
    struct process_rec r;
    u32 n = 0;
    for (ref_t ref; n < MAX_PROCESSES && (ref = view_next(POOL_PROCESS, &w, &r, sizeof r));)
        if (r.state == PROCESS_RUNNING)
            refs[n++] = ref;
    qsort(refs, n, sizeof *refs, later_first);
    for (u32 i = 0; i < n; i++)
        if (view_get(refs[i], &r, sizeof r))
            take_process(k, refs[i], &r);
}

struct snapshot *snapshot_take(const struct snapshot *before)
{
    u64 begin = sys_now();
    struct snapshot *s = view_alloc(sizeof *s);
    s->process = view_alloc(MAX_PROCESSES * sizeof *s->process);
    s->thread = view_alloc(SNAPSHOT_THREADS * sizeof *s->thread);
    struct taking k = {s, before, NULL, false};
    take_processes(&k);
    sort_threads(s);
    bool any = false;
    for (u32 i = 0; i < s->nthreads; i++)
        any |= s->thread[i].still;
    if (any) {
        know_threads(s);
        snapshot_waits(s);
    }
    s->cost_ns = sys_now() - begin;
    return s;
}

void snapshot_free(struct snapshot *s)
{
    if (!s)
        return;
    for (u32 i = 0; i < s->nthreads; i++)
        free(s->thread[i].need);
    free(s->sorted);
    free(s->thread);
    free(s->process);
    free(s);
}

bool snapshot_holds(const struct snapshot *s, const bool *part)
{
    for (u32 i = 0; i < s->nthreads; i++) {
        const struct still_thread *t = &s->thread[i];
        struct seen now;
        if (part[i] && (!look(s->process[t->process].pid, t->tid, &now) || now.state != 'S' ||
                        now.switches != t->switches || now.tracer))
            return false;
    }
    return true;
}

int snapshot_process(const struct snapshot *s, u32 pid)
{
    for (u32 i = 0; i < s->nprocesses; i++)
        if (s->process[i].pid == pid)
            return (int)i;
    return -1;
}

int snapshot_thread(const struct snapshot *s, ref_t ref)
{
    for (u32 i = 0; ref && i < s->nthreads; i++)
        if (s->thread[i].ref == ref)
            return (int)i;
    return -1;
}

void snapshot_need(struct still_thread *t, enum need_kind kind, u64 device, u64 number)
{
    struct need *more = realloc(t->need, (t->nneeds + 1) * sizeof *more);
    if (!more)
        abort();
    t->need = more;
    more[t->nneeds++] = (struct need){kind, false, device, number};
}
