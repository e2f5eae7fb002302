/* What a thread waits for. Called by inspect.c and feed.c. Takes no locks; allocates nothing.
 *
 * The layout of glibc's objects is that of nptl/sysdeps (struct __pthread_mutex_s, __pthread_rwlock_arch_t,
 * __pthread_cond_s, new_sem, pthread_barrier, _IO_lock_t), the same since 2.25. */
#include "wait.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define LIBRARY_FRAMES 8u
#define FRAME_BYTES 4096u

/* ---- glibc's fields ---- */
#define MUTEX_OWNER 8
#define MUTEX_COUNT 4
#define MUTEX_KIND 16
#define RWLOCK_WRPHASE 8
#define RWLOCK_WRITERS 12
#define RWLOCK_WRITER 24
#define COND_SIGNALS 40 /* of two groups, 4 bytes each */
#define BARRIER_ROUND 4
#define BARRIER_COUNT 8
#define BARRIER_OUT 16
#define FILE_LOCK 136 /* struct _IO_FILE._lock */
#define FILE_LOCK_OWNER 8

static const char *const texts[] = {
#define X(name, text) text,
    WAIT_WHATS(X)
#undef X
};

const char *wait_text(enum wait_what what)
{
    return what < WAIT_WHAT_COUNT ? texts[what] : "?";
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Functions of the library on top of the stack. */
static const struct {
    const char *name; /* begins with */
    enum wait_what what;
} functions[] = {
    {"pthread_mutex_", WAIT_FOR_MUTEX},
    {"mtx_lock", WAIT_FOR_MUTEX},
    {"mtx_timedlock", WAIT_FOR_MUTEX},
    {"pthread_rwlock_rdlock", WAIT_FOR_READ_LOCK},
    {"pthread_rwlock_timedrdlock", WAIT_FOR_READ_LOCK},
    {"pthread_rwlock_clockrdlock", WAIT_FOR_READ_LOCK},
    {"pthread_rwlock_", WAIT_FOR_WRITE_LOCK},
    {"pthread_cond_", WAIT_FOR_CONDITION},
    {"cnd_", WAIT_FOR_CONDITION},
    {"sem_", WAIT_FOR_SEMAPHORE},
    {"new_sem_", WAIT_FOR_SEMAPHORE},
    {"pthread_barrier_wait", WAIT_FOR_BARRIER},
    {"pthread_join", WAIT_FOR_JOIN},
    {"pthread_timedjoin", WAIT_FOR_JOIN},
    {"pthread_clockjoin", WAIT_FOR_JOIN},
    {"thrd_join", WAIT_FOR_JOIN},
    {"pthread_once", WAIT_FOR_ONCE},
    {"call_once", WAIT_FOR_ONCE},
    {"cxa_guard_acquire", WAIT_FOR_ONCE},
    {"flockfile", WAIT_FOR_FILE_LOCK},
    {"IO_flockfile", WAIT_FOR_FILE_LOCK},
};

static enum wait_what by_function(const struct subject *s, const struct subject_thread *t, struct wait *w)
{
    for (u32 i = 0; i < t->nframes && i < LIBRARY_FRAMES; i++) {
        const char *name = subject_function(s, &t->frame[i]);
        for (size_t k = 0; k < ARRAY_LEN(functions); k++)
            if (begins(name, functions[k].name)) {
                w->function = name;
                return functions[k].what;
            }
    }
    return WAIT_FOR_FUTEX;
}

/* ---- objects ---- */

static u32 word_at(const struct subject *s, u64 address)
{
    u32 word = 0;
    subject_word(s, address, &word);
    return word;
}

static void set_owner(const struct subject *s, struct wait *w, u32 tid)
{
    w->owner = tid;
    w->owner_gone = tid && !subject_thread_of(s, tid);
}

static void look_at_mutex(const struct subject *s, struct wait *w)
{
    w->kind = word_at(s, w->object + MUTEX_KIND);
    w->recursion = word_at(s, w->object + MUTEX_COUNT);
    set_owner(s, w, word_at(s, w->object + MUTEX_OWNER) & FUTEX_TID_MASK);
    w->owner_gone &= !(w->kind & WAIT_MUTEX_SHARED);
}

static void look_at_rwlock(const struct subject *s, struct wait *w)
{
    /* Readers wait at the first or second of these words, writers at the third; the one whose object has a plausible
     * owner is it: the writer's number is a thread's. */
    static const u32 offsets[] = {RWLOCK_WRPHASE, RWLOCK_WRITERS, 0};
    u64 base = w->futex - (w->what == WAIT_FOR_READ_LOCK ? RWLOCK_WRPHASE : RWLOCK_WRITERS);
    for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
        u32 writer = word_at(s, w->futex - offsets[i] + RWLOCK_WRITER);
        if (writer && subject_thread_of(s, writer)) {
            base = w->futex - offsets[i];
            break;
        }
    }
    w->object = base;
    set_owner(s, w, word_at(s, base + RWLOCK_WRITER));
}

/* One of the three that every program has, whose locks their FILEs point to. */
static const char *stream_name(const struct subject *s, u64 lock)
{
    static const char *const names[][2] = {
        {"_IO_2_1_stdin_", "stdin"}, {"_IO_2_1_stdout_", "stdout"}, {"_IO_2_1_stderr_", "stderr"}};
    for (u32 i = 0; i < s->nmodules; i++) {
        Dwfl_Module *m = s->module[i].dwfl;
        int n = s->module[i].is_libc ? dwfl_module_getsymtab(m) : 0;
        for (int k = 0; k < n; k++) {
            GElf_Sym symbol;
            GElf_Addr at;
            u64 pointer;
            const char *name = dwfl_module_getsym_info(m, k, &symbol, &at, NULL, NULL, NULL);
            for (size_t x = 0; name && x < ARRAY_LEN(names); x++)
                if (begins(name, names[x][0]) && subject_read(s, at + FILE_LOCK, &pointer, sizeof pointer) &&
                    pointer == lock)
                    return names[x][1];
        }
    }
    return "FILE";
}

/* FILE: the word is that of its lock, which knows its owner by pthread_t. */
static bool look_at_file(const struct subject *s, struct wait *w)
{
    u64 owner = 0;
    if (!subject_read(s, w->futex + FILE_LOCK_OWNER, &owner, sizeof owner) || !owner)
        return false;
    for (u32 i = 0; i < s->nthreads; i++)
        if (s->thread[i].pthread == owner) {
            w->object = w->futex;
            w->name = stream_name(s, w->futex);
            set_owner(s, w, s->thread[i].tid);
            return true;
        }
    return false;
}

/* The thread that runs the initialiser: the clean-up it has pushed in pthread_once names the word. */
static void look_at_once(const struct subject *s, struct wait *w)
{
    for (u32 i = 0; i < s->nthreads; i++) {
        const struct subject_thread *t = &s->thread[i];
        for (u32 k = 1; k < t->nframes; k++) {
            u64 lo = t->frame[k - 1].cfa, hi = t->frame[k].cfa, word;
            const char *name = subject_function(s, &t->frame[k]);
            if (!lo || !hi || !(begins(name, "pthread_once") || begins(name, "call_once")))
                continue;
            for (u64 at = lo; at < hi && at < lo + FRAME_BYTES; at += sizeof word)
                if (subject_read(s, at, &word, sizeof word) && word == w->object && t->tid != w->waiter)
                    set_owner(s, w, t->tid);
        }
    }
}

static bool is_inheriting(const struct subject *s, u64 mutex)
{
    u32 word[MUTEX_KIND / 4 + 1];
    return mutex && mutex % 8 == 0 && subject_read(s, mutex, word, sizeof word) &&
           (word[MUTEX_KIND / 4] & WAIT_MUTEX_INHERIT) && subject_thread_of(s, word[0] & FUTEX_TID_MASK);
}

/* PTHREAD_PRIO_INHERIT: the kernel has refused to wait for an owner that waits for the asking thread, or has ended; then
 * glibc waits for a word of its own frame, for ever. The mutex is still in a register or in the frame. */
static bool look_at_refused(const struct subject *s, const struct subject_thread *t, struct wait *w)
{
    static const u8 saved[] = {3, 6, 12, 13, 14, 15}; /* by the callee, in DWARF's order */
    u64 sp = t->registers.dwarf[7], hi = t->nframes > 2 ? t->frame[2].cfa : 0, p;
    if (!hi || w->futex < sp || w->futex >= hi)
        return false;
    w->object = 0;
    for (size_t i = 0; i < ARRAY_LEN(saved) && !w->object; i++)
        w->object = is_inheriting(s, t->registers.dwarf[saved[i]]) ? t->registers.dwarf[saved[i]] : 0;
    for (u64 at = sp; at < hi && at < sp + FRAME_BYTES && !w->object; at += sizeof p)
        w->object = subject_read(s, at, &p, sizeof p) && is_inheriting(s, p) ? p : 0;
    return true;
}

static void look_at_futex(const struct subject *s, const struct subject_thread *t, struct wait *w)
{
    u32 command = (u32)t->argument[1] & FUTEX_CMD_MASK, value = (u32)t->argument[2];
    w->futex = t->argument[0];
    w->timed = t->argument[3] != 0;
    w->what = by_function(s, t, w);
    bool is_lock = command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2;
    bool is_low = command == FUTEX_WAIT && value == 2 && !w->timed; /* the library's own locks, and mutexes */
    if (is_lock || (w->what == WAIT_FOR_CONDITION && is_low))
        w->what = WAIT_FOR_MUTEX; /* taken back after the condition */
    w->object = w->futex;
    switch (w->what) {
    case WAIT_FOR_MUTEX:
        if (!look_at_refused(s, t, w) || w->object)
            look_at_mutex(s, w);
        else
            w->what = WAIT_FOR_REFUSED;
        break;
    case WAIT_FOR_ONCE:
        look_at_once(s, w);
        break;
    case WAIT_FOR_READ_LOCK:
    case WAIT_FOR_WRITE_LOCK:
        look_at_rwlock(s, w);
        break;
    case WAIT_FOR_CONDITION:
        /* The two words stand at 40 and 44, and conditions are aligned to 8. */
        w->object = (w->futex & ~7ULL) - COND_SIGNALS;
        break;
    case WAIT_FOR_BARRIER:
        w->object = w->futex % 8 == BARRIER_ROUND % 8 ? w->futex - BARRIER_ROUND : w->futex - BARRIER_OUT;
        w->needed = word_at(s, w->object + BARRIER_COUNT);
        break;
    case WAIT_FOR_JOIN:
        set_owner(s, w, value & FUTEX_TID_MASK);
        break;
    default:
        if (is_low && look_at_file(s, w))
            w->what = WAIT_FOR_FILE_LOCK;
        else if (is_low && subject_module_at(s, w->futex) && subject_module_at(s, w->futex)->is_libc)
            w->what = WAIT_FOR_LIBC_LOCK;
        break;
    }
}

/* ---- system calls ---- */

static const struct {
    long call;
    enum wait_what what;
    int fd; /* argument that is a descriptor, -1: none */
} calls[] = {
    {SYS_read, WAIT_FOR_READ, 0},
    {SYS_readv, WAIT_FOR_READ, 0},
    {SYS_pread64, WAIT_FOR_READ, 0},
    {SYS_recvfrom, WAIT_FOR_READ, 0},
    {SYS_recvmsg, WAIT_FOR_READ, 0},
    {SYS_recvmmsg, WAIT_FOR_READ, 0},
    {SYS_write, WAIT_FOR_WRITE, 0},
    {SYS_writev, WAIT_FOR_WRITE, 0},
    {SYS_sendto, WAIT_FOR_WRITE, 0},
    {SYS_sendmsg, WAIT_FOR_WRITE, 0},
    {SYS_sendmmsg, WAIT_FOR_WRITE, 0},
    {SYS_accept, WAIT_FOR_CONNECTION, 0},
    {SYS_accept4, WAIT_FOR_CONNECTION, 0},
    {SYS_connect, WAIT_FOR_CONNECTION, 0},
    {SYS_poll, WAIT_FOR_EVENTS, -1},
    {SYS_ppoll, WAIT_FOR_EVENTS, -1},
    {SYS_select, WAIT_FOR_EVENTS, -1},
    {SYS_pselect6, WAIT_FOR_EVENTS, -1},
    {SYS_epoll_wait, WAIT_FOR_EVENTS, 0},
    {SYS_epoll_pwait, WAIT_FOR_EVENTS, 0},
    {SYS_epoll_pwait2, WAIT_FOR_EVENTS, 0},
    {SYS_wait4, WAIT_FOR_CHILD, -1},
    {SYS_waitid, WAIT_FOR_CHILD, -1},
    {SYS_rt_sigtimedwait, WAIT_FOR_SIGNAL, -1},
    {SYS_rt_sigsuspend, WAIT_FOR_SIGNAL, -1},
    {SYS_pause, WAIT_FOR_SIGNAL, -1},
    {SYS_nanosleep, WAIT_FOR_TIME, -1},
    {SYS_clock_nanosleep, WAIT_FOR_TIME, -1},
    {SYS_flock, WAIT_FOR_FLOCK, 0},
    {SYS_fcntl, WAIT_FOR_FCNTL, 0},
    {SYS_semop, WAIT_FOR_SYSV, -1},
    {SYS_semtimedop, WAIT_FOR_SYSV, -1},
    {SYS_msgrcv, WAIT_FOR_SYSV, -1},
    {SYS_msgsnd, WAIT_FOR_SYSV, -1},
};

/* A call with a time limit that was interrupted goes on under another number, with its arguments as they were: what the
 * functions on the stack say it was. */
static long call_of(const struct subject *s, const struct subject_thread *t)
{
    struct wait w;
    if (t->call != SYS_restart_syscall)
        return t->call;
    if (by_function(s, t, &w) != WAIT_FOR_FUTEX)
        return SYS_futex;
    const char *name = t->nframes ? subject_function(s, &t->frame[0]) : "";
    return begins(name, "poll") || begins(name, "ppoll") ? SYS_poll : SYS_clock_nanosleep;
}

void wait_free(struct wait *w)
{
    free(w->own_name);
}

void wait_look(const struct subject *s, const struct subject_thread *t, struct wait *w)
{
    *w = (struct wait){.waiter = t->tid, .fd = -1, .pid = -1, .function = "", .name = "", .call = ""};
    if (!t->in_call)
        return;
    w->what = WAIT_FOR_OTHER;
    long call = call_of(s, t);
    if (call == SYS_futex) {
        look_at_futex(s, t, w);
        if (s->python && (w->what == WAIT_FOR_SEMAPHORE || w->what == WAIT_FOR_CONDITION))
            wait_look_python(s, t, w);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (calls[i].call == call) {
            w->what = calls[i].what;
            w->fd = calls[i].fd < 0 ? -1 : (int)t->argument[calls[i].fd];
        }
    if (call == SYS_wait4)
        w->pid = (int)t->argument[0];
    else if (call == SYS_waitid && t->argument[0] == 1 /* P_PID */)
        w->pid = (int)t->argument[1];
}
