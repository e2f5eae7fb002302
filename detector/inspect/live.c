/* A running process. Called by inspect.c. Takes no locks; allocates with malloc.
 *
 * A thread is stopped by PTRACE_INTERRUPT while the stacks are read, no longer. The kernel then goes on with most system
 * calls as if nothing had been, those that locks wait in among them. Some it ends with EINTR, handler or no handler
 * (signal(7), "by stop signals"): a thread in one of these is left alone, and what /proc says of it has to do. That it
 * enters one between the look and the stop cannot be ruled out, only made unlikely: a thread that runs is looked at several
 * times. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "subject.h"

static char *link_of(u32 pid, const char *name)
{
    char path[64], target[4096];
    snprintf(path, sizeof path, "/proc/%u/%s", pid, name);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = 0;
    return strdup(target);
}

static bool is_socket(u32 pid, u64 fd)
{
    char name[32];
    snprintf(name, sizeof name, "fd/%u", (u32)fd);
    char *target = link_of(pid, name);
    bool is = !target || strncmp(target, "socket:", 7) == 0;
    free(target);
    return is;
}

enum subject_may_end subject_may_end;

static bool is_pipe(u32 pid, u64 fd)
{
    char path[48];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%u/fd/%u", pid, (u32)fd);
    return stat(path, &st) < 0 || S_ISFIFO(st.st_mode);
}

/* Ended by a stop: with EINTR, or with a part of what was to be written. */
static bool is_delicate(u32 pid, const struct subject_thread *t)
{
    switch (t->in_call ? t->call : -1) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
    case SYS_semop:
    case SYS_semtimedop:
    case SYS_rt_sigtimedwait:
    case SYS_io_getevents:
    case SYS_io_pgetevents:
    case SYS_io_uring_enter:
        return subject_may_end != SUBJECT_ANY_CALL;
    case SYS_write:
    case SYS_writev:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
        return subject_may_end != SUBJECT_ANY_CALL && (is_pipe(pid, t->argument[0]) || is_socket(pid, t->argument[0]));
    case SYS_accept: /* if the socket has a time limit */
    case SYS_accept4:
    case SYS_connect:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_read:
    case SYS_readv:
        return subject_may_end == SUBJECT_NO_CALL && is_socket(pid, t->argument[0]);
    default:
        return false;
    }
}

/* ---- /proc ---- */

static FILE *open_proc(u32 pid, u32 tid, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%u/task/%u/%s", pid, tid, name);
    return fopen(path, "re");
}

static void read_stat(const struct subject *s, struct subject_thread *t)
{
    FILE *f = open_proc(s->pid, t->tid, "stat");
    char line[512];
    if (!f)
        return;
    if (fgets(line, sizeof line, f)) {
        char *open = strchr(line, '('), *close = strrchr(line, ')');
        if (open && close && close > open) {
            *close = 0;
            snprintf(t->name, sizeof t->name, "%s", open + 1);
            t->state = close[1] == ' ' ? close[2] : 0;
        }
    }
    fclose(f);
}

/* "running", "-1 sp pc", or "call a b c d e f sp pc". */
static void read_call(const struct subject *s, struct subject_thread *t)
{
    FILE *f = open_proc(s->pid, t->tid, "syscall");
    unsigned long long a[6], sp = 0, pc = 0;
    long call;
    if (!f)
        return;
    if (fscanf(f, "%ld", &call) == 1) {
        if (call >= 0 && fscanf(f, "%llx %llx %llx %llx %llx %llx %llx %llx", &a[0], &a[1], &a[2], &a[3], &a[4], &a[5],
                                &sp, &pc) == 8) {
            t->in_call = true;
            t->call = call;
            for (int i = 0; i < 6; i++)
                t->argument[i] = a[i];
        } else if (call < 0 && fscanf(f, "%llx %llx", &sp, &pc) != 2) {
            sp = pc = 0;
        }
        t->registers.dwarf[7] = sp;
        t->registers.dwarf[16] = pc;
    }
    fclose(f);
}

static void read_handled(struct subject *s)
{
    FILE *f = open_proc(s->pid, s->pid, "status");
    char line[256];
    unsigned long long bits;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "SigCgt: %llx", &bits) == 1)
            s->handled = bits;
    if (f)
        fclose(f);
}

static bool read_threads(struct subject *s)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/task", s->pid);
    DIR *d = opendir(path);
    if (!d)
        return false;
    for (struct dirent *e; (e = readdir(d));) {
        u32 tid = (u32)strtoul(e->d_name, NULL, 10);
        struct subject_thread *t = tid && !subject_thread_of(s, tid) ? subject_add_thread(s, tid) : NULL;
        if (!t)
            continue;
        read_stat(s, t);
        if (t->state == 'Z' || t->state == 'X') /* the main thread's number stays when it has ended */
            s->nthreads--;
        else
            read_call(s, t);
    }
    closedir(d);
    return s->nthreads != 0;
}

/* ---- stopping ---- */

#define LOOKS 4 /* at a thread that runs: it may enter a delicate call at any time */
#define LOOK_NS 1000000

/* Is it safe to stop it now? Updates what it does. */
static bool may_stop(const struct subject *s, struct subject_thread *t)
{
    for (int i = 0; i < LOOKS; i++) {
        t->in_call = false;
        read_call(s, t);
        if (is_delicate(s->pid, t))
            return false;
        if (t->in_call)
            return true;
        if (i < LOOKS - 1)
            nanosleep(&(struct timespec){0, LOOK_NS}, NULL);
    }
    return true;
}

#define NOT_STOPPED (-1)

/* A signal that was about to be delivered when it stopped, to be handed on; 0: none. */
static int stop(const struct subject *s, struct subject_thread *t)
{
    int status;
    if (ptrace(PTRACE_SEIZE, t->tid, NULL, NULL) < 0 || !may_stop(s, t))
        return NOT_STOPPED; /* a thread that is seized and runs is let go at this process's end */
    if (ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) == 0 && waitpid((pid_t)t->tid, &status, __WALL) >= 0 &&
        WIFSTOPPED(status))
        return status >> 16 ? 0 : WSTOPSIG(status);
    ptrace(PTRACE_DETACH, t->tid, NULL, NULL);
    return NOT_STOPPED;
}

static void take_registers(struct subject_thread *t)
{
    struct user_regs_struct u;
    if (ptrace(PTRACE_GETREGS, t->tid, NULL, &u) < 0)
        return;
    struct subject_registers r = {.dwarf = {u.rax, u.rdx, u.rcx, u.rbx, u.rsi, u.rdi, u.rbp, u.rsp, u.r8, u.r9, u.r10,
                                            u.r11, u.r12, u.r13, u.r14, u.r15, u.rip},
                                  .thread = u.fs_base,
                                  .whole = true};
    t->registers = r;
    t->pthread = u.fs_base;
}

/* ---- libdwfl's questions ---- */

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
    struct subject *s = arg;
    struct subject_thread *t = *thread ? (struct subject_thread *)*thread + 1 : s->thread;
    (void)dwfl;
    while (t < s->thread + s->nthreads && !t->registers.dwarf[16])
        t++;
    if (t >= s->thread + s->nthreads)
        return 0;
    *thread = t;
    return (pid_t)t->tid;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *result, void *arg)
{
    (void)dwfl;
    return subject_read(arg, address, result, sizeof *result);
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
    const struct subject_thread *t = arg;
    const struct subject_registers *r = &t->registers;
    if (r->whole)
        return dwfl_thread_state_registers(thread, 0, 17, r->dwarf);
    return dwfl_thread_state_registers(thread, 7, 1, &r->dwarf[7]) &&
           dwfl_thread_state_registers(thread, 16, 1, &r->dwarf[16]);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
    .next_thread = next_thread, .memory_read = read_memory, .set_initial_registers = set_registers};

static void read_stacks(struct subject *s)
{
    int *signal = calloc(s->nthreads, sizeof *signal);
    for (u32 i = 0; signal && i < s->nthreads; i++) {
        struct subject_thread *t = &s->thread[i];
        signal[i] = is_delicate(s->pid, t) ? NOT_STOPPED : stop(s, t);
        if (signal[i] != NOT_STOPPED)
            take_registers(t);
    }
    if (dwfl_attach_state(s->dwfl, NULL, (pid_t)s->pid, &thread_callbacks, s))
        subject_stacks(s);
    for (u32 i = 0; signal && i < s->nthreads; i++)
        if (signal[i] != NOT_STOPPED)
            ptrace(PTRACE_DETACH, s->thread[i].tid, NULL, (void *)(uintptr_t)signal[i]);
    free(signal);
}

/* ---- */

static void refuse(u32 pid, int why, char *err, size_t errlen)
{
    FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    int scope = 0;
    if (f && fscanf(f, "%d", &scope) != 1)
        scope = 0;
    if (f)
        fclose(f);
    if (why == ENOENT)
        snprintf(err, errlen, "there is no process %u", pid);
    else if (why == ESRCH)
        snprintf(err, errlen, "process %u has no memory: it has ended, or is the kernel's", pid);
    else if (scope)
        snprintf(
            err, errlen,
            "not allowed to look at process %u (kernel.yama.ptrace_scope is %d): run snarl as root, or set that to 0 "
            "for processes of your own",
            pid, scope);
    else
        snprintf(err, errlen,
                 "not allowed to look at process %u: it is another user's, or protects itself; run snarl as root", pid);
}

/* False with errno: none may be looked at. */
static bool find_alive(struct subject *s)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {NULL, 1};
    int why = ESRCH;
    for (u32 i = 0; i < s->nthreads && !s->alive; i++) {
        if (process_vm_readv((pid_t)s->thread[i].tid, &here, 1, &there, 1, 0) == 1 || errno == EFAULT)
            s->alive = s->thread[i].tid;
        else if (errno != ESRCH)
            why = errno;
    }
    errno = why;
    return s->alive != 0;
}

bool subject_live(struct subject *s, u32 pid, char *err, size_t errlen)
{
    char path[32];
    *s = (struct subject){.pid = pid};
    snprintf(path, sizeof path, "/proc/%u", pid);
    if (access(path, F_OK) < 0) {
        refuse(pid, ENOENT, err, errlen);
        return false;
    }
    s->exe = link_of(pid, "exe");
    read_handled(s);
    if (!s->exe || !subject_begin(s) || !read_threads(s)) {
        snprintf(err, errlen, "process %u cannot be read: %s", pid, strerror(errno));
        subject_free(s);
        return false;
    }
    if (!find_alive(s)) {
        refuse(pid, errno, err, errlen);
        subject_free(s);
        return false;
    }
    int bad = dwfl_linux_proc_report(s->dwfl, (pid_t)s->alive);
    if (bad || dwfl_report_end(s->dwfl, NULL, NULL)) {
        snprintf(err, errlen, "the mappings of process %u cannot be read: %s", pid,
                 bad > 0 ? strerror(bad) : dwfl_errmsg(-1));
        subject_free(s);
        return false;
    }
    subject_modules(s);
    read_stacks(s);
    return true;
}
