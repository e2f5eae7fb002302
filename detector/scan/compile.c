/* From source to unit files, in parallel. Called by the command. Takes no locks; allocates with malloc.
 *
 * Each unit is made in a process of its own, so that one that LLVM cannot read ends nothing but itself. What was made is kept
 * in the cache under a hash of the preprocessed text, the flags and the versions. A list beside it tells which files went
 * into it, with size and time: when none has changed, nothing is preprocessed either. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front.h"
#include "unit.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define MAX_DROPPED 8

extern char **environ;

struct command {
    char **at;
    u32 n, cap;
};

struct work {
    const struct unit *u;
    const struct front_options *o;
    const char *clang;
    char *dropped[MAX_DROPPED]; /* options that this clang does not know */
    u32 ndropped;
    char *base; /* scratch files begin with that */
    char *errors;
};

const char *compile_clang(void)
{
    static const char *const names[] = {"clang-" STRING(SNARL_LLVM), "clang"};
    const char *path = getenv("PATH");
    for (size_t i = 0; path && i < ARRAY_LEN(names); i++)
        for (const char *p = path; *p; p += strcspn(p, ":"), p += *p == ':') {
            char file[4096];
            snprintf(file, sizeof file, "%.*s/%s", (int)strcspn(p, ":"), p, names[i]);
            if (access(file, X_OK) == 0)
                return names[i];
        }
    return NULL;
}

static void word(struct command *c, const char *text)
{
    if (c->n + 1 >= c->cap)
        c->at = store_grow(c->at, &c->cap, c->n + 2, sizeof *c->at);
    c->at[c->n++] = strdup(text);
    c->at[c->n] = NULL;
}

static char *joined(const char *a, const char *b)
{
    char *text;
    if (asprintf(&text, "%s%s", a, b) < 0)
        abort();
    return text;
}

static bool is_dropped(const struct work *w, const char *arg)
{
    for (u32 i = 0; i < w->ndropped; i++)
        if (strcmp(w->dropped[i], arg) == 0)
            return true;
    return false;
}

static struct command compiler(const struct work *w)
{
    static const char *const recipe[] = {
        "-g",          "-O0", "-Xclang", "-disable-O0-optnone", "-fno-discard-value-names", "-w", "-Qunused-arguments",
        "-DSNARL_SCAN"};
    struct command c = {0};
    word(&c, w->clang);
    for (u32 i = 0; i < w->u->nargs; i++)
        if (!is_dropped(w, w->u->args[i]))
            word(&c, w->u->args[i]);
    for (size_t i = 0; i < ARRAY_LEN(recipe); i++)
        word(&c, recipe[i]);
    return c;
}

/* Runs it in the current folder; its exit status, -1 when there is none. */
static int run(struct command *c, const char *errors)
{
    posix_spawn_file_actions_t files;
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (posix_spawnp(&pid, c->at[0], &files, NULL, c->at, environ) == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    posix_spawn_file_actions_destroy(&files);
    for (u32 i = 0; i < c->n; i++)
        free(c->at[i]);
    free(c->at);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *read_file(const char *path, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    char *text = store_alloc((size_t)st.st_size + 1);
    ssize_t got;
    for (*n = 0; *n < (size_t)st.st_size && (got = read(fd, text + *n, (size_t)st.st_size - *n)) > 0;)
        *n += (size_t)got;
    close(fd);
    return text;
}

/* The option that the compiler says it does not know, to go on without it. */
static bool drop_unknown(struct work *w)
{
    size_t n;
    char *text = read_file(w->errors, &n), *at = text ? strstr(text, "unknown argument") : NULL;
    char *quote = at ? strchr(at, '\'') : NULL, *end = quote ? strchr(quote + 1, '\'') : NULL;
    bool found = end && w->ndropped < MAX_DROPPED;
    if (found) {
        w->dropped[w->ndropped++] = strndup(quote + 1, (size_t)(end - quote - 1));
    }
    free(text);
    return found;
}

/* ---- what went into a unit ---- */

static u64 flags_hash(const struct work *w)
{
    u64 h = hash_bytes(SNARL_VERSION STRING(SNARL_LLVM), sizeof SNARL_VERSION STRING(SNARL_LLVM), sizeof(struct value));
    h = hash_combine(h, hash_bytes(w->clang, strlen(w->clang), 0));
    h = hash_combine(h, hash_bytes(w->u->file, strlen(w->u->file), 1));
    h = hash_combine(h, hash_bytes(w->u->folder, strlen(w->u->folder), 2));
    for (u32 i = 0; i < w->u->nargs; i++)
        h = hash_combine(h, hash_bytes(w->u->args[i], strlen(w->u->args[i]), i));
    return h;
}

static char *cache_file(const struct work *w, u64 h, const char *end)
{
    char *path;
    if (asprintf(&path, "%s/%016llx%s", w->o->cache, (unsigned long long)h, end) < 0)
        abort();
    return path;
}

static bool stamp_of(const char *file, char *out, size_t n)
{
    struct stat st;
    if (stat(file, &st) < 0)
        return false;
    snprintf(out, n, "%lld %lld.%09ld", (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    return true;
}

/* The list says which unit these flags made, and from which files: "KEY\n" and "SIZE TIME FILE\n" for each. The unit's path
 * when nothing has changed since. */
static char *unchanged(const struct work *w)
{
    char *list = cache_file(w, flags_hash(w), ".files"), *result = NULL;
    size_t n;
    char *text = read_file(list, &n), *rest = text;
    char *key = text ? strsep(&rest, "\n") : NULL, *line;
    bool same = key && strlen(key) == 16;
    while (same && (line = strsep(&rest, "\n")) && *line) {
        char *file = strchr(line, ' '), stamp[80];
        file = file ? strchr(file + 1, ' ') : NULL;
        if (!file)
            break;
        *file++ = 0;
        same = stamp_of(file, stamp, sizeof stamp) && strcmp(stamp, line) == 0;
    }
    if (same) {
        result = cache_file(w, strtoull(key, NULL, 16), ".unit");
        if (access(result, R_OK) != 0) {
            free(result);
            result = NULL;
        }
    }
    free(list);
    free(text);
    return result;
}

/* Writes the list from the compiler's line of prerequisites ("x.o: a.c b.h \"). */
static void remember(const struct work *w, u64 key, const char *prerequisites)
{
    char *list = cache_file(w, flags_hash(w), ".files"), *part = joined(list, ".part");
    size_t n;
    char *text = read_file(prerequisites, &n), *rest = text ? strchr(text, ':') : NULL, stamp[80];
    FILE *out = rest ? fopen(part, "we") : NULL;
    if (out) {
        fprintf(out, "%016llx\n", (unsigned long long)key);
        rest++;
        for (char *file; (file = strsep(&rest, " \n"));)
            if (*file && strcmp(file, "\\") != 0 && stamp_of(file, stamp, sizeof stamp))
                fprintf(out, "%s %s\n", stamp, file);
        if (fclose(out) == 0)
            rename(part, list);
    }
    free(text);
    free(list);
    free(part);
}

/* Preprocesses, and hashes what comes out with the flags. 0 when that fails. */
static u64 preprocess(struct work *w, const char *prerequisites)
{
    char *text = joined(w->base, ".i"), *data;
    u64 h = 0;
    size_t n;
    for (int status = 1, tries = 0; status != 0 && tries <= MAX_DROPPED; tries++) {
        struct command c = compiler(w);
        const char *const more[] = {"-E", "-MD", "-MF", prerequisites, "-o", text, w->u->file};
        for (size_t i = 0; i < ARRAY_LEN(more); i++)
            word(&c, more[i]);
        status = run(&c, w->errors);
        if (status == 0 && (data = read_file(text, &n))) {
            h = hash_combine(flags_hash(w), hash_bytes(data, n, 0)) | 1;
            free(data);
        } else if (!drop_unknown(w)) {
            break;
        }
    }
    unlink(text);
    free(text);
    return h;
}

/* ---- one unit ---- */

/* Says on the pipe what came of it: a letter and a path or a reason. */
static void answer(int fd, char state, const char *text)
{
    char line[4400];
    int n = snprintf(line, sizeof line, "%c%s", state, text);
    if (n >= (int)sizeof line)
        n = sizeof line - 1;
    if (write(fd, line, (size_t)n) < 0)
        _exit(1);
}

static void first_error(struct work *w, int fd)
{
    size_t n;
    char *text = read_file(w->errors, &n), *at = text ? strstr(text, "error: ") : NULL;
    if (at)
        at[strcspn(at, "\n")] = 0;
    char *said = joined("does not compile with clang: ", at ? at + 7 : "no reason given");
    answer(fd, 'x', said);
    free(said);
    free(text);
}

static bool make_bitcode(struct work *w, const char *bitcode)
{
    for (int tries = 0; tries <= MAX_DROPPED; tries++) {
        struct command c = compiler(w);
        const char *const more[] = {"-emit-llvm", "-c", "-o", bitcode, w->u->file};
        for (size_t i = 0; i < ARRAY_LEN(more); i++)
            word(&c, more[i]);
        if (run(&c, w->errors) == 0)
            return true;
        if (!drop_unknown(w))
            return false;
    }
    return false;
}

static void read_bitcode(const char *bitcode, const char *result, int fd)
{
    struct program p = {0};
    char err[400];
    if (unit_read_llvm(&p, bitcode, err, sizeof err) != 0)
        answer(fd, 'x', err);
    else if (unit_write(&p, result) != 0)
        answer(fd, 'x', "its result cannot be written");
    else
        answer(fd, 'r', result);
}

/* In the child: everything relative to the unit's folder. */
static void make_unit(struct work *w, int fd)
{
    char *bitcode = joined(w->base, ".bc"), *result = joined(w->base, ".unit"), *needs = joined(w->base, ".d"), *kept;
    u64 key = 0;
    if (chdir(w->u->folder) < 0) {
        answer(fd, 'x', "its folder is not there");
        return;
    }
    if (w->u->bitcode) {
        read_bitcode(w->u->file, result, fd);
        return;
    }
    if (w->o->cache && (kept = unchanged(w))) {
        answer(fd, 'c', kept);
        return;
    }
    if (w->o->cache && (key = preprocess(w, needs))) {
        kept = cache_file(w, key, ".unit");
        remember(w, key, needs);
        if (access(kept, R_OK) == 0) {
            answer(fd, 'c', kept);
            return;
        }
        result = kept;
    }
    if (make_bitcode(w, bitcode))
        read_bitcode(bitcode, result, fd);
    else
        first_error(w, fd);
    unlink(bitcode);
    unlink(needs);
}

static pid_t start(struct units *u, u32 i, const struct front_options *o, const char *clang, int *from)
{
    int ends[2];
    struct work w = {.u = &u->at[i], .o = o, .clang = clang};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (asprintf(&w.base, "%s/%u", o->scratch, i) < 0)
            _exit(1);
        w.errors = joined(w.base, ".err");
        make_unit(&w, ends[1]);
        unlink(w.errors);
        _exit(0);
    }
    close(ends[1]);
    *from = ends[0];
    if (pid < 0)
        close(ends[0]);
    return pid;
}

static void finish(struct unit *u, int from)
{
    char text[4400];
    ssize_t n = read(from, text, sizeof text - 1);
    close(from);
    text[n > 0 ? n : 0] = 0;
    if (*text == 'c' || *text == 'r') {
        u->state = *text == 'c' ? UNIT_CACHED : UNIT_READ;
        u->result = strdup(text + 1);
    } else {
        u->state = UNIT_LEFT_OUT;
        u->problem = strdup(*text == 'x' ? text + 1 : "LLVM failed on it");
    }
}

static void progress(const struct front_options *o, u32 done, u32 n)
{
    if (o->progress)
        fprintf(stderr, "\rsnarl: %u of %u units%s", done, n, done == n ? "\r\033[K" : "");
}

int compile_all(struct units *u, const struct front_options *o)
{
    struct {
        pid_t pid;
        u32 unit;
        int from;
    } running[64];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    u32 most = o->jobs ? o->jobs : processors > 0 ? (u32)processors : 1, now = 0, next = 0, done = 0;
    const char *clang = compile_clang();
    most = most > ARRAY_LEN(running) ? ARRAY_LEN(running) : most;
    while (done < u->n) {
        while (now < most && next < u->n) {
            if (u->at[next].state != UNIT_TODO) {
                next++;
                done++;
                continue;
            }
            running[now].pid = start(u, next, o, clang, &running[now].from);
            if (running[now].pid < 0)
                return -errno;
            running[now++].unit = next++;
        }
        if (!now)
            continue;
        pid_t ended = wait(NULL);
        if (ended < 0 && errno != EINTR)
            return -errno;
        for (u32 i = 0; i < now; i++)
            if (running[i].pid == ended) {
                finish(&u->at[running[i].unit], running[i].from);
                running[i] = running[--now];
                progress(o, ++done, u->n);
                break;
            }
    }
    return 0;
}
