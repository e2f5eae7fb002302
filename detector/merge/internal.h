/* Between the files of this folder. */
#ifndef SNARL_MERGE_INTERNAL_H
#define SNARL_MERGE_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/types.h"
#include "merge.h"
#include "report/map.h"

#define MAX_WAYS 16u /* kept of each edge */

/* One process of a run, as it is told: what is compared. A merged result, and one of several processes, brings several. */
struct merged_run {
    char *name, *program; /* program: the last part of the command's first word */
};

struct merged_class {
    char *name, *local; /* the first run's name; local, without the main program's module, is what joins */
    char *kind;
    u64 locks, acquisitions;
    u32 per_process; /* the most in one process of one run */
    bool no_lock, readers_queue, core;
    bool of_process; /* not all of its locks are shared between processes */
};

/* The edge A -> B: B was taken while A was held. */
struct merged_edge {
    u32 from, to;
    u64 count, threads;
    u32 first_way; /* index + 1 */
    u32 nways;
    bool cut, core; /* ways were left out; it can be part of a cycle of classes */
    json_t *stack, *hold_stack;
};

/* One way to an edge: the same program, kind of thread, code, and locks held. What differs from run to run (numbers of
 * threads and locks) is that of the first run which had it. */
struct merged_way {
    u64 key;
    u32 edge, run, next; /* run: the first one that had it; next: index + 1 */
    u64 seen;
    bool main, alone,
        single; /* by the main thread; while no other thread could run; in a process that never had another */
    u32 number; /* of the core's, for relations */
    u64 *runs;  /* of the core's: bit set of runs */
    json_t *context;
};

struct merge {
    struct merged_run *run;
    struct merged_class *class;
    struct merged_edge *edge;
    struct merged_way *way;
    size_t nruns, nclasses, nedges, nways, ncore;
    json_t *class_of;              /* local -> index */
    struct refmap edge_of, way_of; /* (from, to), key */
    struct refmap together;   /* pair of core numbers -> they met in one run, and could be at the same time there */
    struct refmap roles;      /* pair of kinds of threads of one program -> 1 met, 3 together */
    json_t *findings;         /* in the order in which they came */
    struct refmap finding_of; /* id -> index + 1 */
    json_t *totals;           /* the run section being summed */
    json_t *contention;       /* mode and local name -> row */
};

void *merge_grow(void *items, size_t n, size_t size);
/* Of counts: negative ones are none, and the sum stays in range. */
json_int_t merge_sum(json_int_t a, json_int_t b);

/* ---- read.c: what a context of a document is about ---- */
struct reading {
    struct merge *m;
    const json_t *document, *graph;
    u32 first_run;         /* of this document */
    json_t *local;         /* class -> local */
    struct refmap thread;  /* number -> index + 1 in "threads" of the graph */
    struct refmap process; /* number -> index + 1 in "process_list" of the run */
    struct refmap segment; /* number -> index + 1 in "segments" */
    struct must *must;     /* made when asked for */
};
void reading_open(struct reading *r, struct merge *m, const json_t *document, u32 first_run);
void reading_close(struct reading *r);
const char *reading_local(const struct reading *r, const char *class);
/* The run of a context, in the merge's numbers. */
u32 reading_run(const struct reading *r, const json_t *context);
/* What the context's thread is: "main", or where it started. */
const char *reading_role(const struct reading *r, const json_t *context);
u64 reading_key(const struct reading *r, const json_t *edge, const json_t *context);
/* Of a context that can be part of a cycle: it was no try, and others knew the lock that was held. */
bool reading_binds(const json_t *context);

/* ---- findings.c ---- */
void findings_add(struct merge *m, const json_t *document, const char *name);
/* A finding that is new, or one with its id stands already (then it is freed and false returned). */
bool findings_add_new(struct merge *m, json_t *finding);
json_t *findings_finish(struct merge *m);

/* ---- graph.c ---- */
void graph_add(struct reading *r);
json_t *graph_finish(struct merge *m);

/* ---- must.c: the must order of a document ---- */
/* Index + 1 of the segment that a member of an object names; 0: nothing known. */
u64 must_segment(const struct reading *r, const json_t *object, const char *key);
/* a comes before b (or is it) in every schedule; false when it is not known. */
bool must_before(struct reading *r, u64 a, u64 b);
/* The same, with one search for many questions about `at`. */
bool must_before_or_after(struct reading *r, u64 at, u64 first, u64 last);
void must_close(struct reading *r);

/* ---- together.c ---- */
/* How the context's thread stood to the other threads of its process: none could run then; there never was one. */
void together_solitude(struct reading *r, const json_t *context, bool *alone, bool *single);
/* Which kinds of threads of a program can run beside each other. */
void together_roles(struct reading *r);
json_t *together_roles_json(const struct merge *m);
/* Marks classes and edges that can be part of a cycle. False: there are none. */
bool together_prepare(struct merge *m);
/* The second reading: which ways met in one run, and whether they could be at the same time. */
void together_add(struct reading *r);
bool together_possible(const struct merge *m, const struct merged_way *a, const struct merged_way *b);

/* ---- cycles.c ---- */
void cycles_add(struct merge *m);

/* ---- contention.c ---- */
void contention_add(struct reading *r);
json_t *contention_finish(struct merge *m);

/* ---- totals.c ---- */
void totals_add(struct merge *m, const json_t *document, const char *name);
json_t *totals_finish(struct merge *m);
/* How many runs a document adds. */
u32 totals_runs_of(const json_t *document);

#endif
