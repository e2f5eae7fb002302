/* Answers to `--halt` (preload/found.c asks). Called by the verb run while the program runs. Takes no locks; allocates with
 * malloc.
 *
 * A thread that has made a finding waits until its judgement stands in the record. It then ends the run itself; so that
 * also ends what was found from outside, or by a process that cannot end the others, we do so a little later. */
#include "halt.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "analyze/finding.h"
#include "base/sys.h"
#include "model/run.h"
#include "model/thread.h"
#include "report/view.h"

#define BATCH 256u
#define MAX_FINDINGS 65536u
#define PATIENCE_NS 1000000000ULL

static u64 ended_since; /* 0: nothing has counted yet */
static u32 news_seen;   /* run_state.news when all findings had been judged */

void halt_begin(void)
{
    ended_since = news_seen = 0;
    __atomic_store_n(&run()->judge, (u32)getpid(), __ATOMIC_RELEASE);
}

/* The finding's judgement, in the arena; NULL when there is no such record. */
static u32 *judgement_of(ref_t finding)
{
    struct finding_rec *f = (struct finding_rec *)(uintptr_t)arena_check(finding, sizeof *f);
    return f ? &f->judgement : NULL;
}

static u32 list_new(ref_t *list)
{
    struct run_state state;
    struct finding_rec f;
    u32 n = 0;
    ref_t at = view_run(&state) ? state.findings : 0;
    for (u32 seen = 0; n < BATCH && seen < MAX_FINDINGS && view_get(at, &f, sizeof f); seen++, at = f.next)
        if (f.complete && f.judgement == JUDGEMENT_NONE)
            list[n++] = at;
    return n;
}

/* A number may be another process's by now: those of the run have its arena mapped. */
static bool is_of_run(u32 pid, const char *arena)
{
    char name[40], *line = NULL;
    size_t size = 0;
    bool found = false;
    snprintf(name, sizeof name, "/proc/%u/maps", pid);
    FILE *f = fopen(name, "re");
    while (f && !found && getline(&line, &size, f) > 0)
        found = strstr(line, arena) != NULL;
    free(line);
    if (f)
        fclose(f);
    return found;
}

static void end_processes(const char *folder)
{
    struct view_walk walk = {0};
    struct process_rec p;
    while (view_next(POOL_PROCESS, &walk, &p, sizeof p))
        if (p.number && p.state == PROCESS_RUNNING && (pid_t)p.pid > 1 && is_of_run(p.pid, folder))
            kill((pid_t)p.pid, SIGKILL);
}

void halt_look(const char *folder, halt_judge judge, void *arg)
{
    ref_t list[BATCH];
    u32 news = __atomic_load_n(&run()->news, __ATOMIC_ACQUIRE), n = news == news_seen ? 0 : list_new(list);
    if (ended_since && sys_now() - ended_since > PATIENCE_NS)
        end_processes(folder);
    if (!n) {
        news_seen = news;
        return;
    }
    u32 judgement = judge(list, n, arg) ? JUDGEMENT_ENDS : JUDGEMENT_GOES_ON;
    if (judgement == JUDGEMENT_ENDS && !ended_since) {
        ended_since = sys_now();
        run()->halted = list[0];
    }
    for (u32 i = 0; i < n; i++) {
        u32 *place = judgement_of(list[i]);
        if (place)
            __atomic_store_n(place, judgement, __ATOMIC_RELEASE);
    }
    __atomic_fetch_add(&run()->judged, 1, __ATOMIC_RELEASE);
    sys_futex_wake(&run()->judged, 0x7fffffff);
}
