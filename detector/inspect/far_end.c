/* The other ends of pipes and sockets. Called by inspect.c. Takes no locks; allocates with malloc.
 *
 * All descriptors of all processes that may be looked at are read once: a pipe's ends have one number, Unix sockets are paired
 * by the kernel (sock_diag), TCP sockets of this machine by their addresses. */
#include "far_end.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "peers.h"
#include "proc.h"
#include "report/escape.h"

#define MAX_WATCHED 16
#define MAX_OTHERS 16
#define TABLE_BYTES (8u << 20)

enum can { CAN_READ = 1, CAN_WRITE = 2 };

static struct have {
    u32 pid;
    u8 can; /* enum can */
    bool socket;
    u64 device, number;
} * have;
static size_t nhave;
static struct peers peers;

/* ---- who has what ---- */

static void add_have(const struct have *h)
{
    struct have *more = nhave & (nhave - 1) ? have : realloc(have, (nhave ? 2 * nhave : 1) * sizeof *more);
    if (!more)
        return;
    have = more;
    have[nhave++] = *h;
}

static void look_at_descriptor(u32 fd, void *arg)
{
    u32 pid = *(const u32 *)arg;
    char path[48];
    struct stat to, own;
    snprintf(path, sizeof path, "/proc/%u/fd/%u", pid, fd);
    if (stat(path, &to) < 0 || lstat(path, &own) < 0 || !(S_ISFIFO(to.st_mode) || S_ISSOCK(to.st_mode)))
        return;
    u8 can = (own.st_mode & S_IRUSR ? CAN_READ : 0) | (own.st_mode & S_IWUSR ? CAN_WRITE : 0);
    add_have(&(struct have){pid, can, S_ISSOCK(to.st_mode), to.st_dev, to.st_ino});
}

static void look_at_process(u32 pid, void *unused)
{
    char folder[32];
    (void)unused;
    snprintf(folder, sizeof folder, "/proc/%u/fd", pid);
    if (pid != (u32)getpid() && pid != (u32)getppid())
        proc_numbers(folder, look_at_descriptor, &pid);
}

static void look_at_all(void)
{
    static bool known;
    if (known)
        return;
    known = true;
    proc_numbers("/proc", look_at_process, NULL);
    peers_read(&peers);
}

/* ---- TCP ---- */

struct ends {
    char local[48], remote[48];
    unsigned long inode;
};

/* An address of version 4 that is written as one of version 6. */
static void plain(char *address)
{
    if (strncmp(address, "0000000000000000FFFF0000", 24) == 0)
        memmove(address, address + 24, strlen(address + 24) + 1);
}

static bool next_line(char **at, struct ends *e)
{
    while (*at) {
        char *line = *at;
        *at = strchr(line, '\n');
        if (*at)
            (*at)++;
        if (sscanf(line, " %*d: %47s %47s %*s %*s %*s %*s %*u %*u %lu", e->local, e->remote, &e->inode) == 3) {
            plain(e->local);
            plain(e->remote);
            return true;
        }
    }
    return false;
}

/* The kernel writes addresses as words of the machine. */
static void readable(const char *address, char *to, size_t n)
{
    u32 word[4] = {0}, port = 0;
    const char *colon = strchr(address, ':');
    char text[INET6_ADDRSTRLEN] = "?";
    bool long_one = colon && colon - address == 32;
    for (int i = 0; i < (long_one ? 4 : 1); i++)
        sscanf(address + 8 * i, "%8x", &word[i]);
    if (colon)
        sscanf(colon + 1, "%x", &port);
    inet_ntop(long_one ? AF_INET6 : AF_INET, word, text, sizeof text);
    snprintf(to, n, long_one ? "[%s]:%u" : "%s:%u", text, port);
}

/* The socket at the other end, 0 if it is not of this machine; remote: where it is, "" if the socket is none of TCP's. */
static u64 tcp_peer(u32 pid, u64 inode, char *remote, size_t size)
{
    static const char *const tables[] = {"tcp", "tcp6"};
    static char *text[2];
    struct ends own = {.inode = 0}, e;
    u64 peer = 0;
    char *at;
    for (int i = 0; i < 2; i++) {
        text[i] = malloc(TABLE_BYTES);
        if (!text[i] || !proc_read(text[i], TABLE_BYTES, "/proc/%u/net/%s", pid, tables[i])) {
            free(text[i]);
            text[i] = NULL;
        }
        for (at = text[i]; next_line(&at, &e);)
            if (e.inode == inode)
                own = e;
    }
    for (int i = 0; i < 2; i++) {
        for (at = own.inode ? text[i] : NULL; next_line(&at, &e);)
            if (strcmp(e.local, own.remote) == 0 && strcmp(e.remote, own.local) == 0)
                peer = e.inode;
        free(text[i]);
    }
    *remote = 0;
    if (own.inode)
        readable(own.remote, remote, size);
    return peer;
}

/* ---- descriptors ---- */

static void add_other(json_t *others, const struct have *h)
{
    json_t *known;
    size_t i;
    json_array_foreach (others, i, known)
        if (json_integer_value(json_object_get(known, "pid")) == (json_int_t)h->pid)
            return;
    char name[64] = "";
    if (json_array_size(others) == MAX_OTHERS || !proc_read(name, sizeof name, "/proc/%u/comm", h->pid))
        return;
    name[strcspn(name, "\n")] = 0;
    char *safe = escape_text(name, strlen(name));
    const char *can = h->can == CAN_READ ? "read" : h->can == CAN_WRITE ? "write" : "both";
    json_array_append_new(others, json_pack("{s:i,s:s,s:s}", "pid", (int)h->pid, "name", safe, "can", can));
    free(safe);
}

/* can: what ends the wait. */
static void add_others(json_t *to, u32 pid, bool socket, u64 device, u64 number, u8 can)
{
    json_t *others = json_array();
    for (size_t i = 0; i < nhave; i++) {
        const struct have *h = &have[i];
        if (h->socket == socket && h->number == number && (!device || h->device == device) && (h->can & can) &&
            h->pid != pid)
            add_other(others, h);
    }
    if (!json_array_size(others))
        json_object_set_new(to, "alone", json_true());
    json_object_set_new(to, "others", others);
}

static void add_socket(json_t *to, u32 pid, u64 number)
{
    char remote[80];
    u64 peer = peers_of(&peers, (u32)number);
    if (!peer) {
        peer = tcp_peer(pid, number, remote, sizeof remote);
        if (*remote)
            json_object_set_new(to, "remote", json_string(remote));
    }
    if (peer)
        add_others(to, pid, true, 0, peer, CAN_READ | CAN_WRITE);
}

static json_t *describe(u32 pid, int fd, u8 can)
{
    char path[48], target[1024];
    struct stat st;
    json_t *j = json_pack("{s:i}", "descriptor", fd);
    snprintf(path, sizeof path, "/proc/%u/fd/%d", pid, fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0 || stat(path, &st) < 0)
        return j;
    target[n] = 0;
    char *safe = escape_text(target, (size_t)n);
    json_object_set_new(j, "file", json_string(safe));
    free(safe);
    if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
        return j;
    look_at_all();
    if (S_ISFIFO(st.st_mode))
        add_others(j, pid, false, st.st_dev, st.st_ino, can);
    else
        add_socket(j, pid, st.st_ino);
    return j;
}

/* ---- many ---- */

static u8 ends_by(unsigned events)
{
    return events & POLLIN ? CAN_WRITE : events & POLLOUT ? CAN_READ : CAN_READ | CAN_WRITE;
}

static void watch(json_t *all, u32 pid, int fd, unsigned events)
{
    if (fd >= 0 && json_array_size(all) < MAX_WATCHED)
        json_array_append_new(all, describe(pid, fd, ends_by(events)));
}

static void watch_poll(const struct subject *s, const struct subject_thread *t, json_t *all)
{
    for (u64 i = 0; i < t->argument[1] && i < MAX_WATCHED; i++) {
        struct pollfd p;
        if (subject_read(s, t->argument[0] + i * sizeof p, &p, sizeof p))
            watch(all, s->pid, p.fd, (unsigned)(u16)p.events);
    }
}

static void watch_select(const struct subject *s, const struct subject_thread *t, json_t *all)
{
    static const unsigned events[] = {POLLIN, POLLOUT, POLLPRI};
    for (int set = 0; set < 3; set++)
        for (u64 fd = 0; t->argument[1 + set] && fd < t->argument[0] && fd < 1024; fd++) {
            u8 byte;
            if (subject_read(s, t->argument[1 + set] + fd / 8, &byte, 1) && (byte >> fd % 8 & 1))
                watch(all, s->pid, (int)fd, events[set]);
        }
}

static void watch_epoll(const struct subject *s, const struct wait *w, json_t *all)
{
    static char text[65536];
    int fd;
    unsigned events;
    if (proc_read(text, sizeof text, "/proc/%u/fdinfo/%d", s->pid, w->fd))
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            if (sscanf(line, "tfd: %d events: %x", &fd, &events) == 2)
                watch(all, s->pid, fd, events);
}

void far_end_describe(const struct subject *s, const struct subject_thread *t, const struct wait *w, json_t *to)
{
    if (w->fd >= 0) {
        json_t *one = s->is_core ? json_pack("{s:i}", "descriptor", w->fd)
                                 : describe(s->pid, w->fd, w->what == WAIT_FOR_WRITE ? CAN_READ : CAN_WRITE);
        json_object_update(to, one);
        json_decref(one);
    }
    if (w->what != WAIT_FOR_EVENTS || s->is_core)
        return;
    json_t *all = json_array();
    if (t->call == SYS_poll || t->call == SYS_ppoll || t->call == SYS_restart_syscall)
        watch_poll(s, t, all);
    else if (t->call == SYS_select || t->call == SYS_pselect6)
        watch_select(s, t, all);
    else
        watch_epoll(s, w, all);
    json_object_set_new(to, "watched", all);
}
