/* Paths of debug information below the root of a source tree. Called by owners.c and changed.c. Takes no locks;
 * allocates with malloc. */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *tree_path(const char *root, const char *path)
{
    size_t n = strlen(root);
    if (strncmp(path, root, n) == 0 && path[n] == '/')
        return path + n + 1;
    for (const char *tail = path; tail; tail = strchr(tail, '/') ? strchr(tail, '/') + 1 : NULL) {
        char *file = NULL;
        if (*tail == '/' || !*tail)
            continue;
        if (asprintf(&file, "%s/%s", root, tail) < 0)
            abort();
        int there = access(file, F_OK) == 0;
        free(file);
        if (there)
            return strncmp(tail, "./", 2) == 0 ? tail + 2 : tail;
    }
    return NULL;
}
