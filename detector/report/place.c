/* Where source files are for somebody who reads a report. Called by the renderers for other tools. Takes no locks;
 * allocates with malloc. */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "label.h"

static bool is_folder(const char *path)
{
    struct stat st;
    return path && path[0] == '/' && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The nearest folder upwards that has .git (a folder, or a file in a linked work tree); false when there is none. */
static bool work_tree(char *folder)
{
    struct stat st;
    char name[4200];
    while (folder[0] && folder[1]) {
        snprintf(name, sizeof name, "%s/.git", folder);
        if (stat(name, &st) == 0)
            return true;
        *strrchr(folder, '/') = 0;
    }
    return false;
}

const char *place_root(void)
{
    static char root[4096];
    static const char *const told[] = {"GITHUB_WORKSPACE", "CI_PROJECT_DIR"};
    if (root[0])
        return root;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        const char *folder = getenv(told[i]);
        if (is_folder(folder) && strlen(folder) < sizeof root) {
            strcpy(root, folder);
            break;
        }
    }
    if (!root[0] && getcwd(root, sizeof root) && !work_tree(root) && !getcwd(root, sizeof root))
        root[0] = 0;
    size_t n = strlen(root);
    while (n && root[n - 1] == '/')
        root[--n] = 0;
    if (!n)
        strcpy(root, "/");
    return root;
}

const char *place_path(const char *path)
{
    const char *root = place_root();
    size_t n = strlen(root);
    return n > 1 && strncmp(path, root, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1 : path;
}

void place_uri(struct buffer *b, const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/+@";
    if (path[0] == '/')
        buffer_put(b, "file://");
    for (; *path; path++) {
        if (strchr(plain, *path))
            buffer_add(b, path, 1);
        else
            buffer_print(b, "%%%02X", (unsigned char)*path);
    }
}

const json_t *place_frame(const json_t *stack)
{
    const json_t *frame, *first = label_frame(stack);
    size_t i;
    if (*label_text(first, "file"))
        return first;
    json_array_foreach (stack, i, frame) {
        if (*label_text(frame, "file") && label_number(frame, "line") > 0 &&
            !json_is_true(json_object_get(frame, "system")) && !json_is_true(json_object_get(frame, "interpreter")))
            return frame;
    }
    return first;
}

const json_t *place_of(const json_t *finding)
{
    const json_t *event, *frame, *any = NULL;
    size_t i;
    for (int pass = 0; pass < 2; pass++) {
        json_array_foreach (json_object_get(finding, "events"), i, event) {
            if (pass == 0 && label_is(event, "action", "hold")) /* where it went wrong, before what led there */
                continue;
            frame = place_frame(json_object_get(event, "stack"));
            if (*label_text(frame, "file"))
                return frame;
            any = any ? any : frame;
        }
    }
    return any;
}

const char *place_file(const json_t *frame)
{
    const char *path = label_text(frame, "path"), *file = label_text(frame, "file");
    if (file[0] == '/' || (*file && !*path))
        return file;
    return *path ? path : label_text(frame, "module");
}
