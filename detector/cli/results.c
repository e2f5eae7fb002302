/* Results named on the command line. Called by the verbs check and merge. Takes no locks; allocates with malloc. */
#include "results.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "cli.h"
#include "folder.h"
#include "merge/merge.h"
#include "report/collect.h"
#include "report/document.h"

#define MAX_DEPTH 8

static void add(struct results *r, char *path)
{
    r->path = realloc(r->path, (r->n + 1) * sizeof *r->path);
    if (!r->path || !path)
        abort();
    r->path[r->n++] = path;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_run_folder(const char *path)
{
    char *arena = NULL;
    if (asprintf(&arena, "%s/arena", path) < 0)
        abort();
    bool yes = access(arena, F_OK) == 0;
    free(arena);
    return yes;
}

/* JSON of something else: that has no "schema" of ours among its first words. What is no JSON at all may be a result
 * that broke, and is not passed over. */
static bool is_of_others(const char *path)
{
    char head[512] = "";
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(head, 1, sizeof head - 1, f) : 0;
    json_t *j = NULL;
    if (f && n && !strstr(head, "\"snarl/")) {
        rewind(f);
        j = json_loadf(f, JSON_DECODE_ANY, NULL);
    }
    if (f)
        fclose(f);
    bool others = j && !json_object_get(j, "schema");
    json_decref(j);
    return others;
}

static int plain_order(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool list_folder(struct results *r, const char *folder, int depth)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, NULL, plain_order);
    if (n < 0) {
        cli_say("%s: %s", folder, strerror(errno));
        return false;
    }
    bool good = true;
    for (int i = 0; i < n; i++) {
        char *path = NULL;
        size_t length = strlen(entry[i]->d_name);
        bool json = length > 5 && strcmp(entry[i]->d_name + length - 5, ".json") == 0;
        if (asprintf(&path, "%s/%s", folder, entry[i]->d_name) < 0)
            abort();
        if (entry[i]->d_name[0] == '.') {
            free(path);
        } else if (is_folder(path) && !is_run_folder(path)) {
            good &= depth < MAX_DEPTH && list_folder(r, path, depth + 1);
            free(path);
        } else if (json && is_of_others(path)) {
            cli_say("%s: no result of snarl, left out", path);
            free(path);
        } else if (json || is_folder(path)) {
            add(r, path);
        } else {
            free(path);
        }
        free(entry[i]);
    }
    free(entry);
    return good;
}

bool results_list(struct results *r, char **arguments, size_t n)
{
    *r = (struct results){0};
    for (size_t i = 0; i < n; i++) {
        size_t before = r->n;
        if (!is_folder(arguments[i]) || is_run_folder(arguments[i])) {
            add(r, strdup(arguments[i]));
            continue;
        }
        if (!list_folder(r, arguments[i], 0))
            return false;
        if (r->n == before) {
            cli_say("%s: there is no result in this folder (*.json)", arguments[i]);
            return false;
        }
    }
    return true;
}

static json_t *load_arena(const char *path, bool with_graph)
{
    int bad = folder_open(path);
    if (bad) {
        cli_say("%s: %s", path, bad == -EPROTO || bad == -EINVAL ? "this is no result of snarl" : strerror(-bad));
        return NULL;
    }
    struct collect_input in = {.without_graph = !with_graph};
    json_t *document = collect_document(&in);
    arena_close();
    return document;
}

json_t *results_load(struct results *r, size_t i, bool with_graph)
{
    char err[600];
    const char *path = r->path[i];
    bool in = strcmp(path, "-") == 0;
    if (in && r->kept)
        return json_incref(r->kept);
    if (!in && is_folder(path))
        return load_arena(path, with_graph);
    json_t *document = document_load(path, err, sizeof err);
    if (!document)
        cli_say("%s", err);
    if (in)
        r->kept = json_incref(document);
    return document;
}

static json_t *load(size_t i, void *arg)
{
    return results_load(arg, i, true);
}

/* The path, from the first folder on that tells results apart. */
static const char *name(size_t i, void *arg)
{
    const struct results *r = arg;
    return r->path[i] + r->common;
}

/* Length of the folders that all paths begin with. */
static size_t common_folder(const struct results *r)
{
    const char *slash = strrchr(r->path[0], '/');
    size_t n = slash ? (size_t)(slash - r->path[0]) + 1 : 0;
    for (size_t i = 1; i < r->n; i++)
        while (n && strncmp(r->path[i], r->path[0], n) != 0)
            for (n--; n && r->path[0][n - 1] != '/';)
                n--;
    return n;
}

json_t *results_merge(struct results *r)
{
    struct merge_source from = {r->n, load, name, r};
    r->common = common_folder(r);
    return merge_results(&from);
}

json_t *results_join(struct results *r)
{
    json_t *one = r->n == 1 ? results_load(r, 0, true) : NULL;
    if (r->n == 1 && json_array_size(json_object_get(json_object_get(one, "run"), "process_list")) < 2)
        return one;
    json_decref(one);
    return r->n == 1 && !one ? NULL : results_merge(r); /* processes are compared as runs are */
}

void results_free(struct results *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->path[i]);
    free(r->path);
    json_decref(r->kept);
    *r = (struct results){0};
}
