/* `snarl scan`: starts the static half, which is a program beside libsnarl.so, and shows its result as the other verbs show
 * theirs. Takes no locks; allocates with malloc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "folder.h"
#include "launch.h"
#include "report/document.h"
#include "report/with_scan.h"
#include "results.h"

enum { OWN_BUILD, OWN_CACHE, OWN_MODEL, OWN_WITH };

static const struct settings_option own[] = {
    [OWN_BUILD] = {NULL, 'p', "FOLDER",
                   "every unit of FOLDER/compile_commands.json (cmake -DCMAKE_EXPORT_COMPILE_COMMANDS=ON, meson, or "
                   "`bear -- make`)"},
    [OWN_CACHE] = {"cache", 0, "FOLDER",
                   "where units are kept that were read before; none: nowhere (default: ~/.cache/snarl/scan)"},
    [OWN_MODEL] = {"model", 0, "FILE", "what functions without a body do, a line for each; see snarl-scan(1)"},
    [OWN_WITH] =
        {"with", 0, "RESULT",
         "the result of a run, a folder of them, or the merged one: what runs have confirmed stands first, and what "
         "they never came to is told"},
    {0},
};

static const struct settings_verb verb = {
    .name = "scan",
    .arguments = "[FILE... [-- FLAG...] | -p FOLDER]",
    .text = "Finds lock-order cycles, data races, lost updates and misused locks in C and C++ without running the "
            "program, on paths that no run took. FILEs are sources (compiled with the FLAGs) or LLVM bitcode. clang "
            "has to be installed. The report is on standard output.",
    .examples =
        "Examples:\n"
        "  bear -- make; snarl scan -p .\n"
        "  cmake -B build -DCMAKE_EXPORT_COMPILE_COMMANDS=ON && snarl scan -p build\n"
        "  snarl scan server.c pool.c -- -Iinclude -DNDEBUG\n"
        "  snarl scan --json=scan.json --fail-on=medium -p build\n"
        "  snarl scan --with=results/ -p build          what the runs of the tests have confirmed, and missed\n\n"
        "Exit status: 0; 66 when there is a finding that counts; 2 for wrong usage; 125 when nothing could be "
        "analysed.",
    .own = own,
    .fail_on = FAIL_ON_SCAN,
    .least = 0,
    .most = 1 << 30,
};

/* Where units are kept, malloc'd; NULL: nowhere. */
static char *cache_folder(const struct settings *s)
{
    const char *given = s->own[OWN_CACHE], *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int n = 0;
    if (given)
        return strcmp(given, "none") == 0 ? NULL : strdup(given);
    if (xdg && xdg[0] == '/')
        n = asprintf(&path, "%s/snarl/scan", xdg);
    else if (home && home[0] == '/')
        n = asprintf(&path, "%s/.cache/snarl/scan", home);
    if (n < 0)
        abort();
    return path;
}

/* A path that stays right when units are compiled in folders of their own. malloc'd. */
static char *absolute(char *path)
{
    char *here = path && path[0] != '/' ? getcwd(NULL, 0) : NULL, *full = NULL;
    if (!here)
        return path;
    if (asprintf(&full, "%s/%s", here, path) < 0)
        abort();
    free(here);
    free(path);
    return full;
}

struct words {
    char **at;
    size_t n;
};

static void add(struct words *w, const char *option, const char *value)
{
    char *word = NULL;
    w->at = realloc(w->at, (w->n + 2) * sizeof *w->at);
    if (!w->at || asprintf(&word, "%s%s", option, value) < 0)
        abort();
    w->at[w->n++] = word;
    w->at[w->n] = NULL;
}

/* The command line of the static half. */
static struct words command_line(const struct settings *s, const char *scratch, const char *result)
{
    struct words w = {0};
    char *cache = absolute(cache_folder(s));
    add(&w, "snarl-scan", "");
    add(&w, "--scratch=", scratch);
    add(&w, "--result=", result);
    if (cache)
        add(&w, "--cache=", cache);
    if (s->own[OWN_MODEL])
        add(&w, "--model=", s->own[OWN_MODEL]);
    if (isatty(2) && !s->quiet)
        add(&w, "--progress", "");
    if (s->own[OWN_BUILD]) {
        add(&w, "-p", "");
        add(&w, "", s->own[OWN_BUILD]);
    }
    free(cache);
    return w;
}

static void add_files(struct words *w, char **files, char **flags)
{
    for (; *files; files++)
        add(w, "", *files);
    if (flags)
        add(w, "--", "");
    for (; flags && *flags; flags++)
        add(w, "", *flags);
}

/* The document joined with the runs; takes it. NULL when they cannot be read (said). */
static json_t *join_runs(const struct settings *s, json_t *scan)
{
    char *given[] = {(char *)s->own[OWN_WITH]};
    struct results r = {0};
    json_t *runs = results_list(&r, given, 1, NULL) ? results_join(&r) : NULL;
    json_t *d = runs ? with_scan_join(scan, runs) : NULL;
    results_free(&r);
    json_decref(runs);
    json_decref(scan);
    return d;
}

/* Shows the document and writes the files that were asked for; the exit status. */
static int show(const struct settings *s, json_t *document)
{
    int fd = output_takes_stdout(s) ? STDERR_FILENO : STDOUT_FILENO;
    size_t counting = judge(s, document);
    bool good = output_files(s, document, NULL, NULL);
    struct text_options o = output_text_options(s, s->log ? -1 : fd);
    char *text = text_report(document, &o);
    good &= output_text(s, text, fd, false);
    free(text);
    return good ? output_status(s, counting) : STATUS_TROUBLE;
}

/* Runs the static half; the exit status. */
static int scan(const struct settings *s, const char *program, char **files, char **flags)
{
    char *scratch = folder_make("scan"), *result = NULL, err[600];
    int wait_status = 0, status = STATUS_TROUBLE;
    if (!scratch)
        return STATUS_TROUBLE;
    if (asprintf(&result, "%s/document", scratch) < 0)
        abort();
    struct words w = command_line(s, scratch, result);
    add_files(&w, files, flags);
    struct launch l = {.path = program, .argv = w.at};
    launch_prepare();
    int failed = launch_run(&l, &wait_status);
    if (failed) {
        cli_say("cannot start %s: %s", program, strerror(failed));
    } else if (WIFSIGNALED(wait_status)) {
        cli_say("the analysis was ended by signal %d (%s)", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
        status = 128 + WTERMSIG(wait_status);
    } else if (WEXITSTATUS(wait_status)) {
        status = WEXITSTATUS(wait_status) == STATUS_USAGE ? STATUS_USAGE : STATUS_TROUBLE;
    } else {
        json_t *document = document_load(result, err, sizeof err);
        if (!document)
            cli_say("%s", err);
        else if (s->own[OWN_WITH])
            document = join_runs(s, document);
        if (document)
            status = show(s, document);
        json_decref(document);
    }
    folder_clear(scratch);
    for (size_t i = 0; i < w.n; i++)
        free(w.at[i]);
    free(w.at);
    free(result);
    free(scratch);
    return status;
}

/* What follows "--" is the compiler's. Its place in argv, argc when there is none. */
static int end_of_files(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--") == 0)
            return i;
    return argc;
}

int cli_scan(int argc, char **argv)
{
    struct settings s;
    int status, end = end_of_files(argc, argv);
    char **flags = end < argc ? argv + end + 1 : NULL, *program;
    argv[end] = NULL;
    if (settings_parse(&s, &verb, end, argv, &status))
        return status;
    bool files = s.first != 0;
    if (files == (s.own[OWN_BUILD] != NULL) || (flags && !files)) {
        cli_say(!files && !flags ? "scan: which files? Name them, or a folder with compile_commands.json after -p"
                : files          ? "scan: files or -p, not both"
                                 : "scan: flags after -- are for files; with -p each unit has its own");
        fputs("`snarl scan --help` says more.\n", stderr);
        return STATUS_USAGE;
    }
    program = folder_beside("snarl-scan");
    if (!program)
        cli_say("snarl-scan is not beside the command (../lib/snarl-scan or ../lib/snarl/snarl-scan): build or install "
                "snarl again");
    status =
        program && output_check(&s) ? scan(&s, program, files ? argv + s.first : argv + end, flags) : STATUS_TROUBLE;
    free(program);
    return status;
}
