/* `snarl cc` and `snarl c++`: become the compiler, with what its instrumentation for races and libsnarl.so need on the
 * command line. Take no locks; allocate with malloc. */
#include <argp.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/types.h"
#include "cc_line.h"
#include "cli.h"
#include "folder.h"

/* Set for what runs below us: a compiler that is a script around `snarl cc` is to find another one than itself. */
#define INSIDE "SNARL_CC_INSIDE"

struct language {
    const char *verb, *variable;
    const char *const *usual;
};
static const char *const usual_c[] = {"gcc", "clang", "cc", NULL}, *const usual_cxx[] = {"g++", "clang++", "c++", NULL};
static const struct language c = {"cc", "CC", usual_c}, cxx = {"c++", "CXX", usual_cxx};

/* ---- help ---- */

static void help(const struct language *l)
{
    static const struct argp_option options[] = {
        {"with", 1, "COMPILER", 0,
         "gcc or clang to use, with arguments of its own if it needs any; first of all arguments", 0},
        {"help", 2, NULL, 0, "this help, when it is the only argument", -1},
        {0},
    };
    static const char doc[] = "Compiles and links like gcc or clang, for `snarl run` to see the program's memory "
                              "accesses. Every argument goes on to "
                              "the compiler; its exit status is the result."
                              "\vThe compiler is the one that --with names; else the first argument, when that is a "
                              "compiler's name; else $CC ($CXX "
                              "for snarl c++), unless that is snarl; else gcc, else clang. Debug information of level "
                              "1 is added when nothing is "
                              "said of it (-g or -g0).\n\n"
                              "Examples:\n"
                              "  snarl cc -g -O2 -pthread app.c -o app && snarl run ./app\n"
                              "  snarl c++ --with=clang++-14 -g -c part.cc\n"
                              "  ./configure CC=\"snarl cc\" CXX=\"snarl c++\" && make\n"
                              "  CC=\"snarl cc\" CXX=\"snarl c++\" cmake -B build && cmake --build build\n";
    struct argp argp = {.options = options, .args_doc = "[COMPILER] ARG...", .doc = doc};
    char name[16], format[64];
    snprintf(name, sizeof name, "snarl %s", l->verb);
    snprintf(format, sizeof format, "rmargin=%u,opt-doc-col=26,header-col=0", cli_width(1) - 1);
    setenv("ARGP_HELP_FMT", format, 0);
    argp_help(&argp, stdout, ARGP_HELP_STD_HELP & ~(unsigned)(ARGP_HELP_EXIT_OK | ARGP_HELP_BUG_ADDR), name);
}

/* ---- the compiler ---- */

/* Standard output of a command, its beginning; empty when it failed. */
static void ask(char *const *words, const char *question, char *answer, size_t size)
{
    int out[2];
    size_t n = 0;
    answer[0] = 0;
    if (pipe(out) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        const char *argv[16];
        size_t k = 0;
        for (; k < ARRAY_LEN(argv) - 2 && words[k]; k++)
            argv[k] = words[k];
        argv[k++] = question;
        argv[k] = NULL;
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out[1]);
    ssize_t got = 1;
    while (pid > 0 && got > 0 && n + 1 < size) {
        got = read(out[0], answer + n, size - 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    close(out[0]);
    answer[n] = 0;
    int status;
    if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0))
        answer[0] = 0;
}

static void identify(struct cc_compiler *compiler)
{
    char answer[4096];
    bool named = false;
    for (char **word = compiler->words; *word && !named; word++)
        compiler->family = cc_name_family(*word, &named);
    if (compiler->family != CC_UNKNOWN)
        return;
    ask(compiler->words, "--version", answer, sizeof answer);
    bool gnu = strstr(answer, "Free Software Foundation") != NULL;
    compiler->family = strstr(answer, "clang") ? CC_CLANG : CC_UNKNOWN;
    if (gnu) /* as much as other GNU programs say */
        ask(compiler->words, "-dumpmachine", answer, sizeof answer);
    if (gnu && strstr(answer, "linux"))
        compiler->family = CC_GCC;
}

static bool is_snarl(const char *word)
{
    const char *slash = strrchr(word, '/');
    return strcmp(slash ? slash + 1 : word, "snarl") == 0;
}

static bool on_path(const char *name)
{
    const char *path = getenv("PATH");
    char *list = strdup(path ? path : "/usr/bin:/bin"), *rest = NULL;
    bool found = false;
    for (char *dir = strtok_r(list, ":", &rest); dir && !found; dir = strtok_r(NULL, ":", &rest)) {
        char *file = NULL;
        if (asprintf(&file, "%s/%s", dir, name) < 0)
            abort();
        found = access(file, X_OK) == 0;
        free(file);
    }
    free(list);
    return found;
}

static char **one_word(char *word)
{
    char **words = calloc(2, sizeof *words);
    if (!words)
        abort();
    words[0] = word;
    return words;
}

/* --with=COMPILER or --with COMPILER in front: takes it off, true. */
static bool take_with(char ***args, const char **value)
{
    static const char with[] = "--with";
    char **a = *args;
    if (!a[0] || strncmp(a[0], with, sizeof with - 1) != 0)
        return false;
    const char *rest = a[0] + sizeof with - 1;
    if (*rest && *rest != '=')
        return false;
    *value = *rest ? rest + 1 : a[1] ? a[1] : "";
    *args += *rest || !a[1] ? 1 : 2;
    return true;
}

/* *args begins behind the verb; what names the compiler is taken off. NULL and *status when there is none (said). */
static char **choose(const struct language *l, char ***args, int *status)
{
    const char *value;
    bool named;
    if (take_with(args, &value)) {
        char **words = cc_words(value);
        if (words[0])
            return words;
        cli_say("--with: needs a compiler, as in --with=gcc");
        *status = STATUS_USAGE;
        return NULL;
    }
    if (**args && (cc_name_family(**args, &named), named))
        return one_word(*(*args)++);
    const char *variable = getenv(INSIDE) ? NULL : getenv(l->variable);
    char **words = cc_words(variable ? variable : "");
    if (words[0] && !is_snarl(words[0]))
        return words;
    for (const char *const *usual = l->usual; *usual; usual++)
        if (on_path(*usual))
            return cc_words(*usual);
    cli_say("there is no compiler: neither %s nor %s is on PATH, and %s names none", l->usual[0], l->usual[1],
            l->variable);
    *status = STATUS_TROUBLE;
    return NULL;
}

static int become(char **command)
{
    setenv(INSIDE, "1", 1);
    execvp(command[0], command);
    int err = errno;
    cli_say("cannot execute %s: %s", command[0], strerror(err));
    return err == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
}

static int compile(const struct language *l, int argc, char **argv)
{
    struct cc_compiler compiler = {0};
    struct cc_job job;
    int status = STATUS_TROUBLE;
    char **args = argv + 1;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        help(l);
        return 0;
    }
    if (argc < 2) {
        fprintf(stderr, "Usage: snarl %s [--with=COMPILER] ARG...\n`snarl %s --help` says more.\n", l->verb, l->verb);
        return STATUS_USAGE;
    }
    compiler.words = choose(l, &args, &status);
    if (!compiler.words)
        return status;
    cc_job_read(&job, args);
    char *obstacle = cc_job_obstacle(&job), *library = NULL;
    if (obstacle) {
        cli_say("%s: %s", l->verb, obstacle);
        return STATUS_USAGE;
    }
    if (job.works) {
        identify(&compiler);
        if (compiler.family == CC_UNKNOWN) {
            cli_say("%s is neither gcc nor clang", compiler.words[0]);
            return STATUS_TROUBLE;
        }
        library = folder_library();
        if (!library)
            return STATUS_TROUBLE;
        dirname(library);
    }
    return become(cc_job_command(&job, &compiler, library, args));
}

int cli_cc(int argc, char **argv)
{
    return compile(&c, argc, argv);
}

int cli_cxx(int argc, char **argv)
{
    return compile(&cxx, argc, argv);
}
