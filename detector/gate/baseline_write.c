/* Writes baselines: sorted, so that a diff shows what is new, with every comment where it belongs. Called by gate.c.
 * Takes no locks; allocates with malloc. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "baseline.h"
#include "report/view.h"

#define REMARK_COLUMN 46

static void put_name(struct buffer *b, const char *name)
{
    size_t n = strlen(name);
    bool plain =
        !strstr(name, " < ") && !strstr(name, " #") && n && name[0] != ' ' && name[0] != '#' && name[n - 1] != ' ';
    for (; *name; name++) {
        if (*name == ' ' && !plain)
            buffer_put(b, "\\x20");
        else
            buffer_add(b, name, 1);
    }
}

static void put_entry(struct buffer *b, const struct baseline_entry *e)
{
    static const char *const words[] = {"order  ", "rule   ", "level  ", "accept "};
    if (e->comment)
        buffer_put(b, e->comment);
    size_t start = b->length;
    buffer_put(b, words[e->kind]);
    if (e->kind == BASELINE_LEVEL)
        buffer_print(b, "%ld ", e->level);
    for (size_t i = 0; i < e->nnames; i++) {
        buffer_put(b, i ? " < " : "");
        put_name(b, e->name[i]);
    }
    if (e->remark) {
        size_t column = b->length - start;
        buffer_print(b, "%*s# %s", (int)(column + 2 < REMARK_COLUMN ? REMARK_COLUMN - column : 2), "", e->remark);
    }
    buffer_put(b, "\n");
}

static int by_name(const void *a, const void *b)
{
    const struct baseline_entry *x = *(const struct baseline_entry *const *)a,
                                *y = *(const struct baseline_entry *const *)b;
    if (x->kind != y->kind)
        return x->kind == BASELINE_ACCEPT ? 1 : -1;
    int first = strcmp(x->name[0], y->name[0]);
    if (first || x->nnames < 2 || y->nnames < 2)
        return first ? first : (x->line > y->line) - (x->line < y->line);
    int second = strcmp(x->name[1], y->name[1]);
    return second ? second : (x->line > y->line) - (x->line < y->line);
}

static bool declared(const struct baseline_entry *e)
{
    return e->kind == BASELINE_RULE || e->kind == BASELINE_LEVEL;
}

char *baseline_text(const struct baseline *b)
{
    struct buffer out = {0};
    const struct baseline_entry **sorted = view_alloc((b->n + 1) * sizeof(void *));
    size_t n = 0;
    buffer_put(&out, "# snarl lock order baseline 1\n");
    if (b->head)
        buffer_print(&out, "%s\n", b->head);
    for (size_t i = 0; i < b->n; i++) {
        if (!b->entry[i].gone && declared(&b->entry[i]))
            put_entry(&out, &b->entry[i]);
        else if (!b->entry[i].gone)
            sorted[n++] = &b->entry[i];
    }
    qsort(sorted, n, sizeof(void *), by_name);
    for (size_t i = 0; i < n; i++)
        put_entry(&out, sorted[i]);
    if (b->tail)
        buffer_put(&out, b->tail);
    free(sorted);
    return buffer_take(&out);
}

static int write_all(int fd, const char *text, size_t n)
{
    while (n) {
        ssize_t k = write(fd, text, n);
        if (k < 0 && errno != EINTR)
            return -errno;
        if (k > 0) {
            text += k;
            n -= (size_t)k;
        }
    }
    return fsync(fd) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

int baseline_write(const char *path, const char *text)
{
    char *real = realpath(path, NULL), *temporary = NULL; /* a link stays a link */
    struct stat st;
    int err;
    if (asprintf(&temporary, "%s.XXXXXX", real ? real : path) < 0)
        abort();
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        err = -errno;
    } else {
        mode_t mask = umask(0);
        umask(mask);
        mode_t mode = real && stat(real, &st) == 0 ? st.st_mode & 07777 : 0666 & ~mask;
        err = fchmod(fd, mode) < 0 ? -errno : write_all(fd, text, strlen(text));
        if (close(fd) < 0 && !err)
            err = -errno;
        if (!err && rename(temporary, real ? real : path) < 0)
            err = -errno;
        if (err)
            unlink(temporary);
    }
    free(temporary);
    free(real);
    return err;
}
