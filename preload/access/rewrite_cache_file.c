/* The folder of the cache: finding it, trusting it, keeping it small. Called while modules are prepared, by one thread at a
 * time, with handlers kept out. Raw system calls; takes no lock, allocates nothing.
 *
 * A file is read only if it and its folder are the user's own and nobody else has any right to them. Whoever could write
 * there could as well change the program itself. New files get their name when they are complete, so that readers and
 * other writers never meet half of one; what a reader has open stays as it is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/sys.h"
#include "rewrite_cache.h"

#define CACHE_BYTES (1ULL << 30)  /* more is not kept */
#define STALE_NS 3600000000000ULL /* what a writer has left that was killed */

static char folder[512]; /* "": nothing is kept */
static char temporary[64];

static u32 add(char *to, u32 at, u32 room, const char *s)
{
    while (*s && at + 1 < room)
        to[at++] = *s++;
    to[at] = 0;
    return at;
}

static u32 add_hex(char *to, u32 at, u64 v)
{
    for (u32 i = 0; i < 16; i++)
        to[at++] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
    to[at] = 0;
    return at;
}

static bool is_private(const struct stat *s)
{
    return s->st_uid == (uid_t)sys_call3(SYS_geteuid, 0, 0, 0) && !(s->st_mode & 077);
}

void cache_start(const char *xdg, const char *home)
{
    u32 at = 0, room = sizeof folder - 16;
    const char *base = xdg && xdg[0] == '/' ? xdg : home && home[0] == '/' ? home : NULL;
    folder[0] = 0;
    if (!base || getauxval(AT_SECURE) || sys_call3(SYS_getuid, 0, 0, 0) != sys_call3(SYS_geteuid, 0, 0, 0))
        return;
    at = add(folder, at, room, base);
    if (base == home)
        at = add(folder, at, room, "/.cache");
    if (at + 1 >= room) {
        folder[0] = 0;
        return;
    }
    add(folder, at, sizeof folder, "/snarl/rewrite");
}

/* Made when it is not there: the last two parts of its path and ".cache". */
static void make_folder(void)
{
    u32 n = 0, parts = 0;
    while (folder[n])
        n++;
    for (u32 i = n; i-- > 0 && parts < 3;) /* up to the third slash from the end */
        if (folder[i] == '/')
            n = i, parts++;
    for (u32 i = n; folder[i]; i++) {
        if (folder[i] != '/' || i == 0)
            continue;
        folder[i] = 0;
        sys_call3(SYS_mkdir, folder, 0700, 0);
        folder[i] = '/';
    }
    sys_call3(SYS_mkdir, folder, 0700, 0);
}

static int open_folder(bool make)
{
    struct stat s;
    if (!folder[0])
        return -1;
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, fd = sys_open(folder, flags, 0);
    if (fd == -ENOENT && make) {
        make_folder();
        fd = sys_open(folder, flags, 0);
    }
    if (fd < 0)
        return -1;
    if (sys_call3(SYS_fstat, fd, &s, 0) == 0 && is_private(&s))
        return fd;
    sys_close(fd);
    return -1;
}

static void name_of(const struct cache_key *key, char name[40])
{
    add_hex(name, add_hex(name, 0, key->name[0]), key->name[1]);
}

int cache_open(const struct cache_key *key, u64 *bytes)
{
    char name[40];
    struct stat s;
    int dir = key->name[0] ? open_folder(false) : -1;
    if (dir < 0)
        return -1;
    name_of(key, name);
    int fd = (int)sys_call6(SYS_openat, dir, (long)name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0, 0, 0);
    if (fd >= 0) {
        bool good = sys_call3(SYS_fstat, fd, &s, 0) == 0 && S_ISREG(s.st_mode) && is_private(&s) && s.st_nlink == 1;
        *bytes = good ? (u64)s.st_size : 0;
        if (good)
            sys_call6(SYS_utimensat, fd, 0, 0, 0, 0, 0); /* used: the oldest ones go first */
        else
            sys_close(fd);
        fd = good ? fd : -1;
    }
    sys_close(dir);
    return fd < 0 ? -1 : fd;
}

/* A signal at a limit of the program's would be ours. */
static bool may_be_so_long(u64 bytes)
{
    struct rlimit limit;
    return sys_call6(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0) == 0 && limit.rlim_cur >= bytes;
}

int cache_create(u64 bytes)
{
    if (bytes > CACHE_BYTES / 4 || !may_be_so_long(bytes))
        return -1;
    int dir = open_folder(true);
    if (dir < 0)
        return -1;
    u32 at = add(temporary, 0, sizeof temporary, "new.");
    at = add_hex(temporary, at, sys_now());
    add_hex(temporary, at, sys_getpid());
    int fd = (int)sys_call6(SYS_openat, dir, (long)temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                            0600, 0, 0);
    sys_close(dir);
    return fd < 0 ? -1 : fd;
}

/* ---- room ---- */

struct entry { /* as getdents64 has it */
    u64 inode, next;
    u16 length;
    u8 type;
    char name[];
};

struct sweep {
    u64 bytes, oldest;
    char name[64]; /* of the oldest */
};

static void look(struct sweep *w, int dir, const struct entry *e, u64 now)
{
    struct stat s;
    if (e->name[0] == '.' || sys_call6(SYS_newfstatat, dir, (long)e->name, (long)&s, AT_SYMLINK_NOFOLLOW, 0, 0) != 0)
        return;
    u64 used = (u64)s.st_mtim.tv_sec * 1000000000ULL + (u64)s.st_mtim.tv_nsec;
    if (!__builtin_strncmp(e->name, "new.", 4)) {
        if (used + STALE_NS < now)
            sys_call3(SYS_unlinkat, dir, e->name, 0);
        return;
    }
    w->bytes += (u64)s.st_size;
    if (used < w->oldest) {
        w->oldest = used;
        add(w->name, 0, sizeof w->name, e->name);
    }
}

static struct sweep sweep(int dir)
{
    static u8 buffer[8192] __attribute__((aligned(8)));
    struct sweep w = {.oldest = ~0ULL};
    struct timespec t;
    sys_call3(SYS_clock_gettime, CLOCK_REALTIME, &t, 0);
    u64 now = (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
    sys_call3(SYS_lseek, dir, 0, SEEK_SET);
    for (long n; (n = sys_call3(SYS_getdents64, dir, buffer, sizeof buffer)) > 0;)
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(buffer + at);
            look(&w, dir, e, now);
            at += e->length;
        }
    return w;
}

static void make_room(int dir)
{
    struct sweep w = sweep(dir);
    for (u32 i = 0; i < 64 && w.bytes > CACHE_BYTES && w.name[0]; i++) {
        if (sys_call3(SYS_unlinkat, dir, w.name, 0) != 0)
            return;
        w = sweep(dir);
    }
}

void cache_finish(int fd, const struct cache_key *key, bool keep)
{
    char name[40];
    int dir = open_folder(false);
    sys_close(fd);
    if (dir < 0)
        return;
    name_of(key, name);
    if (!keep || sys_call6(SYS_renameat, dir, (long)temporary, dir, (long)name, 0, 0) != 0)
        sys_call3(SYS_unlinkat, dir, temporary, 0);
    make_room(dir);
    sys_close(dir);
}
