/* A compiler's command line: what it asks for, and what `snarl cc` makes of it. Called by the verbs cc and c++. Takes no
 * locks; allocates with malloc, which the process keeps until it becomes the compiler.
 *
 * Only as much is understood as is needed: is there input, is something linked, is there an option that cannot be
 * together with snarl. What the user wrote goes on unchanged, behind what is added, so that it wins where both speak.
 *
 * gcc decides itself when its runtime is linked, by specs that no option takes back for the link alone. So it finds
 * another library of that name, and an empty object where the runtime has one more: in the folder cc beside libsnarl.so
 * (preload/CMakeLists.txt). That library has libsnarl.so's name for the loader and nothing but the symbols of the
 * compilers' interface: linked with libsnarl.so itself, programs would take from it what they take from libc or another
 * library. clang's driver does not hear of the instrumentation, and gets the same library by its path. */
#include "cc_line.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/types.h"
#include "report/buffer.h"

#define MAX_NESTED 10 /* @files that name @files */

static char *concat(const char *a, const char *b)
{
    char *s = malloc(strlen(a) + strlen(b) + 1);
    if (!s)
        abort();
    stpcpy(stpcpy(s, a), b);
    return s;
}

/* ---- lists of words ---- */

struct words {
    char **at;
    size_t n, room;
};

static void add(struct words *w, const char *word)
{
    if (w->n + 1 >= w->room) {
        w->room = w->room ? 2 * w->room : 32;
        w->at = reallocarray(w->at, w->room, sizeof *w->at);
        if (!w->at)
            abort();
    }
    w->at[w->n++] = (char *)(uintptr_t)word;
    w->at[w->n] = NULL;
}

static void add_list(struct words *w, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(w, list[i]);
}
/* A list of words as two arguments. */
#define LIST(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

char **cc_words(const char *text)
{
    struct words w = {0};
    char *copy = concat(text, ""), *rest = NULL;
    for (char *word = strtok_r(copy, " \t\n", &rest); word; word = strtok_r(NULL, " \t\n", &rest))
        add(&w, word);
    if (!w.n)
        free(copy);
    return w.at ? w.at : calloc(1, sizeof *w.at);
}

/* ---- @files ---- */

static char *read_whole(const char *path)
{
    struct buffer b = {0};
    char block[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    while ((n = fread(block, 1, sizeof block - 1, f)) > 0) {
        block[n] = 0;
        buffer_put(&b, block);
    }
    fclose(f);
    buffer_put(&b, "");
    return buffer_take(&b);
}

/* The next word of an @file, as the compilers read them: blanks separate, quotes and backslashes protect. Cut off and
 * unquoted in place. */
static char *next_word(char **at)
{
    char *s = *at, *word, *to, quote = 0;
    while (isspace((unsigned char)*s))
        s++;
    if (!*s)
        return NULL;
    for (word = to = s; *s && (quote || !isspace((unsigned char)*s)); s++) {
        if (*s == '\\' && s[1])
            *to++ = *++s;
        else if (*s == quote)
            quote = 0;
        else if (!quote && (*s == '\'' || *s == '"'))
            quote = *s;
        else
            *to++ = *s;
    }
    *at = *s ? s + 1 : s;
    *to = 0;
    return word;
}

static void expand(struct words *to, const char *word, int depth)
{
    char *text = word[0] == '@' && depth < MAX_NESTED ? read_whole(word + 1) : NULL, *inner;
    if (!text) {
        add(to, word);
        return;
    }
    while ((inner = next_word(&text)))
        expand(to, inner, depth + 1);
}

/* ---- what is asked for ---- */

static bool in(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, list[i]) == 0)
            return true;
    return false;
}
#define IN(word, ...) in(word, LIST(__VA_ARGS__))

static bool starts(const char *word, const char *beginning)
{
    return strncmp(word, beginning, strlen(beginning)) == 0;
}

/* The next word belongs to it. Only where that could be taken for input does an omission matter. */
static bool takes_next(const char *o)
{
    return IN(o, "-o", "-I", "-L", "-D", "-U", "-B", "-F", "-l", "-x", "-T", "-u", "-z", "-e", "-h", "-A", "-V", "-b",
              "-MF", "-MT", "-MQ", "-MJ", "-Xlinker", "-Xassembler", "-Xpreprocessor", "-Xclang", "-Xanalyzer",
              "-mllvm", "-mthread-model") ||
           IN(o, "-include", "-imacros", "-isystem", "-idirafter", "-iquote", "-iprefix", "-iwithprefix",
              "-iwithprefixbefore", "-isysroot", "-imultilib", "-iframework", "-ivfsoverlay", "-include-pch", "-arch",
              "-target", "--target", "-gcc-toolchain", "-resource-dir", "-working-directory", "--config", "--sysroot",
              "--param", "-aux-info", "-dumpdir", "-dumpbase", "-dumpbase-ext", "-wrapper", "-specs", "--specs",
              "-framework", "-index-store-path", "-serialize-diagnostics", "--serialize-diagnostics",
              "-dependency-file", "--output", "--language", "--include", "--imacros", "--define-macro",
              "--undefine-macro", "--include-directory", "--library-directory");
}

static bool stops_before_link(const char *o)
{
    return IN(o, "-c", "-S", "-E", "-M", "-MM", "-fsyntax-only", "--compile", "--assemble", "--preprocess",
              "--dependencies", "--user-dependencies", "--syntax-only", "--precompile", "--analyze", "-emit-ast",
              "-emit-pch", "-verify-pch");
}

static bool is_header(const char *file)
{
    const char *dot = strrchr(file, '.');
    return dot && IN(dot, ".h", ".H", ".hh", ".hp", ".hxx", ".hpp", ".HPP", ".h++", ".tcc", ".inl");
}

/* How much debug information, not merely in which form. */
static bool is_debug(const char *o)
{
    return strcmp(o, "-g") == 0 || (starts(o, "-g") && isdigit((unsigned char)o[2])) || starts(o, "-ggdb") ||
           starts(o, "-gdwarf") || starts(o, "-gline") || starts(o, "-glldb") || starts(o, "-gsplit-dwarf") ||
           IN(o, "-gmlt", "-gbtf", "-gctf", "-gfull", "-gused", "-gmodules", "--debug");
}

/* One -fsanitize= or -fno-sanitize= list. */
static void note_sanitizers(struct cc_job *job, const char *list, bool on)
{
    while (*list) {
        char name[sizeof job->sanitizer];
        size_t n = strcspn(list, ",");
        snprintf(name, sizeof name, "%.*s", (int)n, list);
        bool all = !on && strcmp(name, "all") == 0;
        if (all || strcmp(name, "thread") == 0)
            job->instruments = job->thread = on;
        if (on &&
            IN(name, "address", "hwaddress", "memory", "leak", "kernel-address", "kernel-hwaddress", "kernel-memory"))
            memcpy(job->sanitizer, name, sizeof name);
        else if (!on && (all || strcmp(name, job->sanitizer) == 0))
            job->sanitizer[0] = 0;
        list += n + (list[n] == ',');
    }
}

static void note_option(struct cc_job *job, const char *o)
{
    if (stops_before_link(o))
        job->links = false;
    else if (IN(o, "-static", "--static", "-static-pie", "--static-pie"))
        job->fixed = true;
    else if (IN(o, "-nostdlib", "--no-standard-libraries", "-nodefaultlibs", "-r", "-Wl,-r", "-Wl,--relocatable"))
        job->bare = true;
    else if (starts(o, "-fsanitize="))
        note_sanitizers(job, strchr(o, '=') + 1, true);
    else if (starts(o, "-fno-sanitize="))
        note_sanitizers(job, strchr(o, '=') + 1, false);
    else if (is_debug(o))
        job->debug = true;
}

void cc_job_read(struct cc_job *job, char *const *args)
{
    struct words w = {0};
    bool headers = false, others = false, header_language = false;
    *job = (struct cc_job){.links = true, .instruments = true};
    for (; *args; args++)
        expand(&w, *args, 0);
    for (size_t i = 0; i < w.n; i++) {
        const char *o = w.at[i];
        if (o[0] != '-' || !o[1]) {
            bool header = header_language || is_header(o);
            headers |= header;
            others |= !header;
            continue;
        }
        const char *language = strcmp(o, "-x") == 0 ? w.at[i + 1] : starts(o, "-x") ? o + 2 : NULL;
        if (language)
            header_language = strstr(language, "-header") != NULL;
        others |= starts(o, "-l") || IN(o, "-Xlinker");
        note_option(job, o);
        if (takes_next(o) && w.at[i + 1])
            i++;
    }
    free(w.at);
    job->works = headers || others;
    job->links &= others;
}

char *cc_job_obstacle(const struct cc_job *job)
{
    char *text = NULL;
    if (!job->works)
        return NULL;
    if (job->sanitizer[0] && asprintf(&text,
                                      "-fsanitize=%s cannot be together with snarl: both take over the same functions. "
                                      "Leave it out, or build with it apart, without `snarl cc`",
                                      job->sanitizer) < 0)
        abort();
    if (!text && job->links && job->fixed)
        text = concat("a statically linked program cannot be watched, for no library can be loaded into it. "
                      "Leave out -static",
                      "");
    return text;
}

/* ---- the command ---- */

/* Says it to the linker before anything of the user's. */
static void add_linker(struct words *w, const char *word)
{
    add_list(w, LIST("-Xlinker", word));
}

static void add_library(struct words *w, const char *folder)
{
    add_linker(w, "--push-state");
    add_linker(w, "--no-as-needed");
    add(w, concat(folder, "/cc/libtsan.so"));
    add_linker(w, "--pop-state");
}

/* Hooks are called through the GOT at once. -Wtsan warns of fences, which snarl understands. What gcc makes of calls of
 * these functions for a few bytes it does not instrument; as calls they are seen, and hardly slower than what it does
 * instrument. */
static void add_gcc(struct words *w, const struct cc_job *job, const char *folder)
{
    char *runtime = concat(folder, "/cc/");
    add(w, concat("-B", runtime));
    add(w, concat("-L", runtime));
    add_list(w, LIST("-fsanitize=thread", "-Wno-tsan", "-fno-plt", "-fno-builtin-memcpy", "-fno-builtin-memmove",
                     "-fno-builtin-memset", "-fno-builtin-memcmp", "-fno-builtin-strcpy", "-fno-builtin-strncpy",
                     "-fno-builtin-strcat", "-fno-builtin-strcmp", "-fno-builtin-strncmp"));
    free(runtime);
    if (job->links && !job->bare && !job->instruments)
        add_library(w, folder);
}

/* The driver is not told, for it would link its runtime; or, kept from that, not link other ones that are wanted. Of
 * x++ clang tells of the write alone unless asked: whether it has been read decides what is a lost update. */
static void add_clang(struct words *w, const struct cc_job *job, const char *folder)
{
    if (job->instruments)
        add_list(w, LIST("--start-no-unused-arguments", "-Xclang", "-fsanitize=thread", "-mllvm",
                         "-tsan-compound-read-before-write=1", "--end-no-unused-arguments"));
    if (job->links && !job->bare)
        add_library(w, folder);
}

char **cc_job_command(const struct cc_job *job, const struct cc_compiler *c, const char *folder, char *const *args)
{
    struct words w = {0};
    for (char **word = c->words; *word; word++)
        add(&w, *word);
    if (job->works) {
        if (c->family == CC_CLANG)
            add_clang(&w, job, folder);
        else
            add_gcc(&w, job, folder);
        if (!job->debug)
            add(&w, "-g1");
        if (job->links && !job->bare) {
            add_linker(&w, "-rpath");
            add_linker(&w, folder);
        }
    }
    for (; *args; args++)
        if (!IN(*args, "-static-libtsan", "-static-libsan", "-shared-libsan")) /* of the runtime that is not linked */
            add(&w, *args);
    if (job->works && job->thread && c->family == CC_CLANG)
        add(&w, "-fno-sanitize=thread");
    return w.at;
}

/* ---- names of compilers ---- */

/* The last part of a name, without a version: gcc of x86_64-linux-gnu-gcc-12. malloc'd. */
static char *bare_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = concat(slash ? slash + 1 : path, ""), *dash = strrchr(name, '-'), *last;
    if (dash && dash[1] && !dash[1 + strspn(dash + 1, "0123456789.")])
        *dash = 0;
    dash = strrchr(name, '-');
    last = concat(dash ? dash + 1 : name, "");
    free(name);
    return last;
}

enum cc_family cc_name_family(const char *path, bool *is_compiler)
{
    char *name = bare_name(path);
    enum cc_family family = CC_UNKNOWN;
    if (IN(name, "gcc", "g++"))
        family = CC_GCC;
    else if (IN(name, "clang", "clang++"))
        family = CC_CLANG;
    *is_compiler = family != CC_UNKNOWN || IN(name, "cc", "c++", "c89", "c99");
    free(name);
    return family;
}
