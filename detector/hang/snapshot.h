/* The processes of a run as the kernel shows them: which threads stand still, and in which system call.
 *
 * What the arena says of them is copied and checked (report/view.h); what /proc says is believed. Takes no locks; allocates
 * with malloc. */
#ifndef SNARL_HANG_SNAPSHOT_H
#define SNARL_HANG_SNAPSHOT_H

#include <stddef.h>

#include "base/types.h"
#include "model/thread.h"

#define SNAPSHOT_THREADS 20000u

/* Something that has to happen before a wait ends. */
enum need_kind {
    NEED_PROCESS,  /* any thread of the process `number` acts */
    NEED_THREAD,   /* the thread with this index acts: nobody else can */
    NEED_CHILDREN, /* a child of the process `number` ends; a new one may come from any of its threads */
    NEED_WRITER,   /* of the pipe (device, number) */
    NEED_READER,
    NEED_SOCKET,  /* who has the socket with this number, or its peer's */
    NEED_COUNTER, /* event counter with this number */
    NEED_MEMORY,  /* who maps this file (device, number) */
};

struct need {
    enum need_kind kind;
    bool named; /* a pipe with a name: anybody may open it who knows that */
    u64 device, number;
};

/* What a thread is in, for the report. */
enum wait_for {
    WAIT_NOT = 0,
    WAIT_FOR_LOCK,
    WAIT_FOR_THREAD,
    WAIT_FOR_WORD,
    WAIT_FOR_DATA,
    WAIT_FOR_ROOM,
    WAIT_FOR_EVENT,
    WAIT_FOR_CHILD
};

struct still_thread {
    u32 tid, process; /* index */
    u64 switches;     /* times that it was taken from a processor */
    bool still;       /* blocked ever since the last look */
    ref_t ref;        /* its thread_rec, 0: the engine does not know it */
    struct thread_rec rec;
    long call;
    u64 argument[6];
    enum wait_for wait;
    int fd; /* -1: none */
    struct need *need;
    u32 nneeds;
    bool open; /* the wait may end by what is not seen: time, a signal, somebody outside */
};

struct still_process {
    u32 pid, parent;
    ref_t ref;
    struct process_rec rec;
    u32 first, nthreads; /* in snapshot.thread */
    bool signalled;      /* has handlers, timers or a tracer: something may come at any time */
    bool python;
    bool complete; /* all its threads are here and still */
};

struct snapshot {
    struct still_process *process;
    u32 nprocesses;
    struct still_thread *thread;
    u32 nthreads;
    struct switches {
        u32 tid;
        u64 n;
    } * sorted; /* of all threads, by number */
    u64 cost_ns;
};

/* All processes of the run. `before`: the last one, which tells who has stood still since; NULL: none. */
struct snapshot *snapshot_take(const struct snapshot *before);
void snapshot_free(struct snapshot *s);
/* Reads again: do these threads still stand where they stood? `part`: a flag per thread. */
bool snapshot_holds(const struct snapshot *s, const bool *part);

/* Index of a process by number, or -1. */
int snapshot_process(const struct snapshot *s, u32 pid);
/* Index of the thread with this record, or -1. */
int snapshot_thread(const struct snapshot *s, ref_t ref);
void snapshot_need(struct still_thread *t, enum need_kind kind, u64 device, u64 number);

/* waits.c: what each thread that stands still waits for. */
void snapshot_waits(struct snapshot *s);

/* It waits for a socket with a time limit of its own, which only a copy of the descriptor tells: to be asked last. */
bool snapshot_limited(const struct snapshot *s, const struct still_thread *t);

/* ends.c: the processes that may meet each need. For every thread with needs: its wakers as indexes of processes and
 * threads into `out`; what somebody outside of the run may meet makes the thread open. */
struct edge {
    u32 from; /* thread */
    u32 to;   /* thread, or process */
    bool to_process;
};
struct edges {
    struct edge *edge;
    size_t n;
};
/* outside: look at all processes of the machine, not only the run's. */
void snapshot_ends(struct snapshot *s, bool outside, struct edges *out);

#endif
