/* A run's arena -> the result document (schema snarl/1). The arena is the one that is mapped at present
 * (arena_open_read, or the live one). */
#ifndef SNARL_REPORT_COLLECT_H
#define SNARL_REPORT_COLLECT_H

#include <jansson.h>

#include "base/types.h"

struct collect_input {
    const json_t *command; /* array of strings, or NULL: the first process's program */
    bool ended;            /* the program has ended: status says how */
    int status;            /* as waitpid gives it */
    double duration_s;     /* 0: from the arena */
    u32 only_process;      /* number of the one process wanted; 0: all */
    bool without_graph;    /* for a report that does not show it */
    const u32 *only;       /* refs of the findings wanted; NULL: all */
    u32 nonly;
};

/* Never NULL. Findings have their ids and texts, are merged by id and sorted; `counts` is still to be decided
 * (classify.h). */
json_t *collect_document(const struct collect_input *in);

/* Call first where several documents are made of one run: debug information is read once then. */
void collect_several(void);

/* The run's processes: array of objects {"process", "pid", "program"}. */
json_t *collect_processes(void);

/* ---- between collect*.c ---- */
struct names;
struct finding_rec;
json_t *collect_finding(struct names *n, const struct finding_rec *head, u32 ref);
json_t *collect_graph(struct names *n, u32 only_process_ref);
json_t *collect_contention(struct names *n, u32 only_process_ref);
json_t *collect_coverage(u32 only_process_ref);
struct run_state;
/* Words of --modules that meant no module. */
void collect_modules_unmet(json_t *notes, const struct run_state *state);
struct finding_event;
/* thread: whose memory it is, or who allocated it; 0 if unknown. */
json_t *collect_memory(struct names *n, const struct finding_rec *f, const struct finding_event *events, u32 nevents,
                       u32 *thread);
/* What an event says of memory: nothing, unless it is an access. */
void collect_access(json_t *event, const struct finding_event *e, const struct finding_rec *f, const json_t *memory);
/* Number of a thread's or process's record, 0 when there is none. */
u32 collect_process_number(u32 process);

#endif
