/* The folder of units that were read before. Called by the program. Takes no locks; allocates with malloc.
 *
 * Units are found by their content (compile.c), so a file is never wrong, only old. What is not used is removed when all
 * together grow too big, the oldest first. Several scans may use one folder: files appear whole, by rename. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "front.h"

#define MOST_BYTES (1LL << 30)
#define DAY 86400

struct entry {
    char name[64];
    long long used, bytes;
};

bool cache_open(const char *path, char *err, size_t errlen)
{
    char *part = strdup(path);
    bool good = true;
    for (char *at = part; part && good && *at; at++) { /* as mkdir -p does, for this user alone */
        at += strspn(at, "/");
        at += strcspn(at, "/");
        char kept = *at;
        *at = 0;
        good = mkdir(part, 0700) == 0 || errno == EEXIST;
        *at = kept;
        if (!kept)
            break;
    }
    good = good && access(path, R_OK | W_OK | X_OK) == 0;
    if (!good)
        snprintf(err, errlen, "%s cannot be used: %s", path, strerror(errno));
    free(part);
    return good;
}

void cache_used(const char *file)
{
    struct stat st;
    if (stat(file, &st) == 0 && time(NULL) - st.st_mtim.tv_sec > DAY)
        utimensat(AT_FDCWD, file, NULL, 0);
}

static int by_age(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->used > y->used) - (x->used < y->used);
}

void cache_trim(const char *path)
{
    LIST(struct entry) all = {0};
    long long bytes = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        struct entry one;
        if (e->d_name[0] == '.' || strlen(e->d_name) >= sizeof one.name || !strchr(e->d_name, '.') ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        one = (struct entry){.used = st.st_mtim.tv_sec, .bytes = st.st_size};
        memcpy(one.name, e->d_name, strlen(e->d_name) + 1);
        bytes += st.st_size;
        LIST_ADD(&all, one);
    }
    if (bytes > MOST_BYTES) {
        qsort(all.at, all.n, sizeof *all.at, by_age);
        for (u32 i = 0; i < all.n && bytes > MOST_BYTES / 2; bytes -= all.at[i++].bytes)
            unlinkat(dirfd(d), all.at[i].name, 0);
    }
    if (d)
        closedir(d);
    free(all.at);
}
