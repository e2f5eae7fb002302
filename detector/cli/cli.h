/* What the verbs share. One file per verb; main.c dispatches. */
#ifndef SNARL_CLI_CLI_H
#define SNARL_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "model/options.h"
#include "report/classify.h"
#include "report/text.h"

enum cli_status { STATUS_USAGE = 2, STATUS_TROUBLE = 125, STATUS_NOT_EXECUTABLE = 126, STATUS_NOT_FOUND = 127 };

/* X(name, function, arguments, one line) */
#define CLI_VERBS(X)                                                                                                   \
    X("run", cli_run, "[OPTION...] [--] PROGRAM [ARG...]",                                                             \
      "run a program under the detector and report what it finds")                                                     \
    X("report", cli_report, "[OPTION...] RESULT", "show a saved result again")                                         \
    X("scan", cli_scan, "[OPTION...] [FILE... | -p FOLDER]", "find the same in source code, without running it")       \
    X("graph", cli_graph, "[OPTION...] RESULT", "draw the lock-order graph of a result")                               \
    X("check", cli_check, "[OPTION...] RESULT...",                                                                     \
      "the gate of a CI: what is new, against a baseline of what is known")                                            \
    X("merge", cli_merge, "-o OUT RESULT...", "many results as one; cycles that no single run has")                    \
    X("inspect", cli_inspect, "[OPTION...] PID|CORE...",                                                               \
      "explain a program that hangs, or a core: who waits for whom")                                                   \
    X("bisect", cli_bisect, "[--] PROGRAM [ARG...]", "find the function whose rewriting changes what a program does")  \
    X("explain", cli_explain, "[KIND]", "a page on one kind of finding: what, why, how to fix, example")               \
    X("cc", cli_cc, "[COMPILER] ARG...", "compile C so that memory accesses can be watched (gcc, clang)")              \
    X("c++", cli_cxx, "[COMPILER] ARG...", "the same for C++")                                                         \
    X("samples", cli_samples, "[OPTION...] [NAME]", "list or run the bundled samples")                                 \
    X("completion", cli_completion, "bash|zsh", "a script with which the shell completes command lines")
#define X(name, function, arguments, text) int function(int argc, char **argv);
CLI_VERBS(X)
#undef X

/* "snarl: …" on standard error. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, and ": did you mean 'x'?" when one of the names is near. */
void cli_unknown(const char *what, const char *word, const char *const *names, size_t n);

/* Columns of the terminal at fd, else 100. */
unsigned cli_width(int fd);

/* An option of one verb alone. */
struct settings_option {
    const char *name; /* NULL: only the letter */
    char letter;      /* 0: only the name */
    const char *metavar, *help;
};
#define SETTINGS_OWN 6
#define SETTINGS_FILES 32

/* ---- settings.c: options of a verb, from SNARL_OPTIONS and the command line ---- */
struct settings {
    struct run_options run;
    const char *json, *sarif, *junit, *html, *dot, *svg, *log, *format;
    const char *suppressions[SETTINGS_FILES], *baseline;
    size_t nsuppressions;
    struct gate *gate;             /* never NULL after settings_parse */
    const char *own[SETTINGS_OWN]; /* values of the verb's own options, as the verb lists them; NULL: not given */
    struct fail_on fail_on;
    bool fail_on_given;
    const char *fail_on_text; /* as it was given */
    int color;                /* 0 auto, 1 always, 2 never */
    bool quiet, verbose, force, github, gdb;
    bool at_exit; /* report: asked for by the library at the end of a program: silent without findings */
    u32 finding;  /* report: of a run's data only this one; 0: all. Asked for by gdb's script */
    int first;    /* index in argv of the first argument that is no option */
};
struct settings_verb {
    const char *name, *arguments, *text, *examples;
    bool all;                          /* every option of the table; else the outputs and --fail-on */
    const char *formats;               /* for --format, or NULL */
    bool plain;                        /* no options but help and colour */
    int least, most;                   /* arguments; most -1: whatever follows the first one belongs to it */
    const struct settings_option *own; /* SETTINGS_OWN of them at most, ended by zeroes; NULL: none */
    const char *fail_on;               /* when nothing is said; NULL: the table's */
    bool makes_baseline;               /* it need not be there yet */
};
/* Returns 0, or -1 when the verb is to end with *status (help was asked for, or the usage is wrong). */
int settings_parse(struct settings *s, const struct settings_verb *verb, int argc, char **argv, int *status);

/* While set, settings_parse only tells it the verb's options (argp's, ended by zeroes), and the verb ends. */
struct argp_option;
extern void (*settings_listener)(const struct settings_verb *verb, const struct argp_option *options);

/* ---- output.c ---- */
bool output_color(const struct settings *s, int fd);
/* Checks that the files named can be written; says what cannot and returns false. */
bool output_check(const struct settings *s);
/* Anything but text is asked for. Text shows no lock graph, and naming its locks is what costs a report its time. */
bool output_wants_graph(const struct settings *s);
/* A further output goes to standard output: then the text report goes to standard error. */
bool output_takes_stdout(const struct settings *s);
/* All further outputs, and per-process ones ("%p"): the document is the whole run's. False when something could not be
 * written (said). */
bool output_files(const struct settings *s, const json_t *document, json_t *(*of_process)(unsigned number, void *arg),
                  void *arg);
/* A document in a form of report/format.h, or graphviz's drawing where there is graphviz. malloc'd. */
char *output_render(const char *format, const json_t *document);
/* Text to --log or to a descriptor. */
bool output_text(const struct settings *s, const char *text, int fd, bool append);
struct text_options output_text_options(const struct settings *s, int fd);
/* 66 or 0, as the findings say. */
int output_status(const struct settings *s, size_t counting);

/* ---- graphviz.c ---- */
/* What `dot -Tsvg` makes of a graph, malloc'd; NULL when there is no dot, or when it fails or takes too long. */
char *graphviz_svg(const char *dot);

/* ---- write.c ---- */
/* Puts a text where `name` says, standard output for "-". The file is there whole or not at all: what it had before stays
 * when the text cannot be written. 0 or -errno. */
int write_file(const char *name, const char *text, size_t n);
/* Whether write_file could. Nothing is changed. 0 or -errno. */
int write_check(const char *name);

/* ---- judge.c: what counts ---- */
struct gate;
/* Reads the files of --suppressions and --baseline. 0, or -1 when something is wrong with them (said). */
int judge_open(struct settings *s, const struct settings_verb *verb);
/* Marks what is suppressed or accepted, adds what is against the baseline, sets "counts". Returns how many count. */
size_t judge(const struct settings *s, json_t *document);

/* ---- program.c ---- */
/* Finds PROGRAM as execvp does. malloc'd path; NULL with *status 126 or 127 (said). */
char *program_find(const char *name, int *status);
/* The same along PATH, without a message. */
char *program_search(const char *name, int *status);
/* Why it cannot be watched, with advice, malloc'd; NULL when it can. */
char *program_obstacle(const char *path);

#endif
