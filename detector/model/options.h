/* The options of `snarl run`, which are also the keys of SNARL_OPTIONS ("key=value:key=value"). One table serves the
 * command line, its help, the man page's test and the preload library, so that they cannot drift apart.
 *
 * Safe inside any program: no allocation, no libc calls, no locks. */
#ifndef SNARL_MODEL_OPTIONS_H
#define SNARL_MODEL_OPTIONS_H

#include "base/types.h"
#include "model/run.h"

enum option_kind {
    OPTION_FLAG,    /* yes or no; the name alone means yes */
    OPTION_CHOICE,  /* one of `choices` */
    OPTION_LIST,    /* comma separated, each one of `choices` */
    OPTION_NUMBER,  /* min..max; the name alone is allowed when `bare` */
    OPTION_MODULES, /* names and globs (patterns.h) */
    OPTION_TEXT,    /* anything; checked by the command line tool, which alone uses it */
};

/* Who acts on it. The other side accepts and ignores it, so that one SNARL_OPTIONS serves both. */
enum option_scope { SCOPE_PROGRAM, SCOPE_TOOL };

enum option_group { GROUP_WATCH, GROUP_FOUND, GROUP_OUTPUT, GROUP_STATUS, GROUP_SCHEDULE, GROUP_OTHER, GROUP_COUNT };
#define OPTION_GROUP_TITLES                                                                                            \
    "What is watched", "When something is found", "Outputs", "Which findings count", "Schedules", "Other"

/* X(enumerator, name, kind, scope, group, metavar, default, choices, known but not in this version, min, max, bare, help) */
#define SNARL_OPTION_TABLE(X)                                                                                          \
    X(DETECT, "detect", LIST, PROGRAM, WATCH, "LIST", "deadlock,misuse,race,atomicity",                                \
      "deadlock,misuse,race,atomicity,contention", "", 0, 0, 0,                                                        \
      "kinds of trouble to look for; contention measures how long locks are waited for and held")                      \
    X(ACCESSES, "accesses", CHOICE, PROGRAM, WATCH, "HOW", "auto", "auto,compiled,none", "rewrite:sample,watch", 0, 0, \
      0,                                                                                                               \
      "how memory accesses are seen: compiled (what was built by snarl cc), none (locks only); auto: compiled when "   \
      "there is any")                                                                                                  \
    X(MODULES, "modules", MODULES, PROGRAM, WATCH, "LIST", "", "", "", 0, 0, 0,                                        \
      "whose accesses are watched when code is rewritten: names or globs of modules, or all; default: the program "    \
      "and "                                                                                                           \
      "the libraries outside the system's folders")                                                                    \
    X(FOLLOW, "follow", FLAG, PROGRAM, WATCH, "yes|no", "yes", "", "", 0, 0, 1, "watch child processes too")           \
    X(ON_DEADLOCK, "on-deadlock", CHOICE, PROGRAM, FOUND, "WHAT", "abort", "abort,report,break", "", 0, 0, 0,          \
      "abort: report, then end the processes that take part; report: leave them hanging; break: make one acquisition " \
      "fail so that the rest goes on")                                                                                 \
    X(HALT, "halt", FLAG, PROGRAM, FOUND, "", "no", "", "", 0, 0, 1,                                                   \
      "end the program at the first finding that counts")                                                              \
    X(GDB, "gdb", FLAG, TOOL, FOUND, "", "no", "", "", 0, 0, 1,                                                        \
      "run under gdb, which stops at each finding that counts")                                                        \
    X(JSON, "json", TEXT, TOOL, OUTPUT, "FILE", "", "", "", 0, 0, 0,                                                   \
      "result file; - is standard output, %p in a name asks for one per process")                                      \
    X(SARIF, "sarif", TEXT, TOOL, OUTPUT, "FILE", "", "", "", 0, 0, 0, "findings for code scanning (SARIF 2.1.0)")     \
    X(JUNIT, "junit", TEXT, TOOL, OUTPUT, "FILE", "", "", "", 0, 0, 0, "findings as failed tests (JUnit's XML)")       \
    X(HTML, "html", TEXT, TOOL, OUTPUT, "FILE", "", "", "", 0, 0, 0,                                                   \
      "a report to look at, in one file: findings, source lines, lock-order graph")                                    \
    X(DOT, "dot", TEXT, TOOL, OUTPUT, "FILE", "", "", "", 0, 0, 0, "lock-order graph for graphviz")                    \
    X(SVG, "svg", TEXT, TOOL, OUTPUT, "FILE", "", "", "", 0, 0, 0, "lock-order graph, drawn")                          \
    X(GITHUB, "github", FLAG, TOOL, OUTPUT, "", "no", "", "", 0, 0, 1,                                                 \
      "remarks beside the source on GitHub, as commands on standard output")                                           \
    X(LOG, "log", TEXT, TOOL, OUTPUT, "FILE", "", "", "", 0, 0, 0, "text report there instead of standard error")      \
    X(COLOR, "color", CHOICE, TOOL, OUTPUT, "WHEN", "auto", "auto,always,never", "", 0, 0, 0,                          \
      "colour: auto is only on a terminal and without NO_COLOR")                                                       \
    X(QUIET, "quiet", FLAG, TOOL, OUTPUT, "", "no", "", "", 0, 0, 1,                                                   \
      "print findings only; nothing when there are none")                                                              \
    X(VERBOSE, "verbose", FLAG, TOOL, OUTPUT, "", "no", "", "", 0, 0, 1,                                               \
      "whole stacks, library frames and what watching cost")                                                           \
    X(STACK_DEPTH, "stack-depth", NUMBER, PROGRAM, OUTPUT, "N", "64", "", "", 1, 128, 0, "frames kept of each stack")  \
    X(EXIT_CODE, "exit-code", NUMBER, PROGRAM, STATUS, "N", "66", "", "", 0, 255, 0,                                   \
      "exit status when there is a finding that counts")                                                               \
    X(FAIL_ON, "fail-on", TEXT, TOOL, STATUS, "LIST", "proven", "", "", 0, 0, 0,                                       \
      "which findings count: proven, all, or kinds, rules and verdicts; "                                              \
      "the rest is listed in short")                                                                                   \
    X(SUPPRESSIONS, "suppressions", TEXT, TOOL, STATUS, "FILE", "", "", "", 0, 0, 0,                                   \
      "findings that nobody wants to hear of, in ThreadSanitizer's syntax and more; may be given several times")       \
    X(BASELINE, "baseline", TEXT, TOOL, STATUS, "FILE", "", "", "", 0, 0, 0,                                           \
      "findings and orders of locks that are accepted there do not count; orders against it do")                       \
    X(PERTURB, "perturb", NUMBER, PROGRAM, SCHEDULE, "SEED", "no", "", "", 0, 0, 1,                                    \
      "random delays at lock operations; the seed is printed and makes them repeatable")                               \
    X(FORCE, "force", FLAG, TOOL, OTHER, "", "no", "", "", 0, 0, 1, "run a program that cannot be watched, unwatched")

enum option_id {
#define X(id, ...) OPTION_ID_##id,
    SNARL_OPTION_TABLE(X)
#undef X
        OPTION_ID_COUNT
};

struct option_def {
    const char *name, *metavar, *initial, *choices, *later, *help;
    u64 min, max; /* both 0: any 64-bit number */
    u8 kind, scope, group, bare;
};

extern const struct option_def option_table[OPTION_ID_COUNT] __attribute__((visibility("hidden")));

/* What SNARL_OPTIONS and the command line start from. perturb_seed 0 with perturb set means: choose one and say
 * which. */
void options_default(struct run_options *o);

/* Index into option_table, or -1. */
int options_find(const char *name, size_t length);
/* The name that looks most like it, or NULL when none does. Options of later versions are not suggested. */
const char *options_nearest(const char *name, size_t length);

/* Checks the value of one option (NULL: the name stood alone) and, for SCOPE_PROGRAM, stores it. 0 or -EINVAL with a
 * sentence in err. */
int options_set(struct run_options *o, enum option_id id, const char *value, size_t length, char *err, size_t errlen);

/* The sentence for a name that options_find does not know. */
void options_explain_unknown(const char *name, size_t length, char *err, size_t errlen);

/* Calls `each` for every key of the string; value NULL when there was no '='. A value may be quoted ('…' or "…") to
 * hold a colon. */
typedef int (*options_each)(void *context, const char *key, size_t key_length, const char *value, size_t value_length);
int options_split(const char *s, options_each each, void *context);

/* Reads a whole SNARL_OPTIONS string into o (set to defaults before). Bad keys are skipped, the others still apply.
 * 0, or -EINVAL and the first trouble in err. */
int options_parse_string(const char *s, struct run_options *o, char *err, size_t errlen);

/* Yes, no, 1, 0, true, false, on, off; NULL is yes. -EINVAL when it is none of them. */
int options_flag(const char *value, size_t length);
/* Decimal or 0x hexadecimal. 0 or -EINVAL. */
int options_number(const char *value, size_t length, u64 *out);

/* Levenshtein distance with adjacent swaps, of at most 63 characters each. */
u32 options_distance(const char *a, size_t na, const char *b, size_t nb);

/* Only where options_unfinished is set, and not in help. */
bool options_is_unshown(int id);

/* What is built in part is neither shown nor accepted, unless $SNARL_UNFINISHED is set, as tests of it do: whoever reads
 * the environment sets this. */
extern bool options_unfinished __attribute__((visibility("hidden")));

#endif
