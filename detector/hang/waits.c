/* System call -> what has to happen before it ends. Called by snapshot.c. Takes no locks; allocates with malloc.
 *
 * Whatever is not known to last is open: time limits, signals, files that come from outside, calls not listed here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "inspect/proc.h"
#include "model/run.h"
#include "report/view.h"
#include "snapshot.h"

#define MAX_POLLED 1024u
#define MAPS_BYTES (4u << 20)

/* ---- descriptors ---- */

/* "anon_inode:[eventfd]" -> its number; that of a process behind a pidfd. */
static bool anonymous(struct still_thread *t, u32 pid, int fd, const char *link)
{
    char info[1024];
    const char *at;
    if (!proc_read(info, sizeof info, "/proc/%u/fdinfo/%d", pid, fd))
        return false;
    if (strcmp(link, "anon_inode:[eventfd]") == 0 && (at = strstr(info, "eventfd-id:"))) {
        snapshot_need(t, NEED_COUNTER, 0, strtoull(at + 11, NULL, 10));
        return true;
    }
    if (strcmp(link, "anon_inode:[pidfd]") == 0 && (at = strstr(info, "\nPid:"))) {
        snapshot_need(t, NEED_PROCESS, 0, strtoull(at + 5, NULL, 10));
        return true;
    }
    return false;
}

/* What a wait for this descriptor needs; false: it is open. */
static bool descriptor(struct still_thread *t, u32 pid, int fd, bool reads, bool writes)
{
    char path[48], link[256];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%u/fd/%d", pid, fd);
    ssize_t n = readlink(path, link, sizeof link - 1);
    if (n <= 0 || stat(path, &st) < 0)
        return false;
    link[n] = 0;
    if (S_ISFIFO(st.st_mode)) {
        u32 first = t->nneeds;
        if (reads)
            snapshot_need(t, NEED_WRITER, st.st_dev, st.st_ino);
        if (writes)
            snapshot_need(t, NEED_READER, st.st_dev, st.st_ino);
        for (u32 i = first; i < t->nneeds; i++)
            t->need[i].named = strncmp(link, "pipe:", 5) != 0 && !strstr(link, " (deleted)");
        return true;
    }
    if (S_ISSOCK(st.st_mode)) {
        snapshot_need(t, NEED_SOCKET, 0, st.st_ino);
        return true;
    }
    return anonymous(t, pid, fd, link);
}

static bool memory(u32 pid, u64 address, void *to, size_t n)
{
    struct iovec here = {to, n}, there = {(void *)(uintptr_t)address, n};
    return process_vm_readv((pid_t)pid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

static bool polled(struct still_thread *t, u32 pid)
{
    static struct pollfd set[MAX_POLLED];
    u64 n = t->argument[1];
    if (!n || n > MAX_POLLED || !memory(pid, t->argument[0], set, n * sizeof *set))
        return false;
    for (u64 i = 0; i < n; i++) {
        bool in = set[i].events & (POLLIN | POLLRDNORM), out = set[i].events & (POLLOUT | POLLWRNORM);
        if (set[i].fd >= 0 && !descriptor(t, pid, set[i].fd, in || !out, out || !in))
            return false;
    }
    return true;
}

static bool selected(struct still_thread *t, u32 pid)
{
    u64 n = t->argument[0], set[3][FD_SETSIZE / 64] = {{0}};
    if (!n || n > FD_SETSIZE)
        return false;
    for (int k = 0; k < 3; k++)
        if (t->argument[k + 1] && !memory(pid, t->argument[k + 1], set[k], (n + 63) / 64 * 8))
            return false;
    for (u64 fd = 0; fd < n; fd++) {
        bool in = set[0][fd / 64] >> fd % 64 & 1, out = set[1][fd / 64] >> fd % 64 & 1,
             other = set[2][fd / 64] >> fd % 64 & 1;
        if ((in || out || other) && !descriptor(t, pid, (int)fd, in || other, out))
            return false;
    }
    return true;
}

/* What is in an epoll set, another thread of the process may change. */
static bool in_set(struct still_thread *t, u32 pid, int set)
{
    static char info[1 << 16];
    if (!proc_read(info, sizeof info, "/proc/%u/fdinfo/%d", pid, set))
        return false;
    for (const char *at = info; (at = strstr(at, "\ntfd:")); at++) {
        int fd;
        unsigned events;
        unsigned long long inode;
        char path[48];
        struct stat st;
        const char *ino = strstr(at, " ino:");
        if (!ino || sscanf(at, "\ntfd: %d events: %x", &fd, &events) != 2 || sscanf(ino, " ino:%llx", &inode) != 1)
            return false;
        snprintf(path, sizeof path, "/proc/%u/fd/%d", pid, fd);
        if (stat(path, &st) < 0 || st.st_ino != inode || /* the number has been used again since */
            !descriptor(t, pid, fd, events & POLLIN || !(events & POLLOUT), events & POLLOUT))
            return false;
    }
    snapshot_need(t, NEED_PROCESS, 0, pid);
    return t->nneeds > 1;
}

/* ---- memory ---- */

/* The line of the mapping that has the address; NULL: none. Cuts it out. */
static char *mapping_of(char *maps, u64 address)
{
    for (char *line = strtok(maps, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned long long lo, hi;
        if (sscanf(line, "%llx-%llx", &lo, &hi) == 2 && address >= lo && address < hi)
            return line;
    }
    return NULL;
}

/* Words that processes share: whoever maps the file may wake, and while it has a name, anybody may. */
static bool word(struct still_thread *t, u32 pid)
{
    if (!(t->argument[1] & FUTEX_PRIVATE_FLAG)) {
        char *maps = malloc(MAPS_BYTES), modes[5], *line;
        unsigned major, minor;
        unsigned long long inode;
        int name = 0;
        bool known = maps && proc_read(maps, MAPS_BYTES, "/proc/%u/maps", pid) &&
                     (line = mapping_of(maps, t->argument[0])) &&
                     sscanf(line, "%*x-%*x %4s %*x %x:%x %llu %n", modes, &major, &minor, &inode, &name) == 4;
        bool shared = known && modes[3] == 's';
        bool nameless = shared && strstr(line, "(deleted)") &&
                        (strncmp(line + name, "/SYSV", 5) != 0 || strncmp(line + name, "/SYSV00000000", 13) == 0);
        free(maps);
        if (!known || (shared && !nameless))
            return false;
        if (shared)
            snapshot_need(t, NEED_MEMORY, (u64)major << 32 | minor, inode);
    }
    snapshot_need(t, NEED_PROCESS, 0, pid);
    return true;
}

/* ---- what the engine knows ---- */

/* Nobody is left who could end it: the engine has said so. */
static bool hopeless(const struct lock_rec *l, const struct thread_rec *owner)
{
    return (l->head.process && owner->process != l->head.process) || owner->state >= THREAD_ENDED;
}

static bool of_lock(const struct snapshot *s, struct still_thread *t)
{
    struct lock_rec l;
    struct thread_rec owner;
    if (!view_get(t->rec.wait.object, &l, sizeof l) || !l.owner || !view_get(l.owner, &owner, sizeof owner) ||
        (l.head.attrs & (ATTR_INTERPRETER | ATTR_UNTRACKED | ATTR_ROBUST)))
        return false;
    if (hopeless(&l, &owner))
        return true;
    int at = snapshot_thread(s, l.owner);
    if (at >= 0 && (l.head.attrs & ATTR_PROCESS_OWNED)) /* any of its threads may release it */
        snapshot_need(t, NEED_PROCESS, 0, s->process[s->thread[at].process].pid);
    else if (at >= 0)
        snapshot_need(t, NEED_THREAD, 0, (u64)at);
    return at >= 0;
}

static bool of_thread(const struct snapshot *s, struct still_thread *t)
{
    int at = snapshot_thread(s, t->rec.wait.object);
    if (at >= 0)
        snapshot_need(t, NEED_THREAD, 0, (u64)at);
    return at >= 0;
}

static bool published(const struct still_thread *t, enum wait_kind kind)
{
    return (t->rec.wait.seq & 1) && t->rec.wait.kind == kind && !t->rec.wait.timed;
}

static bool futex(const struct snapshot *s, struct still_thread *t, u32 pid)
{
    u32 command = (u32)t->argument[1] & FUTEX_CMD_MASK;
    bool waits =
        command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2;
    if (!waits || t->argument[3] || t->rec.cancelled)
        return false;
    if (published(t, WAIT_LOCK)) {
        t->wait = WAIT_FOR_LOCK;
        if (of_lock(s, t))
            return true;
    } else if (published(t, WAIT_JOIN)) {
        t->wait = WAIT_FOR_THREAD;
        return of_thread(s, t);
    }
    t->wait = WAIT_FOR_WORD;
    return !s->process[t->process].signalled && word(t, pid);
}

/* ---- calls ---- */

enum form {
    FORM_READ = 1,
    FORM_WRITE,
    FORM_POLL,
    FORM_PPOLL,
    FORM_SELECT,
    FORM_EPOLL,
    FORM_EPOLL2,
    FORM_WAIT,
    FORM_WAITID,
    FORM_LOCK
};

static const struct {
    long call;
    enum form form;
} calls[] = {
    {SYS_read, FORM_READ},        {SYS_readv, FORM_READ},        {SYS_recvfrom, FORM_READ},
    {SYS_recvmsg, FORM_READ},     {SYS_write, FORM_WRITE},       {SYS_writev, FORM_WRITE},
    {SYS_sendto, FORM_WRITE},     {SYS_sendmsg, FORM_WRITE},     {SYS_poll, FORM_POLL},
    {SYS_ppoll, FORM_PPOLL},      {SYS_select, FORM_SELECT},     {SYS_pselect6, FORM_SELECT},
    {SYS_epoll_wait, FORM_EPOLL}, {SYS_epoll_pwait, FORM_EPOLL}, {SYS_epoll_pwait2, FORM_EPOLL2},
    {SYS_wait4, FORM_WAIT},       {SYS_waitid, FORM_WAITID},     {SYS_flock, FORM_LOCK},
    {SYS_fcntl, FORM_LOCK},
};

static bool child(struct still_thread *t, u32 pid, enum form form)
{
    bool one = form == FORM_WAIT ? (int)t->argument[0] > 0 : t->argument[0] == P_PID;
    u64 options = t->argument[form == FORM_WAIT ? 2 : 3];
    t->wait = WAIT_FOR_CHILD;
    if (form == FORM_WAITID && !(options & WEXITED))
        return false;
    if (one)
        snapshot_need(t, NEED_PROCESS, 0, (u32)t->argument[form == FORM_WAIT ? 0 : 1]);
    else
        snapshot_need(t, NEED_CHILDREN, 0, pid);
    return true;
}

static bool events(struct still_thread *t, u32 pid, enum form form)
{
    t->wait = WAIT_FOR_EVENT;
    switch (form) {
    case FORM_POLL:
        return (int)t->argument[2] < 0 && polled(t, pid);
    case FORM_PPOLL:
        return !t->argument[2] && polled(t, pid);
    case FORM_SELECT:
        return !t->argument[4] && selected(t, pid);
    default:
        t->fd = (int)t->argument[0];
        return (form == FORM_EPOLL ? (int)t->argument[3] < 0 : !t->argument[3]) && in_set(t, pid, t->fd);
    }
}

/* True: only what its needs name can end the wait. */
static bool lasts(const struct snapshot *s, struct still_thread *t)
{
    const struct still_process *p = &s->process[t->process];
    enum form form = 0;
    if (t->call == SYS_futex)
        return futex(s, t, p->pid);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (calls[i].call == t->call)
            form = calls[i].form;
    if (form == FORM_LOCK && published(t, WAIT_LOCK)) {
        t->wait = WAIT_FOR_LOCK;
        return of_lock(s, t) && t->nneeds;
    }
    if (!form || form == FORM_LOCK || p->signalled || t->rec.cancelled)
        return false;
    if (form == FORM_WAIT || form == FORM_WAITID)
        return child(t, p->pid, form);
    if (form != FORM_READ && form != FORM_WRITE)
        return events(t, p->pid, form);
    t->wait = form == FORM_READ ? WAIT_FOR_DATA : WAIT_FOR_ROOM;
    t->fd = (int)t->argument[0];
    return descriptor(t, p->pid, t->fd, form == FORM_READ, form == FORM_WRITE);
}

/* Of the socket that has this descriptor. */
static bool has_limits(u32 pid, int fd)
{
    bool limited = true;
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    int copy = process >= 0 ? (int)syscall(SYS_pidfd_getfd, process, fd, 0) : -1;
    struct timeval in = {0, 0}, out = {0, 0};
    socklen_t n = sizeof in, m = sizeof out;
    if (copy >= 0 && getsockopt(copy, SOL_SOCKET, SO_RCVTIMEO, &in, &n) == 0 &&
        getsockopt(copy, SOL_SOCKET, SO_SNDTIMEO, &out, &m) == 0)
        limited = in.tv_sec || in.tv_usec || out.tv_sec || out.tv_usec;
    if (copy >= 0)
        close(copy);
    if (process >= 0)
        close(process);
    return limited;
}

bool snapshot_limited(const struct snapshot *s, const struct still_thread *t)
{
    bool transfers = t->wait == WAIT_FOR_DATA || t->wait == WAIT_FOR_ROOM;
    return transfers && t->nneeds && t->need[0].kind == NEED_SOCKET && has_limits(s->process[t->process].pid, t->fd);
}

/* "running", "-1 sp pc", or "call a b c d e f sp pc". */
static bool read_call(const struct snapshot *s, struct still_thread *t)
{
    char text[256];
    unsigned long long a[6];
    if (!proc_read(text, sizeof text, "/proc/%u/task/%u/syscall", s->process[t->process].pid, t->tid) ||
        sscanf(text, "%ld %llx %llx %llx %llx %llx %llx", &t->call, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]) != 7)
        return false;
    for (int i = 0; i < 6; i++)
        t->argument[i] = a[i];
    return t->call >= 0;
}

void snapshot_waits(struct snapshot *s)
{
    for (u32 i = 0; i < s->nthreads; i++) {
        struct still_thread *t = &s->thread[i];
        t->open = !t->still || !t->ref || !read_call(s, t) || !lasts(s, t);
    }
}
