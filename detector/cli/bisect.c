/* `snarl bisect`: which function's rewriting changes what a program does? Takes no locks; allocates with malloc.
 *
 * The program runs unwatched, then rewritten up to a limit: so many modules, and of the next one the functions below an
 * address ($SNARL_REWRITE_BELOW, preload/access/rewrite_start.c). Halving finds the lowest limit with which it behaves
 * otherwise: the function just below makes the difference. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/sys.h"
#include "cli.h"
#include "report/label.h"
#include "symbol/symbol.h"

#define MODULES_MOST 256u
#define ADDRESS_BITS 31u
#define FOUND 66

static const struct settings_verb verb = {
    .name = "bisect",
    .arguments = "[--] PROGRAM [ARG...]",
    .text =
        "Finds the function whose rewriting changes what PROGRAM does: its exit status, or what it writes to standard "
        "output. It is run some 40 times, each time with the same standard input.",
    .examples = "Examples:\n"
                "  snarl bisect -- ./app --self-test\n\n"
                "Exit status: 0 when rewriting changes nothing, 66 when the function has been found, 125 when the "
                "program does not do the same twice by itself.\n",
    .plain = true,
    .least = 1,
    .most = -1,
};

struct bisect {
    char **argv;
    char folder[64], result[96];
    int input; /* what each run reads */
    u64 took;  /* by the unwatched one */
    u32 runs;
};

/* What is compared. */
struct behaviour {
    int status; /* as wait tells it; -1: it was ended, for it took too long */
    u64 output; /* hash */
    bool ran;   /* it could be started at all */
};

static bool same(const struct behaviour *a, const struct behaviour *b)
{
    return a->status == b->status && a->output == b->output;
}

/* ---- one run ---- */

static _Noreturn void child(const struct bisect *b, char **argv, int out)
{
    setpgid(0, 0);
    lseek(b->input, 0, SEEK_SET);
    dup2(b->input, 0);
    dup2(out, 1);
    execvp(argv[0], argv);
    _exit(STATUS_NOT_FOUND);
}

static int wait_for(pid_t pid, u64 limit_ns)
{
    int status;
    u64 begin = sys_now();
    for (;;) {
        pid_t r = waitpid(pid, &status, limit_ns ? WNOHANG : 0);
        if (r == pid)
            return status;
        if (r < 0 && errno != EINTR)
            return -1;
        if (limit_ns && sys_now() - begin > limit_ns) {
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1;
        }
        sys_sleep_ns(2000000);
    }
}

static u64 hash_of(int fd)
{
    static char buffer[65536];
    u64 hash = 0;
    lseek(fd, 0, SEEK_SET);
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
        hash = hash_bytes(buffer, (size_t)n, hash);
    return hash;
}

static struct behaviour run_once(struct bisect *b, char **argv, u64 limit_ns)
{
    struct behaviour r = {.status = -1};
    int out = memfd_create("output", MFD_CLOEXEC);
    pid_t pid = out < 0 ? -1 : fork();
    if (pid == 0)
        child(b, argv, out);
    if (pid > 0) {
        setpgid(pid, pid);
        r.status = wait_for(pid, limit_ns);
        r.output = hash_of(out);
        r.ran = true;
    }
    if (out >= 0)
        close(out);
    b->runs++;
    return r;
}

/* Rewritten: so many modules whole, and of the next one what lies below the address. */
static struct behaviour run_below(struct bisect *b, u32 modules, u64 address)
{
    char limit[64], json[128], self[] = "/proc/self/exe";
    static char run[] = "run", how[] = "--accesses=rewrite", which[] = "--modules=all", code[] = "--exit-code=0",
                quiet[] = "--quiet", log[] = "--log=/dev/null", hang[] = "--on-deadlock=report", end[] = "--";
    size_t n = 0;
    while (b->argv[n])
        n++;
    char **argv = calloc(n + 12, sizeof *argv);
    if (!argv)
        abort();
    snprintf(json, sizeof json, "--json=%s", b->result);
    snprintf(limit, sizeof limit, "%u:%llx", modules, (unsigned long long)address);
    char *const before[] = {self, run, how, which, code, quiet, log, hang, json, end};
    memcpy(argv, before, sizeof before);
    memcpy(argv + ARRAY_LEN(before), b->argv, n * sizeof *argv);
    setenv("SNARL_REWRITE_BELOW", limit, 1);
    unlink(b->result);
    struct behaviour r = run_once(b, argv, 30000000000ULL + 50 * b->took);
    unsetenv("SNARL_REWRITE_BELOW");
    free(argv);
    return r;
}

/* ---- halving ---- */

/* The highest limit with which it behaves as it should; up to `most` it does not. */
static u64 halve(struct bisect *b, const struct behaviour *right, u64 most, u32 module, bool addresses)
{
    u64 lo = 0, hi = most;
    while (lo + 1 < hi) {
        u64 middle = lo + (hi - lo) / 2;
        struct behaviour r = addresses ? run_below(b, module, middle) : run_below(b, (u32)middle, 0);
        if (same(&r, right))
            lo = middle;
        else
            hi = middle;
    }
    return lo;
}

static json_t *modules_of(const struct bisect *b)
{
    json_t *d = json_load_file(b->result, 0, NULL);
    json_t *list = json_incref(json_object_get(json_object_get(json_object_get(d, "run"), "coverage"), "modules"));
    json_decref(d);
    return list;
}

/* The path of the module that is in one list and not in the other. malloc'd, or NULL. */
static char *difference(const json_t *more, const json_t *less)
{
    const json_t *m, *l;
    size_t i, k;
    json_array_foreach (more, i, m) {
        bool there = false;
        json_array_foreach (less, k, l)
            there |= label_is(l, "module", label_text(m, "module"));
        if (!there)
            return strdup(label_text(m, "module"));
    }
    return NULL;
}

static char *name_of_module(struct bisect *b, u32 module)
{
    run_below(b, module, 0);
    json_t *less = modules_of(b);
    run_below(b, module + 1, 0);
    json_t *more = modules_of(b);
    char *name = difference(more, less);
    json_decref(less);
    json_decref(more);
    return name;
}

/* ---- telling ---- */

static void describe(char *to, size_t n, const struct behaviour *r)
{
    if (r->status == -1)
        snprintf(to, n, "it does not end");
    else if (WIFSIGNALED(r->status))
        snprintf(to, n, "signal %d", WTERMSIG(r->status));
    else
        snprintf(to, n, "status %d", WEXITSTATUS(r->status));
}

static void tell(const struct bisect *b, const struct behaviour *right, const struct behaviour *wrong, const char *path,
                 u64 address)
{
    char before[40], after[40];
    struct symbolizer *s = symbolizer_new(NULL);
    struct symbol_module *m = s && path ? symbol_module(s, path, NULL, false, NULL, 0) : NULL;
    const struct symbol_frames *frames = m ? symbol_lookup(s, m, address, false) : NULL;
    const char *name = frames && frames->n && frames->frame[frames->n - 1].function
                           ? frames->frame[frames->n - 1].function
                           : "a function without a name";
    describe(before, sizeof before, right);
    describe(after, sizeof after, wrong);
    printf("rewriting changes what the program does: %s, at %s+0x%llx\n", name, path ? path : "?",
           (unsigned long long)address);
    printf("unwatched: %s; rewritten: %s; its output %s (%u runs)\n", before, after,
           right->output == wrong->output ? "is the same" : "differs", b->runs);
    symbolizer_free(s);
}

static int search(struct bisect *b)
{
    u64 begin = sys_now();
    struct behaviour right = run_once(b, b->argv, 0);
    b->took = sys_now() - begin;
    struct behaviour again = run_once(b, b->argv, 0);
    if (!right.ran || !same(&right, &again)) {
        cli_say("bisect: the program does not do the same twice by itself, so nothing can be compared");
        return STATUS_TROUBLE;
    }
    struct behaviour wrong = run_below(b, MODULES_MOST, 0);
    if (same(&right, &wrong)) {
        printf("rewriting does not change what the program does\n");
        return 0;
    }
    again = run_below(b, 0, 0);
    if (!same(&right, &again)) {
        cli_say("bisect: it behaves otherwise even when it is watched and nothing is rewritten");
        return STATUS_TROUBLE;
    }
    u32 module = (u32)halve(b, &right, MODULES_MOST, 0, false);
    u64 address = halve(b, &right, 1ULL << ADDRESS_BITS, module, true);
    wrong = run_below(b, module, address + 1);
    char *path = name_of_module(b, module);
    tell(b, &right, &wrong, path, address);
    free(path);
    return FOUND;
}

/* Standard input, to be read again and again; nothing from a terminal. */
static int take_input(void)
{
    static char buffer[65536];
    int fd = memfd_create("input", 0);
    if (fd < 0 || isatty(0))
        return fd;
    for (ssize_t n; (n = read(0, buffer, sizeof buffer)) > 0;)
        if (sys_write_all(fd, buffer, (size_t)n))
            break;
    return fd;
}

int cli_bisect(int argc, char **argv)
{
    struct settings s;
    struct bisect b = {0};
    int status;
    if (settings_parse(&s, &verb, argc, argv, &status))
        return status;
    b.argv = argv + s.first;
    char *path = program_find(b.argv[0], &status);
    if (!path)
        return status;
    free(path);
    snprintf(b.folder, sizeof b.folder, "/tmp/snarl-bisect-XXXXXX");
    if (!mkdtemp(b.folder) || (b.input = take_input()) < 0) {
        cli_say("bisect: no room for what the runs need: %s", strerror(errno));
        return STATUS_TROUBLE;
    }
    snprintf(b.result, sizeof b.result, "%s/result.json", b.folder);
    status = search(&b);
    unlink(b.result);
    rmdir(b.folder);
    close(b.input);
    return status;
}
