/* Keys of descriptors. Called by the hooks of everything that makes, ends or uses a descriptor. Takes no lock; system
 * calls only at the first use of a descriptor whose making was not seen.
 *
 * A key of what the kernel numbers (files, pipes) is made of device and inode. Sockets connected within the process
 * have the same two addresses at both ends, in exchanged places. What can be neither seen nor told apart shares a key:
 * datagram sockets of a family, event descriptors that came from elsewhere. */
#include "fd_table.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "analyze/access.h"
#include "analyze/engine.h"
#include "base/hash.h"
#include "base/sys.h"

#define CHUNK_SHIFT 16
#define CHUNK_FDS (1u << CHUNK_SHIFT)
#define CHUNKS 1024u /* 64 Mi descriptors; those beyond are asked for each time */
#define KEY_BITS 18
#define NO_ORDER 1ULL /* in the table: makes no order; no key looks like it */

/* What a key stands for; above the KEY_BITS of its hash. */
enum space {
    SPACE_FILE = 1,
    SPACE_PIPE,
    SPACE_MADE,
    SPACE_SIGNALS,
    SPACE_STREAM,
    SPACE_DATAGRAM,
    SPACE_UNKNOWN,
    SPACE_TERMINAL,
    SPACE_CONNECTING,
    SPACE_NUMBER
};
#define SPACE_OTHER 16u

static struct chunk {
    u64 key[CHUNK_FDS];
    struct {
        ref_t stack;
        u32 thread; /* its number */
    } origin[CHUNK_FDS];
    bool closed[CHUNK_FDS];
} * chunks[CHUNKS];
static u64 made;

/* A number that no other process of the run gives. */
static u64 made_number(void)
{
    const struct process_rec *p = engine_process() ? arena_at(engine_process()) : NULL;
    return __atomic_add_fetch(&made, 1, __ATOMIC_RELAXED) | (u64)(p ? p->number : 0) << 40;
}

static u64 key_of(u64 space, u64 number)
{
    return hb_key(space == SPACE_NUMBER ? HB_DESCRIPTOR : HB_PIPE,
                  space << KEY_BITS | (hash_mix64(number) & ((1u << KEY_BITS) - 1)));
}

bool fd_key_is_file(u64 key)
{
    return (key ^ key_of(SPACE_FILE, 0)) >> KEY_BITS == 0;
}

u64 fd_key_connecting(void)
{
    return key_of(SPACE_CONNECTING, 0);
}

u64 fd_key_number(int fd)
{
    return key_of(SPACE_NUMBER, (u64)fd);
}

u64 fd_key_other(u64 space, u64 number)
{
    return key_of(SPACE_OTHER + space, number);
}

/* ---- the table ---- */

/* NULL: no place. */
static struct chunk *chunk_of(int fd, bool make)
{
    u32 c = (u32)fd >> CHUNK_SHIFT;
    if (fd < 0 || c >= CHUNKS)
        return NULL;
    struct chunk *chunk = __atomic_load_n(&chunks[c], __ATOMIC_ACQUIRE), *none = NULL;
    if (!chunk && make) {
        chunk = sys_map(sizeof *chunk);
        if (chunk &&
            !__atomic_compare_exchange_n(&chunks[c], &none, chunk, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            sys_unmap(chunk, sizeof *chunk);
            chunk = none;
        }
    }
    return chunk;
}

static u32 place_in_chunk(int fd)
{
    return (u32)fd & (CHUNK_FDS - 1);
}

static u64 *place(int fd, bool make)
{
    struct chunk *chunk = chunk_of(fd, make);
    return chunk ? &chunk->key[place_in_chunk(fd)] : NULL;
}

static void put(int fd, u64 key)
{
    u64 *p = place(fd, key != 0);
    if (p)
        __atomic_store_n(p, key, __ATOMIC_RELEASE);
}

void fd_made(int fd)
{
    put(fd, key_of(SPACE_MADE, made_number()));
}

/* By what the kernel numbers: who is handed one end by other ways than a fork finds its name there. */
static u64 end_key(int fd)
{
    struct stat st;
    return sys_call3(SYS_fstat, fd, &st, 0) ? 0 : key_of(SPACE_PIPE, hash_combine(st.st_dev, st.st_ino));
}

void fd_made_pair(int a, int b)
{
    u64 key = key_of(SPACE_MADE, made_number()), one = end_key(a), other = end_key(b);
    if (access_on && one && other) {
        hb_same(key, one);
        hb_same(key, other);
    }
    put(a, key);
    put(b, key);
}

u64 fd_key_signals(u32 process)
{
    return key_of(SPACE_SIGNALS, process);
}

void fd_made_for_signals(int fd)
{
    put(fd, fd_key_signals(sys_getpid()));
}

void fd_copied(int from, int to)
{
    const u64 *p = place(from, false);
    put(to, p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0);
}

void fd_forget(int fd)
{
    put(fd, 0);
}

void fd_forget_range(u32 first, u32 last)
{
    for (u32 c = first >> CHUNK_SHIFT; c <= last >> CHUNK_SHIFT && c < CHUNKS; c++) {
        struct chunk *chunk = __atomic_load_n(&chunks[c], __ATOMIC_ACQUIRE);
        u32 lo = c == first >> CHUNK_SHIFT ? first & (CHUNK_FDS - 1) : 0;
        u32 hi = c == last >> CHUNK_SHIFT ? last & (CHUNK_FDS - 1) : CHUNK_FDS - 1;
        for (u32 i = lo; chunk && i <= hi; i++)
            if (__atomic_load_n(&chunk->key[i], __ATOMIC_RELAXED)) {
                __atomic_store_n(&chunk->key[i], 0, __ATOMIC_RELEASE);
                __atomic_store_n(&chunk->closed[i], true, __ATOMIC_RELAXED);
            }
    }
}

/* ---- descriptors as data ---- */

u64 fd_cell(int fd)
{
    return (u64)place(fd, true);
}

void fd_set_origin(int fd, ref_t stack, u32 thread)
{
    struct chunk *chunk = chunk_of(fd, true);
    if (!chunk)
        return;
    chunk->origin[place_in_chunk(fd)].stack = stack;
    chunk->origin[place_in_chunk(fd)].thread = thread;
}

void fd_set_closed(int fd, bool closed)
{
    struct chunk *chunk = chunk_of(fd, false);
    if (chunk)
        __atomic_store_n(&chunk->closed[place_in_chunk(fd)], closed, __ATOMIC_RELAXED);
}

bool fd_is_closed(int fd)
{
    const struct chunk *chunk = chunk_of(fd, false);
    return chunk && __atomic_load_n(&chunk->closed[place_in_chunk(fd)], __ATOMIC_RELAXED);
}

bool fd_at(u64 addr, struct fd_origin *out)
{
    for (u32 c = 0; c < CHUNKS; c++) {
        const struct chunk *chunk = __atomic_load_n(&chunks[c], __ATOMIC_ACQUIRE);
        u64 i = (addr - (u64)chunk) / sizeof *chunk->key;
        if (!chunk || addr < (u64)chunk || i >= CHUNK_FDS)
            continue;
        *out = (struct fd_origin){(int)(c << CHUNK_SHIFT | i), chunk->origin[i].stack, chunk->origin[i].thread};
        return true;
    }
    return false;
}

/* ---- the kernel's answers ---- */

/* An end of a connection as a number; IPv4 in IPv6 is IPv4. */
static u64 address_number(const void *address, u32 length)
{
    const struct sockaddr_in *in4 = address;
    const struct sockaddr_in6 *in6 = address;
    if (length >= sizeof *in6 && in6->sin6_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return hash_bytes(&in6->sin6_addr, 16, in6->sin6_port);
    if (length >= sizeof *in6 && in6->sin6_family == AF_INET6)
        return hash_bytes(&in6->sin6_addr.s6_addr[12], 4, in6->sin6_port);
    if (length >= sizeof *in4 && in4->sin_family == AF_INET)
        return hash_bytes(&in4->sin_addr, 4, in4->sin_port);
    return length > sizeof(sa_family_t) ? hash_bytes((const char *)address + 2, length - 2, 1) : 0;
}

/* False: not connected. */
static bool end_number(long call, int fd, u64 *number)
{
    struct sockaddr_storage a;
    socklen_t length = sizeof a;
    if (sys_call3(call, fd, &a, &length))
        return false;
    *number = address_number(&a, length < sizeof a ? length : sizeof a);
    return true;
}

static u64 socket_key(int fd, const struct stat *st)
{
    int domain = 0, type = 0;
    socklen_t length = sizeof domain;
    u64 own, peer;
    sys_call6(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, (long)&domain, (long)&length, 0);
    length = sizeof type;
    sys_call6(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, (long)&type, (long)&length, 0);
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
        return key_of(SPACE_PIPE, hash_combine(st->st_dev, st->st_ino));
    if (type != SOCK_STREAM && type != SOCK_SEQPACKET)
        return key_of(SPACE_DATAGRAM, domain == AF_UNIX);
    if (!end_number(SYS_getpeername, fd, &peer) || !end_number(SYS_getsockname, fd, &own))
        return 0;
    u64 key = key_of(SPACE_PIPE, hash_combine(st->st_dev, st->st_ino));
    if (!own && !peer && access_on && hb_is_same(key)) /* made as a pair by a process of the run */
        return key;
    return key_of(SPACE_STREAM, own < peer ? hash_combine(own, peer) : hash_combine(peer, own));
}

/* NO_ORDER: none, and that will not change. 0: none now. */
static u64 ask(int fd)
{
    struct stat st;
    if (sys_call3(SYS_fstat, fd, &st, 0))
        return 0;
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
    case S_IFBLK:
        return key_of(SPACE_FILE, hash_combine(st.st_dev, st.st_ino));
    case S_IFIFO:
        return key_of(SPACE_PIPE, hash_combine(st.st_dev, st.st_ino));
    case S_IFSOCK:
        return socket_key(fd, &st);
    case S_IFCHR: /* the two ends of a pseudo-terminal cannot be told to belong together */
        return major(st.st_rdev) == 5 || (major(st.st_rdev) >= 136 && major(st.st_rdev) <= 143)
                   ? key_of(SPACE_TERMINAL, 0)
                   : NO_ORDER;
    case S_IFDIR:
        return NO_ORDER;
    default:
        return key_of(SPACE_UNKNOWN, 0);
    }
}

u64 fd_key(int fd)
{
    u64 *p = place(fd, true), key = p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0;
    if (!key) {
        u64 none = 0;
        key = fd < 0 ? 0 : ask(fd);
        if (p && key)
            __atomic_compare_exchange_n(p, &none, key, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    return key == NO_ORDER ? 0 : key;
}
