/* `snarl samples`: lists the bundled samples and runs one under the detector. Takes no locks; allocates with malloc.
 *
 * They stand beside the command: build/samples in a build tree, ../lib/snarl/samples once installed. Each folder has an
 * expect.json (samples/README.md) with its title and its programs. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "folder.h"
#include "report/label.h"

#define MAX_SAMPLES 200
#define MAX_DEPTH 3
#define PYTHON "python3"

static const struct settings_verb verb = {
    .name = "samples",
    .arguments = "[NAME[/PROGRAM]]",
    .text =
        "Lists the bundled samples, small programs each with a bug and its fix, or runs one of them under `snarl run`.",
    .examples = "Examples:\n"
                "  snarl samples\n"
                "  snarl samples two-threads            its bug.c: a deadlock that strikes\n"
                "  snarl samples two-threads/fixed      the fixed program\n"
                "  snarl samples two-threads/bug.py     the same bug in Python\n",
    .plain = true,
    .least = 0,
    .most = 1,
};

struct samples {
    char *root;
    struct {
        char *name;
        json_t *expect;
    } sample[MAX_SAMPLES];
    size_t n;
};

static char *join(const char *a, const char *b)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", a, b) < 0)
        abort();
    return path;
}

static char *find_root(void)
{
    static const char *const places[] = {"../samples", "../lib/snarl/samples"};
    char *here = folder_of_command();
    for (size_t i = 0; here && i < ARRAY_LEN(places); i++) {
        char *path = join(here, places[i]);
        struct stat st;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            char *clean = realpath(path, NULL);
            free(path);
            free(here);
            return clean;
        }
        free(path);
    }
    free(here);
    cli_say(
        "the samples are not beside the command (../samples or ../lib/snarl/samples): build or install snarl again");
    return NULL;
}

static void collect(struct samples *s, const char *under, int depth)
{
    char *folder = *under ? join(s->root, under) : strdup(s->root), *file = join(folder, "expect.json");
    json_t *expect = json_load_file(file, 0, NULL);
    free(file);
    if (json_is_object(expect) && s->n < MAX_SAMPLES) {
        s->sample[s->n].name = strdup(under);
        s->sample[s->n++].expect = expect;
    } else {
        json_decref(expect);
        struct dirent **entries;
        int n = depth < MAX_DEPTH ? scandir(folder, &entries, NULL, alphasort) : -1;
        for (int i = 0; i < n; i++) {
            char *inner = *under ? join(under, entries[i]->d_name) : strdup(entries[i]->d_name),
                 *path = join(s->root, inner);
            struct stat st;
            if (entries[i]->d_name[0] != '.' && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
                collect(s, inner, depth + 1);
            free(path);
            free(inner);
            free(entries[i]);
        }
        if (n >= 0)
            free(entries);
    }
    free(folder);
}

static void list(const struct samples *s)
{
    printf("Samples in %s:\n", s->root);
    for (size_t i = 0; i < s->n; i++) {
        const json_t *p;
        size_t k;
        char last[100] = "";
        printf("\n  %s\n    %s\n    programs:", s->sample[i].name, label_text(s->sample[i].expect, "title"));
        json_array_foreach (json_object_get(s->sample[i].expect, "programs"), k, p) {
            if (strcmp(last, label_text(p, "program")) != 0)
                printf(" %s", label_text(p, "program"));
            snprintf(last, sizeof last, "%s", label_text(p, "program"));
        }
        puts("");
    }
    puts("\n`snarl samples NAME` runs the bug of one, `snarl samples NAME/PROGRAM` another of its programs.");
}

static const json_t *find_program(const json_t *expect, const char *name)
{
    const json_t *p;
    size_t i;
    json_array_foreach (json_object_get(expect, "programs"), i, p)
        if (label_is(p, "program", name))
            return p;
    return NULL;
}

/* Is `given` this sample's name, its last part, or either with a program behind? *program is that program or "". */
static bool names(const char *sample, const char *given, const char **program)
{
    const char *forms[] = {sample, strrchr(sample, '/') ? strrchr(sample, '/') + 1 : sample};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t n = strlen(forms[i]);
        if (strncmp(given, forms[i], n) == 0 && (!given[n] || given[n] == '/')) {
            *program = given[n] ? given + n + 1 : "";
            return true;
        }
    }
    return false;
}

static int run_program(const struct samples *s, size_t i, const json_t *p)
{
    char *argv[64], *folder = join(s->root, s->sample[i].name), *path = join(folder, label_text(p, "program"));
    static char snarl[] = "run", dashes[] = "--", python[] = PYTHON;
    size_t n = 0, k, dot = strlen(path);
    const json_t *arg;
    argv[n++] = snarl;
    json_array_foreach (json_object_get(p, "run"), k, arg)
        if (n < 30 && json_is_string(arg))
            argv[n++] = strdup(json_string_value(arg));
    argv[n++] = dashes;
    if (dot > 3 && strcmp(path + dot - 3, ".py") == 0)
        argv[n++] = python;
    argv[n++] = path;
    if (json_is_true(json_object_get(p, "mode")))
        json_array_foreach (json_object_get(p, "args"), k, arg)
            if (n < 60 && json_is_string(arg))
                argv[n++] = strdup(json_string_value(arg));
    argv[n] = NULL;
    printf("$ snarl");
    for (k = 0; argv[k]; k++)
        printf(" %s", argv[k]);
    puts("");
    if (*label_text(p, "pending"))
        printf("(snarl cannot see this bug yet: %s)\n", label_text(p, "pending"));
    fflush(stdout);
    free(folder);
    return cli_run((int)n, argv);
}

static int run_sample(const struct samples *s, const char *given)
{
    const char *names_of[MAX_SAMPLES];
    for (size_t i = 0; i < s->n; i++) {
        const char *program;
        names_of[i] = s->sample[i].name;
        if (!names(s->sample[i].name, given, &program))
            continue;
        const json_t *p = find_program(s->sample[i].expect, *program ? program : "bug");
        if (!p && !*program)
            p = json_array_get(json_object_get(s->sample[i].expect, "programs"), 0);
        if (p)
            return run_program(s, i, p);
        cli_say("the sample %s has no program '%s'; `snarl samples` lists them", s->sample[i].name, program);
        return STATUS_USAGE;
    }
    cli_unknown("sample", given, names_of, s->n);
    fputs("`snarl samples` lists them.\n", stderr);
    return STATUS_USAGE;
}

int cli_samples(int argc, char **argv)
{
    struct settings s;
    struct samples all = {0};
    int status;
    if (settings_parse(&s, &verb, argc, argv, &status))
        return status;
    all.root = find_root();
    if (!all.root)
        return STATUS_TROUBLE;
    collect(&all, "", 0);
    if (s.first) {
        status = run_sample(&all, argv[s.first]);
    } else {
        list(&all);
        status = 0;
    }
    for (size_t i = 0; i < all.n; i++) {
        free(all.sample[i].name);
        json_decref(all.sample[i].expect);
    }
    free(all.root);
    return status;
}
