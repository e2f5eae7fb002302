/* Who can meet what a thread waits for: who has the other end. Called by hang.c. Takes no locks; allocates with malloc.
 *
 * A pipe or socket that was made in the run gets out of it only through processes: by inheritance, or sent through a
 * socket to one that can be looked at. So of those that may not be looked at, only the ones that are younger than the run
 * count; what snarl itself was given by whoever started it counts as open. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "inspect/peers.h"
#include "inspect/proc.h"
#include "snapshot.h"

#define OUTSIDE 0xffffffffu
#define MAPS_BYTES (4u << 20)
#define KERNEL_THREAD 0x00200000u

enum have_kind { HAVE_PIPE, HAVE_SOCKET, HAVE_COUNTER, HAVE_FILE };

struct have {
    u32 process; /* index, or OUTSIDE */
    u8 kind;     /* enum have_kind */
    bool reads, writes;
    u64 device, number;
};

struct ends {
    struct snapshot *s;
    bool files, sockets, memory, children; /* what is asked for */
    bool outside;
    struct have *have;
    size_t nhave, room;
    struct peers peers;
    struct edges *out;
    u64 born; /* of snarl */
};

static void add_have(struct ends *e, const struct have *h)
{
    if (e->nhave == e->room) {
        size_t room = e->room ? 2 * e->room : 1024;
        struct have *more = realloc(e->have, room * sizeof *more);
        if (!more)
            abort();
        e->have = more;
        e->room = room;
    }
    e->have[e->nhave++] = *h;
}

/* ---- what a process has ---- */

struct owner {
    struct ends *e;
    u32 pid, process;
};

static u64 counter_number(u32 pid, u32 fd)
{
    char info[1024];
    const char *at;
    return proc_read(info, sizeof info, "/proc/%u/fdinfo/%u", pid, fd) && (at = strstr(info, "eventfd-id:"))
               ? strtoull(at + 11, NULL, 10)
               : 0;
}

/* The link's own permissions say for what the descriptor was opened. */
static void has_descriptor(u32 fd, void *arg)
{
    const struct owner *o = arg;
    char path[48], link[64];
    struct stat to, own;
    snprintf(path, sizeof path, "/proc/%u/fd/%u", o->pid, fd);
    if (stat(path, &to) < 0 || lstat(path, &own) < 0)
        return;
    bool self = o->pid == (u32)getpid();
    struct have h = {.process = o->process,
                     .reads = self || (own.st_mode & S_IRUSR),
                     .writes = self || (own.st_mode & S_IWUSR),
                     .device = to.st_dev,
                     .number = to.st_ino};
    ssize_t n;
    if (S_ISFIFO(to.st_mode)) {
        h.kind = HAVE_PIPE;
    } else if (S_ISSOCK(to.st_mode)) {
        h.kind = HAVE_SOCKET;
    } else if (S_ISREG(to.st_mode)) {
        h.kind = HAVE_FILE;
        h.device = (u64)major(to.st_dev) << 32 | minor(to.st_dev);
    } else if (!(to.st_mode & S_IFMT) && (n = readlink(path, link, sizeof link)) > 0 &&
               memcmp(link, "anon_inode:[eventfd]", (size_t)n < 20 ? (size_t)n : 20) == 0) {
        h.kind = HAVE_COUNTER;
        h.number = counter_number(o->pid, fd);
    } else {
        return;
    }
    add_have(o->e, &h);
}

static void has_mappings(const struct owner *o)
{
    char *maps = malloc(MAPS_BYTES), modes[5];
    unsigned major, minor;
    unsigned long long inode;
    if (maps && proc_read(maps, MAPS_BYTES, "/proc/%u/maps", o->pid))
        for (char *line = strtok(maps, "\n"); line; line = strtok(NULL, "\n"))
            if (sscanf(line, "%*x-%*x %4s %*x %x:%x %llu", modes, &major, &minor, &inode) == 4 && modes[3] == 's')
                add_have(o->e, &(struct have){o->process, HAVE_FILE, true, true, (u64)major << 32 | minor, inode});
    free(maps);
}

/* False: it may not be looked at, though it is there. */
static bool has(struct ends *e, u32 pid, u32 process)
{
    struct owner o = {e, pid, process};
    char folder[32];
    snprintf(folder, sizeof folder, "/proc/%u/fd", pid);
    bool seen = !(e->files || e->sockets || e->memory) || proc_numbers(folder, has_descriptor, &o) || errno == ENOENT ||
                errno == ESRCH;
    if (seen && e->memory)
        has_mappings(&o);
    return seen;
}

/* ---- outside of the run ---- */

struct stat_line {
    char state;
    u32 parent, flags;
    u64 born;
};

static bool read_stat(u32 pid, struct stat_line *l)
{
    char text[1024];
    const char *at;
    unsigned long long born;
    return proc_read(text, sizeof text, "/proc/%u/stat", pid) && (at = strrchr(text, ')')) &&
           sscanf(at, ") %c %u %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &l->state,
                  &l->parent, &l->flags, &born) == 4 &&
           (l->born = born, true);
}

static void open_for(struct snapshot *s, u32 parent)
{
    for (u32 i = 0; i < s->nthreads; i++)
        for (u32 k = 0; k < s->thread[i].nneeds; k++)
            s->thread[i].open |= s->thread[i].need[k].kind == NEED_CHILDREN && s->thread[i].need[k].number == parent;
}

static void open_all(struct snapshot *s)
{
    for (u32 i = 0; i < s->nthreads; i++)
        s->thread[i].open = true;
}

static void look_outside(u32 pid, void *arg)
{
    struct ends *e = arg;
    struct stat_line l;
    if (snapshot_process(e->s, pid) >= 0 || !read_stat(pid, &l) || (l.flags & KERNEL_THREAD) || l.state == 'Z')
        return;
    open_for(e->s, l.parent);
    if (!has(e, pid, OUTSIDE) && l.born >= e->born)
        open_all(e->s);
}

/* ---- joining both ---- */

static void add_edge(struct ends *e, u32 from, u32 to, bool to_process)
{
    struct edge *more = e->out->n & (e->out->n - 1)
                            ? e->out->edge
                            : realloc(e->out->edge, (e->out->n ? 2 * e->out->n : 1) * sizeof *more);
    if (!more)
        abort();
    e->out->edge = more;
    more[e->out->n++] = (struct edge){from, to, to_process};
}

/* Everybody who has it can act. How many they are. */
static u32 holders(struct ends *e, u32 thread, enum have_kind kind, u64 device, u64 number, bool reads, bool writes)
{
    u32 n = 0;
    for (size_t i = 0; i < e->nhave; i++) {
        const struct have *h = &e->have[i];
        if (h->kind != kind || h->number != number || (device && h->device != device) ||
            !((reads && h->reads) || (writes && h->writes)))
            continue;
        n++;
        if (h->process == OUTSIDE)
            e->s->thread[thread].open = true;
        else
            add_edge(e, thread, h->process, true);
    }
    return n;
}

static bool holds_itself(const struct ends *e, u32 process, const struct need *n)
{
    for (size_t i = 0; i < e->nhave; i++) {
        const struct have *h = &e->have[i];
        if (h->process == process && h->kind == HAVE_PIPE && h->number == n->number && h->device == n->device &&
            (n->kind == NEED_WRITER ? h->writes : h->reads))
            return true;
    }
    return false;
}

static bool children(struct ends *e, u32 thread, u32 pid)
{
    bool any = false;
    for (u32 i = 0; i < e->s->nprocesses; i++)
        if (e->s->process[i].parent == pid || e->s->process[i].pid == pid) {
            any |= e->s->process[i].pid != pid;
            add_edge(e, thread, i, true);
        }
    return any;
}

/* False: the need cannot be told, or nobody is there: then the wait is about to end. */
static bool resolve(struct ends *e, u32 thread, const struct need *n)
{
    u64 peer;
    int at;
    switch (n->kind) {
    case NEED_PROCESS:
        at = snapshot_process(e->s, (u32)n->number);
        if (at >= 0)
            add_edge(e, thread, (u32)at, true);
        return at >= 0;
    case NEED_THREAD:
        add_edge(e, thread, (u32)n->number, false);
        return true;
    case NEED_CHILDREN:
        return children(e, thread, (u32)n->number);
    case NEED_WRITER:
    case NEED_READER:
        if (n->named && holds_itself(e, e->s->thread[thread].process, n))
            return false; /* keeps it open for whoever will come */
        return holders(e, thread, HAVE_PIPE, n->device, n->number, n->kind == NEED_READER, n->kind == NEED_WRITER);
    case NEED_SOCKET:
        holders(e, thread, HAVE_SOCKET, 0, n->number, true, true);
        peer = peers_of(&e->peers, (u32)n->number);
        return peer && holders(e, thread, HAVE_SOCKET, 0, peer, true, true);
    case NEED_COUNTER:
        return n->number && holders(e, thread, HAVE_COUNTER, 0, n->number, true, true);
    case NEED_MEMORY:
        return holders(e, thread, HAVE_FILE, n->device, n->number, true, true);
    }
    return false;
}

static void ask(struct ends *e, const struct still_thread *t)
{
    for (u32 i = 0; i < t->nneeds; i++) {
        enum need_kind k = t->need[i].kind;
        e->files |= k == NEED_WRITER || k == NEED_READER || k == NEED_COUNTER;
        e->sockets |= k == NEED_SOCKET;
        e->memory |= k == NEED_MEMORY;
        e->children |= k == NEED_CHILDREN;
    }
}

void snapshot_ends(struct snapshot *s, bool outside, struct edges *out)
{
    struct ends e = {.s = s, .outside = outside, .out = out};
    struct stat_line own = {0};
    *out = (struct edges){NULL, 0};
    for (u32 i = 0; i < s->nthreads; i++)
        if (!s->thread[i].open)
            ask(&e, &s->thread[i]);
    for (u32 i = 0; i < s->nprocesses; i++)
        has(&e, s->process[i].pid, i);
    e.born = read_stat((u32)getpid(), &own) ? own.born : 0;
    if (outside && (e.files || e.sockets || e.memory || e.children) && !proc_numbers("/proc", look_outside, &e))
        open_all(s);
    if (e.sockets)
        peers_read(&e.peers);
    for (u32 i = 0; i < s->nthreads; i++)
        for (u32 k = 0; !s->thread[i].open && k < s->thread[i].nneeds; k++)
            s->thread[i].open |= !resolve(&e, i, &s->thread[i].need[k]);
    peers_free(&e.peers);
    free(e.have);
}
