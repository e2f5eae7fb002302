/* What the rest of the preload may ask of the start: is this process watched, and by what name is snarl found again. */
#ifndef SNARL_PRELOAD_START_H
#define SNARL_PRELOAD_START_H

#include "base/sys.h"
#include "base/types.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* This process is watched. False before the constructor has run and for good when something is missing. */
extern bool snarl_on HIDDEN;
/* The process that the records in this memory belong to. Differs from the caller's own in a vfork child and after a raw
 * clone. */
extern u32 snarl_pid HIDDEN;

/* Costs a system call; for rare interceptors whose state must not be written by a child that shares this memory. */
static inline bool start_same_process(void)
{
    return sys_getpid() == snarl_pid;
}

/* Our own file, absolute. */
extern char start_library[] HIDDEN;
/* The value of an environment variable, NULL: it is not there. */
const char *start_env(char **envp, const char *name) HIDDEN;
/* A program that this process starts now, with its present rights and root folder, can join the run. */
bool start_run_reachable(void) HIDDEN;
/* In a forked child, first: it is not the process that reports. */
void start_forked(void) HIDDEN;
/* Ends these processes (refs) of the run, the caller's, which comes last, with --exit-code. Does not return. */
void start_end_processes(const ref_t *processes, u32 n) HIDDEN;
/* Stops watching in this process (a forked child whose fork could not be recorded). */
void start_off(void) HIDDEN;
/* Writes "snarl: WHAT DETAIL" once per process: into the run folder, to standard error where there is none. detail may
 * be NULL. */
void start_say(const char *what, const char *detail) HIDDEN;
/* End of this process by exit, _exit or quick_exit: marks its record; the first process of a run of its own reports.
 * Once. */
void start_process_end(void) HIDDEN;

/* intercept/thread.c: stack bounds, the end of the thread, its handle. Called once in each watched thread that was not
 * created through our pthread_create. Signals are blocked. */
struct thread;
void thread_adopted(struct thread *t, bool is_main) HIDDEN;
/* Cuts a name that is too long. */
struct thread_rec;
void thread_set_name(struct thread_rec *r, const char *name) HIDDEN;
/* Once, before the first thread_adopted. False when no thread key is left. */
bool thread_start(void) HIDDEN;

/* In a forked child: the threads that were ending are the parent's. */
void thread_after_fork(void) HIDDEN;
/* For the engine: threads exist in this process that it does not know. */
bool thread_unknown(void) HIDDEN;

/* intercept/process.c: registers the fork handlers, which do nothing while snarl_on is false. */
bool process_start(void) HIDDEN;
/* Value of t->inside across a fork: whatever other fork handlers do is not recorded, as we hold the engine's locks. */
#define INSIDE_FORK (~1ULL)

/* intercept/signal.c */
void signal_start(void) HIDDEN;      /* before any handler of the program is set; modules are known */
void signal_thread_end(void) HIDDEN; /* gives back what the thread's handlers needed */
/* The program is about to jump to a frame at sp; t is inside, or in a handler. */
void signal_jump(struct thread *t, u64 sp) HIDDEN;
/* What is kept of the handlers that run: a fiber's goes with it. Takes the present one's away, NULL if there is none. */
struct handler_frames;
struct handler_frames *signal_swap(struct handler_frames *now) HIDDEN;
void signal_free(struct handler_frames *frames) HIDDEN;

/* perturb.c */
void perturb_start(void) HIDDEN;

#endif
