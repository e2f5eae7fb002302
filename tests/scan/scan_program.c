/* The static half as a program of its own, until it is a verb of the command: scan_program [-p FOLDER | FILE...], or with
 * --cache=FOLDER, --model=FILE, --json. Exit status: 0 nothing found, 66 findings, 2 wrong usage, 125 it could not. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/text.h"
#include "scan/front.h"
#include "scan/known.h"

static int fail(int status, const char *text)
{
    fprintf(stderr, "snarl-scan: %s\n", text);
    return status;
}

static void remove_folder(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(path);
}

static int scan(struct units *u, const struct front_options *o, bool json)
{
    char err[600];
    if (compile_all(u, o) != 0)
        return fail(125, "units cannot be compiled");
    for (u32 i = 0; i < u->n; i++)
        if (u->at[i].problem)
            fprintf(stderr, "snarl-scan: %s left out: %s\n", u->at[i].file, u->at[i].problem);
    json_t *d = programs_scan(u, o, err, sizeof err);
    if (!d)
        return fail(125, err);
    if (json) {
        json_dumpf(d, stdout, JSON_INDENT(1));
        putchar('\n');
    } else {
        struct text_options t = {.width = 100};
        char *text = text_report(d, &t);
        fputs(text, stdout);
        free(text);
    }
    size_t n = json_array_size(json_object_get(d, "findings"));
    json_decref(d);
    return n ? 66 : 0;
}

int main(int argc, char **argv)
{
    struct units u = {0};
    char err[600], scratch[] = "/tmp/snarl-scan-XXXXXX";
    struct front_options o = {.scratch = scratch, .progress = isatty(2)};
    bool json = false;
    int bad = 0;
    for (int i = 1; i < argc && !bad; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strncmp(argv[i], "--cache=", 8) == 0)
            o.cache = argv[i] + 8;
        else if (strncmp(argv[i], "--model=", 8) == 0)
            bad = known_read(argv[i] + 8, err, sizeof err);
        else if (strcmp(argv[i], "-p") == 0 && i + 1 < argc)
            bad = units_add_database(&u, argv[++i], err, sizeof err);
        else
            bad = units_add_file(&u, argv[i], err, sizeof err);
    }
    if (bad || !u.n)
        return fail(2, bad ? err : "which files? -p FOLDER or FILE...");
    if (!compile_clang())
        return fail(125, "clang is not there: install clang");
    if (!mkdtemp(scratch))
        return fail(125, "no folder for scratch files");
    int status = scan(&u, &o, json);
    remove_folder(scratch);
    units_free(&u);
    fflush(NULL);
    _exit(status); /* what the analysis has goes with the process: no look for leaks */
}
