/* Hooks of reading and writing through descriptors: the buffers, and the order of writer and reader. Called by all
 * modules. Takes the engine's locks; allocates nothing.
 *
 * The kernel's reads of a buffer count at the call's beginning, its writes at the end. Nothing of ours is held across
 * the real call, which may be cancelled. A read of 0 bytes has seen the writer's close. */
#include "transfer.h"

/* The first n bytes of these buffers. */
static void vector_access(struct thread *t, const struct iovec *v, u64 count, u64 n, u32 kind, const u64 *fp)
{
    for (u64 i = 0; i < count && n; i++) {
        u64 part = v[i].iov_len < n ? v[i].iov_len : n;
        access_range(t, (u64)v[i].iov_base, part, kind, fp);
        n -= part;
    }
}
#define READS_VECTOR(v, count) (READS(v, count * sizeof *v), vector_access(t, v, count, ~0ULL, ACCESS_READ, fp))
#define WRITES_VECTOR(v, count, n) (READS(v, count * sizeof *v), vector_access(t, v, count, n, ACCESS_WRITE, fp))

/* ---- one buffer ---- */

#define READ(name, parameters, arguments) RECEIVED(ssize_t, name, parameters, arguments, fd, WRITES(to, r))
#define WRITE(name, parameters, arguments) SENDING(ssize_t, name, parameters, arguments, fd, READS(from, n))

READ(read, (int fd, void *to, size_t n), (fd, to, n))
READ(pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at))
READ(pread64, (int fd, void *to, size_t n, off64_t at), (fd, to, n, at))
READ(__read_chk, (int fd, void *to, size_t n, size_t room), (fd, to, n, room))
READ(__pread_chk, (int fd, void *to, size_t n, off_t at, size_t room), (fd, to, n, at, room))
READ(__pread64_chk, (int fd, void *to, size_t n, off64_t at, size_t room), (fd, to, n, at, room))
WRITE(write, (int fd, const void *from, size_t n), (fd, from, n))
WRITE(pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at))
WRITE(pwrite64, (int fd, const void *from, size_t n, off64_t at), (fd, from, n, at))

/* What a datagram's real length was may be more than what fits (MSG_TRUNC). */
#define MINIMUM(a, b) ((u64)(a) < (u64)(b) ? (u64)(a) : (u64)(b))
RECEIVED(ssize_t, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags), fd, WRITES(to, MINIMUM(r, n)))
RECEIVED(ssize_t, __recv_chk, (int fd, void *to, size_t n, size_t room, int flags), (fd, to, n, room, flags), fd,
         WRITES(to, MINIMUM(r, n)))
static void datagram_written(struct thread *t, void *to, u64 n, __SOCKADDR_ARG address, socklen_t *length,
                             const u64 *fp)
{
    WRITES(to, n);
    if (!address.__sockaddr__ || !length)
        return;
    WRITES(length, sizeof *length);
    WRITES(address.__sockaddr__, *length);
}
#define DATAGRAM datagram_written(t, to, MINIMUM(r, n), address, length, fp)
RECEIVED(ssize_t, recvfrom,
         (int fd, void *restrict to, size_t n, int flags, __SOCKADDR_ARG address, socklen_t *restrict length),
         (fd, to, n, flags, address, length), fd, DATAGRAM)
RECEIVED(ssize_t, __recvfrom_chk,
         (int fd, void *to, size_t n, size_t room, int flags, __SOCKADDR_ARG address, socklen_t *length),
         (fd, to, n, room, flags, address, length), fd, DATAGRAM)
SENDING(ssize_t, send, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags), fd, READS(from, n))
SENDING(ssize_t, sendto,
        (int fd, const void *from, size_t n, int flags, __CONST_SOCKADDR_ARG address, socklen_t length),
        (fd, from, n, flags, address, length), fd, READS(from, n),
        address.__sockaddr__ ? READS(address.__sockaddr__, length) : (void)0)

RECEIVED(int, eventfd_read, (int fd, eventfd_t *to), (fd, to), fd, WRITES(to, sizeof *to))
SENDING(int, eventfd_write, (int fd, eventfd_t value), (fd, value), fd, (void)0)

/* ---- several ---- */

#define READ_VECTOR(name, parameters, arguments)                                                                       \
    RECEIVED(ssize_t, name, parameters, arguments, fd, WRITES_VECTOR(v, (u64)count, (u64)r))
#define WRITE_VECTOR(name, parameters, arguments)                                                                      \
    SENDING(ssize_t, name, parameters, arguments, fd, READS_VECTOR(v, (u64)count))

READ_VECTOR(readv, (int fd, const struct iovec *v, int count), (fd, v, count))
READ_VECTOR(preadv, (int fd, const struct iovec *v, int count, off_t at), (fd, v, count, at))
READ_VECTOR(preadv64, (int fd, const struct iovec *v, int count, off64_t at), (fd, v, count, at))
READ_VECTOR(preadv2, (int fd, const struct iovec *v, int count, off_t at, int flags), (fd, v, count, at, flags))
READ_VECTOR(preadv64v2, (int fd, const struct iovec *v, int count, off64_t at, int flags), (fd, v, count, at, flags))
WRITE_VECTOR(writev, (int fd, const struct iovec *v, int count), (fd, v, count))
WRITE_VECTOR(pwritev, (int fd, const struct iovec *v, int count, off_t at), (fd, v, count, at))
WRITE_VECTOR(pwritev64, (int fd, const struct iovec *v, int count, off64_t at), (fd, v, count, at))
WRITE_VECTOR(pwritev2, (int fd, const struct iovec *v, int count, off_t at, int flags), (fd, v, count, at, flags))
WRITE_VECTOR(pwritev64v2, (int fd, const struct iovec *v, int count, off64_t at, int flags), (fd, v, count, at, flags))
WRITE_VECTOR(vmsplice, (int fd, const struct iovec *v, size_t count, unsigned flags), (fd, v, count, flags))

static void message_read(struct thread *t, const struct msghdr *m, const u64 *fp)
{
    READS(m, sizeof *m);
    READS_VECTOR(m->msg_iov, m->msg_iovlen);
    if (m->msg_name)
        READS(m->msg_name, m->msg_namelen);
    if (m->msg_control)
        READS(m->msg_control, m->msg_controllen);
}

static void message_written(struct thread *t, struct msghdr *m, u64 n, const u64 *fp)
{
    WRITES(m, sizeof *m);
    WRITES_VECTOR(m->msg_iov, m->msg_iovlen, n);
    if (m->msg_name)
        WRITES(m->msg_name, m->msg_namelen);
    if (m->msg_control)
        WRITES(m->msg_control, m->msg_controllen);
}

/* Descriptors that came with the message. */
static void message_descriptors(struct msghdr *m, const u64 *fp)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); m->msg_control && c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (u64 i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
            int fd;
            __builtin_memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            descriptor_came(fd, fp);
        }
    }
}

ssize_t hook_recvmsg(int fd, struct msghdr *m, int flags)
{
    u64 key = fd_key(fd);
    TOUCH(COUNTED(USES(fd)));
    ssize_t r = HOOKED(recvmsg)(fd, m, flags);
    if (r < 0)
        return r;
    message_descriptors(m, INTERCEPTOR_FP());
    TOUCH(ACQUIRE(key), COUNTED(message_written(t, m, (u64)r, fp)));
    return r;
}
SENDING(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags), fd, message_read(t, m, fp))

static void messages_read(struct thread *t, const struct mmsghdr *m, u32 n, const u64 *fp)
{
    for (u32 i = 0; i < n; i++)
        message_read(t, &m[i].msg_hdr, fp);
}

static void messages_written(struct thread *t, struct mmsghdr *m, int n, const u64 *fp)
{
    for (int i = 0; i < n; i++) {
        message_written(t, &m[i].msg_hdr, m[i].msg_len, fp);
        WRITES(&m[i].msg_len, sizeof m[i].msg_len);
    }
}

int hook_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout)
{
    u64 key = fd_key(fd);
    TOUCH(COUNTED(USES(fd)));
    int r = HOOKED(recvmmsg)(fd, m, n, flags, timeout);
    for (int i = 0; i < r; i++)
        message_descriptors(&m[i].msg_hdr, INTERCEPTOR_FP());
    if (r >= 0)
        TOUCH(ACQUIRE(key), COUNTED(messages_written(t, m, r, fp)));
    return r;
}
SENDING(int, sendmmsg, (int fd, struct mmsghdr *m, unsigned n, int flags), (fd, m, n, flags), fd,
        messages_read(t, m, n, fp))

/* ---- from one descriptor to another ---- */

#define BETWEEN(name, parameters, arguments, from, to)                                                                 \
    ssize_t hook_##name parameters                                                                                     \
    {                                                                                                                  \
        u64 source = fd_key(from), target = fd_key(to);                                                                \
        TOUCH(COUNTED(USES(from), USES(to)), RELEASE(target));                                                         \
        ssize_t r = HOOKED(name) arguments;                                                                            \
        if (r >= 0)                                                                                                    \
            TOUCH(ACQUIRE(source));                                                                                    \
        return r;                                                                                                      \
    }

BETWEEN(sendfile, (int to, int from, off_t *at, size_t n), (to, from, at, n), from, to)
BETWEEN(sendfile64, (int to, int from, off64_t *at, size_t n), (to, from, at, n), from, to)
BETWEEN(splice, (int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned flags),
        (from, from_at, to, to_at, n, flags), from, to)
BETWEEN(tee, (int from, int to, size_t n, unsigned flags), (from, to, n, flags), from, to)
BETWEEN(copy_file_range, (int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned flags),
        (from, from_at, to, to_at, n, flags), from, to)
