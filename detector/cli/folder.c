/* The run folder: made before the run, removed after it. Called by the verbs run, report, scan and samples. Takes no locks;
 * allocates with malloc. */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyze/engine.h"
#include "base/arena.h"
#include "cli.h"
#include "report/escape.h"

#define ARENA_BYTES (1ULL << 30) /* sparse: only what is used takes memory and disk */
#define MAX_MESSAGES 65536

static char *in_folder(const char *folder, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        abort();
    return path;
}

char *folder_make(const char *purpose)
{
    const char *under = getenv("TMPDIR");
    char *folder = NULL;
    for (int i = 0; i < 2; i++) {
        if (i == 1 || !under || under[0] != '/')
            under = "/tmp";
        if (asprintf(&folder, "%s/snarl-%s-XXXXXX", under, purpose) < 0)
            abort();
        if (mkdtemp(folder))
            return folder;
        free(folder);
    }
    cli_say("cannot make a folder for the data of this %s under %s: %s", purpose, under, strerror(errno));
    return NULL;
}

char *folder_create(const struct run_options *options)
{
    char *folder = folder_make("run");
    if (!folder)
        return NULL;
    char *path = in_folder(folder, "arena");
    int err = arena_create(path, ARENA_BYTES);
    if (!err)
        err = engine_create_run(options);
    if (err) {
        cli_say("cannot keep the run's data in %s: %s", folder, strerror(-err));
        folder_remove(folder);
        free(folder);
        folder = NULL;
    }
    free(path);
    return folder;
}

void folder_messages(const char *folder)
{
    static char text[MAX_MESSAGES];
    char *path = in_folder(folder, "messages");
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *last = "";
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *safe = escape_text(line, strlen(line));
        if (strcmp(line, last) != 0)
            fprintf(stderr, "%s\n", safe);
        last = line;
        free(safe);
    }
    free(path);
}

void folder_remove(const char *folder)
{
    static const char *const names[] = {"arena", "messages", "gdb", "frames.py", "at-stop"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = in_folder(folder, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(folder);
}

void folder_clear(const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(folder);
}

int folder_open(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return arena_open_read(path);
    char *arena = in_folder(path, "arena");
    int err = arena_open_read(arena);
    free(arena);
    return err;
}

char *folder_of_command(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
    return strdup(path);
}

char *folder_beside(const char *name)
{
    static const char *const places[] = {"/../lib/", "/../lib/snarl/"};
    char *here = folder_of_command(), *found = NULL;
    for (size_t i = 0; here && !found && i < ARRAY_LEN(places); i++) {
        char *path = NULL;
        if (asprintf(&path, "%s%s%s", here, places[i], name) < 0)
            abort();
        found = realpath(path, NULL);
        free(path);
    }
    free(here);
    return found;
}

char *folder_library(void)
{
    char *found = folder_beside("libsnarl.so");
    if (!found)
        cli_say("libsnarl.so is not beside the command (../lib/libsnarl.so or ../lib/snarl/libsnarl.so): build or "
                "install snarl again");
    else if (strpbrk(found, " :")) {
        cli_say("the loader cannot preload a library whose path has a blank or a colon: %s", found);
        free(found);
        found = NULL;
    }
    return found;
}
