/* `snarl run`: starts a program with libsnarl.so, waits for it, reports what was found. Takes no locks; allocates with
 * malloc.
 *
 * The run's arena is mapped here all the time, so a deadlock is told while the program still hangs; and it is read
 * after the end, however the program ended. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/sys.h"
#include "cli.h"
#include "folder.h"
#include "gdb.h"
#include "halt.h"
#include "hang/hang.h"
#include "launch.h"
#include "report/collect.h"
#include "report/escape.h"
#include "report/label.h"

/* In abort mode the program ends by itself right after the finding: then its end tells the story. */
#define ABORT_PATIENCE_NS 1000000000ULL
/* Threads of the program wait for halt_look. */
#define HALT_TICK_NS 2000000L

/* Of a run that is rewriting code: when it is told of, and how often. */
#define REWRITING_PATIENCE_NS 2000000000ULL
#define REWRITING_AGAIN_NS 10000000000ULL

static const struct settings_verb verb = {
    .name = "run",
    .arguments = "[--] PROGRAM [ARG...]",
    .text = "Runs PROGRAM under the detector and reports deadlocks, lock-order cycles and misused locks on standard "
            "error: at its end, or at "
            "once when it hangs. Nothing has to be rebuilt; debug information (-g) gives lines and names.",
    .examples = "Examples:\n"
                "  snarl run ./server --port 8080\n"
                "  snarl run --json=result.json --quiet -- ctest\n"
                "  snarl run --html=report.html ./app       to look at in a browser\n"
                "  snarl run --on-deadlock=report ./app     leave it hanging, for a debugger\n"
                "  snarl run --gdb ./app                    stop in gdb at each finding\n"
                "  snarl run --perturb=17 python3 app.py    the delays of seed 17 again\n\n"
                "Exit status: the program's own (128+N when signal N ended it); 66 when there is a finding that "
                "counts; 2 for wrong usage; 125 "
                "when snarl cannot do its work; 126 and 127 when PROGRAM cannot be executed or found.\n\n"
                "SNARL_OPTIONS=\"key=value:key=value\" sets the same options; the command line wins. SNARL_KEEP=1 "
                "keeps the run's data.",
    .all = true,
    .least = 1,
    .most = -1,
};

struct run_context {
    struct settings *s;
    json_t *command;
    u32 urgent_seen;
    u64 urgent_since;
    json_t *shown; /* ids of findings that were told while the program ran */
    u64 begin;
    int status;
    bool ended;
    struct hang *hang;
    u64 rewriting_told; /* when */
    const char *folder;
};

static json_t *document_of(struct run_context *c, unsigned process, bool without_graph)
{
    struct collect_input in = {.command = c->command,
                               .ended = c->ended,
                               .status = c->status,
                               .duration_s = (double)(sys_now() - c->begin) / 1e9,
                               .only_process = process,
                               .without_graph = without_graph};
    json_t *d = collect_document(&in);
    judge(c->s, d);
    return d;
}

static json_t *document_of_process(unsigned process, void *arg)
{
    return document_of(arg, process, false);
}

static size_t count_findings(const u32 *list, u32 n, void *arg)
{
    struct run_context *c = arg;
    struct collect_input in = {.without_graph = true, .only = list, .nonly = n};
    json_t *d = collect_document(&in);
    size_t counting = judge(c->s, d);
    json_decref(d);
    return counting;
}

/* Tells the findings that cannot wait for the end. */
static void tell_urgent(struct run_context *c)
{
    struct text_options o = output_text_options(c->s, c->s->log ? -1 : 2);
    json_t *d = document_of(c, 0, true), *f;
    size_t i;
    json_array_foreach (json_object_get(d, "findings"), i, f) {
        const char *id = label_text(f, "id");
        bool urgent = label_is(f, "verdict", "observed") &&
                      (!label_is(f, "kind", "lock-misuse") || label_is(f, "rule", "relock") ||
                       label_is(f, "rule", "rwlock-upgrade"));
        if (!urgent || json_object_get(c->shown, id) || json_is_false(json_object_get(f, "counts")))
            continue;
        char *text = text_finding(f, &o);
        output_text(c->s, text, 2, json_object_size(c->shown) > 0);
        free(text);
        json_object_set_new(c->shown, id, json_true());
    }
    json_decref(d);
}

/* The program stands still meanwhile. */
static void tell_rewriting(struct run_context *c)
{
    u64 since = __atomic_load_n(&run()->rewriting_since, __ATOMIC_ACQUIRE), now = sys_now();
    if (!since || c->s->quiet || now < since + REWRITING_PATIENCE_NS || now < c->rewriting_told + REWRITING_AGAIN_NS)
        return;
    if (kill((pid_t)__atomic_load_n(&run()->rewriting_pid, __ATOMIC_RELAXED), 0) && errno == ESRCH)
        return; /* it has been killed */
    u64 bytes = __atomic_load_n(&run()->rewriting_bytes, __ATOMIC_RELAXED),
        done = __atomic_load_n(&run()->rewriting_done, __ATOMIC_RELAXED);
    cli_say("rewriting the program's code before it goes on: %.1f of %.1f MB done", (double)done / 1e6,
            (double)bytes / 1e6);
    c->rewriting_told = now;
}

static void tick(void *arg)
{
    struct run_context *c = arg;
    if (c->s->run.halt)
        halt_look(c->folder, count_findings, c);
    if (c->s->gdb) /* what stands still may have been stopped there, which also shows the findings */
        return;
    hang_look(c->hang);
    tell_rewriting(c);
    u32 urgent = __atomic_load_n(&run()->urgent, __ATOMIC_ACQUIRE);
    if (urgent == c->urgent_seen)
        return;
    if (!c->urgent_since)
        c->urgent_since = sys_now();
    if (c->s->run.on_deadlock == ON_DEADLOCK_ABORT && sys_now() - c->urgent_since < ABORT_PATIENCE_NS)
        return;
    c->urgent_seen = urgent;
    c->urgent_since = 0;
    tell_urgent(c);
}

/* ---- before ---- */

static void choose_seed(struct settings *s)
{
    if (!s->run.perturb)
        return;
    if (!s->run.perturb_seed) {
        u32 seed = 0;
        if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
            seed = (u32)(sys_now() ^ (u64)getpid());
        s->run.perturb_seed = seed ? seed : 1;
    }
    if (!s->quiet)
        cli_say("random delays with seed %llu; --perturb=%llu repeats them", (unsigned long long)s->run.perturb_seed,
                (unsigned long long)s->run.perturb_seed);
}

static void put_detect(struct buffer *b, u32 detect)
{
    static const char *const names[] = {"deadlock", "misuse", "race", "atomicity",
                                        "contention"}; /* in the order of enum detect_bit */
    const char *between = "";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!(detect & 1u << i))
            continue;
        buffer_print(b, "%s%s", between, names[i]);
        between = ",";
    }
}

/* For the program; with --gdb for gdb to set: then gdb's arguments, which start the program so. */
static char **set_environment(const struct settings *s, const char *folder, const char *library, char **argv)
{
    static const char *const whats[] = {"abort", "report", "break"}, *const hows[] = {"auto", "compiled", "none",
                                                                                      "rewrite"};
    const char *preloaded = getenv("LD_PRELOAD");
    struct buffer options = {0}, preload = {0};
    buffer_put(&options, "detect=");
    put_detect(&options, s->run.detect);
    buffer_print(&options, ":on-deadlock=%s:follow=%s:stack-depth=%u:exit-code=%u:accesses=%s",
                 whats[s->run.on_deadlock % 3], s->run.follow ? "yes" : "no", s->run.stack_depth, s->run.exit_code,
                 hows[s->run.accesses % ARRAY_LEN(hows)]);
    if (s->run.halt)
        buffer_put(&options, ":halt");
    if (s->run.modules[0])
        buffer_print(&options, ":modules='%s'", s->run.modules);
    if (s->run.perturb)
        buffer_print(&options, ":perturb=%llu", (unsigned long long)s->run.perturb_seed);
    buffer_print(&preload, "%s%s%s", library, preloaded && *preloaded ? ":" : "", preloaded ? preloaded : "");
    const struct gdb_variable set[] = {
        {"SNARL_RUN", folder}, {"SNARL_OPTIONS", options.text}, {"LD_PRELOAD", preload.text}, {NULL, NULL}};
    unsetenv("SNARL_OWNER");
    char **gdb = s->gdb ? gdb_command(s, folder, set, argv) : NULL;
    for (size_t i = 0; !s->gdb && set[i].name; i++)
        setenv(set[i].name, set[i].value, 1);
    free(buffer_take(&options));
    free(buffer_take(&preload));
    return gdb;
}

static json_t *command_json(char **argv)
{
    json_t *list = json_array();
    for (; *argv; argv++) {
        char *safe = escape_text(*argv, strlen(*argv));
        json_array_append_new(list, json_string(safe));
        free(safe);
    }
    return list;
}

/* ---- after ---- */

static void mark_shown(json_t *document, const json_t *shown)
{
    json_t *f;
    size_t i;
    json_array_foreach (json_object_get(document, "findings"), i, f)
        if (json_object_get(shown, label_text(f, "id")))
            json_object_set_new(f, "shown", json_true());
}

/* Says, last of all, that accesses were to be watched but no process of the run had any code that tells of them. */
static bool accesses_as_asked(const struct run_context *c)
{
    if (c->s->run.accesses != ACCESSES_COMPILED || run()->accesses == ACCESSES_COMPILED)
        return true;
    cli_say("--accesses=compiled: nothing of this program was built by `snarl cc`, so no memory access was seen");
    return false;
}

/* Prints and writes everything; the exit status. */
static int finish(struct run_context *c)
{
    size_t counting;
    json_t *d = document_of(c, 0, !output_wants_graph(c->s));
    counting = judge(c->s, d);
    bool good = output_files(c->s, d, document_of_process, c);
    struct text_options o = output_text_options(c->s, c->s->log ? -1 : 2);
    mark_shown(d, c->shown);
    char *text = text_report(d, &o);
    good &= output_text(c->s, text, 2, json_object_size(c->shown) > 0);
    free(text);
    json_decref(d);
    if (!good || !accesses_as_asked(c))
        return STATUS_TROUBLE;
    if (counting && c->s->run.exit_code)
        return (int)c->s->run.exit_code;
    return WIFSIGNALED(c->status) ? 128 + WTERMSIG(c->status) : WEXITSTATUS(c->status);
}

static int failed_to_start(const char *path, int err)
{
    cli_say("cannot execute %s: %s", path, strerror(err));
    return err == ENOENT ? STATUS_NOT_FOUND : err == EAGAIN || err == ENOMEM ? STATUS_TROUBLE : STATUS_NOT_EXECUTABLE;
}

static int run_watched(struct settings *s, const char *path, char **argv, const char *library)
{
    struct run_context c = {.s = s, .shown = json_object(), .hang = hang_new()};
    char *folder = folder_create(&s->run);
    int result;
    if (!folder)
        return STATUS_TROUBLE;
    c.command = command_json(argv);
    c.folder = folder;
    collect_several();
    char **gdb = set_environment(s, folder, library, argv);
    if (s->run.halt)
        halt_begin();
    launch_prepare();
    c.begin = sys_now();
    struct launch l = {gdb ? gdb[0] : path, gdb ? gdb : argv, tick, s->run.halt ? HALT_TICK_NS : 0, &c};
    int err = launch_run(&l, &c.status);
    c.ended = true;
    if (err) {
        result = failed_to_start(path, err);
    } else {
        folder_messages(folder);
        result = finish(&c);
    }
    if (getenv("SNARL_KEEP") && *getenv("SNARL_KEEP"))
        cli_say("the run's data is kept in %s; snarl report %s shows it", folder, folder);
    else
        folder_remove(folder);
    hang_free(c.hang);
    arena_close();
    json_decref(c.command);
    json_decref(c.shown);
    free(folder);
    return result;
}

static int run_unwatched(const char *path, char **argv)
{
    cli_say("running %s unwatched", path);
    execvp(path, argv);
    return failed_to_start(path, errno);
}

int cli_run(int argc, char **argv)
{
    struct settings s;
    int status;
    if (settings_parse(&s, &verb, argc, argv, &status))
        return status;
    char **program = argv + s.first, *path = program_find(program[0], &status);
    if (!path)
        return status;
    char *obstacle = program_obstacle(path), *library = NULL;
    if (s.gdb && !gdb_can(path)) {
        status = STATUS_TROUBLE;
    } else if (obstacle) {
        cli_say("%s", obstacle);
        status = s.force ? run_unwatched(path, program) : STATUS_TROUBLE;
    } else if (output_check(&s) && (library = folder_library())) {
        choose_seed(&s);
        status = run_watched(&s, path, program, library);
    } else {
        status = STATUS_TROUBLE;
    }
    free(library);
    free(obstacle);
    free(path);
    return status;
}
