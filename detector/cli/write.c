/* Files as wholes: written beside their place and then moved there, so that a full disk or a signal leaves either what was
 * there before or all of the new text. Called by output.c. Takes no locks; allocates with malloc. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static int write_all(int fd, const char *text, size_t n)
{
    while (n) {
        ssize_t k = write(fd, text, n);
        if (k > 0) {
            text += k;
            n -= (size_t)k;
        } else if (k == 0 || errno != EINTR) {
            return k == 0 ? -EIO : -errno;
        }
    }
    return 0;
}

static int close_after(int fd, int err)
{
    return close(fd) < 0 && !err ? -errno : err;
}

/* Over what is there: devices and pipes, and files that are more than a name in a folder of ours. What could only be
 * written in part is emptied. */
static int write_over(const char *name, const char *text, size_t n)
{
    struct stat st;
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int err = write_all(fd, text, n);
    if (err && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0)
        err = -errno;
    return close_after(fd, err);
}

/* -EXDEV when there can be no file beside it. */
static int write_beside(const char *name, const struct stat *old, const char *text, size_t n)
{
    char *beside = NULL;
    if (asprintf(&beside, "%s.XXXXXX", name) < 0)
        abort();
    int fd = mkostemp(beside, O_CLOEXEC), err = -EXDEV;
    if (fd >= 0) {
        mode_t mask = umask(0);
        umask(mask);
        err = fchmod(fd, old ? old->st_mode & 0777 : 0666 & ~mask) < 0 ? -errno : write_all(fd, text, n);
        err = close_after(fd, err);
        if (!err && rename(beside, name) < 0)
            err = -errno;
        if (err)
            unlink(beside);
    }
    free(beside);
    return err;
}

static int write_named(const char *name, const char *text, size_t n)
{
    struct stat st;
    if (strcmp(name, "-") == 0)
        return write_all(STDOUT_FILENO, text, n);
    char *real = realpath(name, NULL); /* a symbolic link stays one */
    const char *target = real ? real : name;
    bool there = stat(target, &st) == 0;
    int err = -EXDEV;
    if (!there || (S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid() && access(target, W_OK) == 0))
        err = write_beside(target, there ? &st : NULL, text, n);
    if (err == -EXDEV)
        err = write_over(target, text, n);
    free(real);
    return err;
}

int write_file(const char *name, const char *text, size_t n)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGXFSZ, &ignore, &before); /* a limit on files is an error like others */
    int err = write_named(name, text, n);
    sigaction(SIGXFSZ, &before, NULL);
    return err;
}

int write_check(const char *name)
{
    struct stat st;
    if (stat(name, &st) < 0) {
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0)
            return -errno;
        close(fd);
        unlink(name);
        return 0;
    }
    if (S_ISFIFO(st.st_mode))
        return 0; /* its reader may come later */
    int fd = open(name, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}
