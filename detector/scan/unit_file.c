/* Units as files, for the cache. Called by the front end. Takes no locks; allocates with malloc.
 *
 * A file is a head and the arrays as they are in memory. It is only read by the program that wrote it: the head carries
 * the version and the size of every record, and numbers are checked before they are used. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

/* X(list, record) */
#define ARRAYS(X)                                                                                                      \
    X(texts, char)                                                                                                     \
    X(functions, struct function)                                                                                      \
    X(globals, struct global)                                                                                          \
    X(types, struct type)                                                                                              \
    X(fields, struct field)                                                                                            \
    X(values, struct value)                                                                                            \
    X(steps, struct step)                                                                                              \
    X(locs, struct loc)                                                                                                \
    X(blocks, struct block)                                                                                            \
    X(inits, struct init)                                                                                              \
    X(code, u32)                                                                                                       \
    X(succ, u32)                                                                                                       \
    X(args, u32)

#define COUNT_ONE(list, record) +1
enum { ARRAY_COUNT = 0 ARRAYS(COUNT_ONE), UNIT_FORMAT = 1 };

struct head {
    char magic[16];
    u32 format, lines;
    u32 count[ARRAY_COUNT], size[ARRAY_COUNT];
};
static const char magic[16] = "snarl unit " SNARL_VERSION;

static bool put(int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

int unit_write(const struct program *p, const char *path)
{
    struct head h = {.format = UNIT_FORMAT, .lines = p->lines};
    char *temporary;
    u32 i = 0;
    memcpy(h.magic, magic, sizeof magic);
#define DESCRIBE(list, record)                                                                                         \
    h.count[i] = p->list.n;                                                                                            \
    h.size[i++] = sizeof(record);
    ARRAYS(DESCRIBE)
    if (asprintf(&temporary, "%s.%d", path, (int)getpid()) < 0)
        return -ENOMEM;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && put(fd, &h, sizeof h);
#define WRITE(list, record) good = good && put(fd, p->list.at, p->list.n * sizeof(record));
    ARRAYS(WRITE)
    int err = good ? 0 : errno;
    if (fd >= 0 && close(fd) < 0 && !err)
        err = errno;
    if (!err && rename(temporary, path) < 0)
        err = errno;
    if (err)
        unlink(temporary);
    free(temporary);
    return -err;
}

/* Every number that is used as an index later lies inside its array. */
static bool sound(const struct program *p)
{
    bool good = p->texts.n && !p->texts.at[0] && !p->texts.at[p->texts.n - 1] && p->types.n && p->locs.n;
#define WITHIN(first, count, list) (good &= (u64)(first) + (count) <= p->list.n)
    for (u32 i = 0; good && i < p->functions.n; i++) {
        const struct function *f = &p->functions.at[i];
        good = f->name < p->texts.n && f->shown < p->texts.n && f->file < p->texts.n;
        if (f->flags & FN_DEFINED) {
            WITHIN(f->value, f->nvalues, values);
            WITHIN(f->block, f->nblocks, blocks);
        }
    }
    for (u32 i = 0; good && i < p->blocks.n; i++) {
        WITHIN(p->blocks.at[i].code, p->blocks.at[i].ncode, code);
        WITHIN(p->blocks.at[i].succ, p->blocks.at[i].nsucc, succ);
    }
    for (u32 i = 0; good && i < p->globals.n; i++) {
        WITHIN(p->globals.at[i].init, p->globals.at[i].ninit, inits);
        good = good && p->globals.at[i].type < p->types.n && p->globals.at[i].name < p->texts.n;
    }
    for (u32 i = 0; good && i < p->types.n; i++)
        WITHIN(p->types.at[i].field, p->types.at[i].nfields, fields);
    for (u32 i = 0; good && i < p->code.n; i++)
        good = p->code.at[i] < p->values.n;
    for (u32 i = 0; good && i < p->succ.n; i++)
        good = p->succ.at[i] < p->blocks.n;
    return good;
}

static int take(struct program *p, const char *data, size_t n)
{
    struct head h;
    size_t at = sizeof h;
    u32 i = 0;
    if (n < sizeof h)
        return -EINVAL;
    memcpy(&h, data, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic) != 0 || h.format != UNIT_FORMAT)
        return -EINVAL;
#define TAKE(list, record)                                                                                             \
    if (h.size[i] != sizeof(record) || (n - at) / sizeof(record) < h.count[i])                                         \
        return -EINVAL;                                                                                                \
    LIST_RESERVE(&p->list, h.count[i]);                                                                                \
    p->list.n = h.count[i];                                                                                            \
    if (p->list.n)                                                                                                     \
        memcpy(p->list.at, data + at, p->list.n * sizeof(record));                                                     \
    at += h.count[i++] * sizeof(record);
    ARRAYS(TAKE)
    p->lines = h.lines;
    return sound(p) ? 0 : -EINVAL;
}

int unit_load(struct program *p, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    size_t n = (size_t)st.st_size, got = 0;
    char *data = store_alloc(n);
    while (got < n && !err) {
        ssize_t k = read(fd, data + got, n - got);
        if (k > 0)
            got += (size_t)k;
        else if (k == 0 || errno != EINTR)
            err = k ? errno : EINVAL;
    }
    close(fd);
    err = err ? -err : take(p, data, n);
    free(data);
    return err;
}
