/* What test_symbol and test_symbol_files share: building fixtures, running them, and comparing what they say of their
 * locks and call sites with what the symboliser says. */
#ifndef SYMBOL_FIXTURE_H
#define SYMBOL_FIXTURE_H

#include "unit.h"

#include "symbol/variable.h"

#include <elf.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIXTURES SNARL_SOURCE_DIR "/tests/unit/symbol"
#define C_FLAGS "-std=gnu11 -I" FIXTURES " "
#define DATA_MARK 1000 /* DATA of mark.h */
#define CXX_FLAGS "-std=c++17 -I" FIXTURES " "

static char folder[64]; /* one per test run, removed at the end */

static inline int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline int run(const char *format, ...)
{
    char command[8192];
    va_list ap;
    int n = snprintf(command, sizeof command, "cd %s && ", folder);
    va_start(ap, format);
    vsnprintf(command + n, sizeof command - (size_t)n, format, ap);
    va_end(ap);
    int status = system(command);
    if (status != 0)
        fprintf(stderr, "failed: %s\n", command);
    return status;
}

/* Is the tool there? Says so if not: the test is skipped then. */
static inline bool have(const char *tool)
{
    char command[128];
    snprintf(command, sizeof command, "command -v %s >/dev/null", tool);
    bool found = system(command) == 0;
    if (!found)
        fprintf(stderr, " (skipped: no %s)", tool);
    return found;
}

static inline void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (folder[0] && system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
}

static inline void need_folder(void)
{
    if (folder[0])
        return;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/snarl-symbol-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        abort();
    atexit(remove_folder);
    CU_ASSERT_EQUAL_FATAL(run("cc -O1 -fPIC -c %s/mark.c -o mark.o", FIXTURES), 0);
}

struct place {
    struct symbol_site site[32];
    size_t n;
};

struct expected {
    const char *kind, *class_name, *functions;
    unsigned line;
    int type;
    struct place object, alloc, stack;
    size_t size;
    long offset;
};

static char program[512]; /* path of the fixture under test, resolved */
static bool ignore_types; /* no DWARF for the fixture: only symbols are expected */

static inline bool is_program(const char *path)
{
    return strcmp(path, program) == 0;
}

static inline void parse_places(struct symbolizer *s, char *text, bool call_site, struct place *out)
{
    char *save = NULL;
    out->n = 0;
    for (char *p = strtok_r(text, ",", &save); p && out->n < 32; p = strtok_r(NULL, ",", &save)) {
        char *at = strrchr(p, '@');
        struct symbol_site site = {.call_site = call_site};
        if (at) {
            *at = 0;
            site.module = symbol_module(s, p, NULL, is_program(p), NULL, 0);
            site.address = strtoull(at + 1, NULL, 0);
        }
        out->site[out->n++] = site;
    }
}

static inline bool parse_line(struct symbolizer *s, char *line, struct expected *e)
{
    char *field[10];
    line[strcspn(line, "\n")] = 0;
    for (int i = 0; i < 10; i++) {
        field[i] = strsep(&line, "\t");
        if (!field[i])
            return false;
    }
    *e = (struct expected){.kind = field[0], .class_name = field[1], .functions = field[2]};
    e->line = (unsigned)atoi(field[3]);
    e->type = atoi(field[4]);
    e->size = strtoull(field[6], NULL, 0);
    e->offset = strtol(field[7], NULL, 0);
    parse_places(s, field[5], false, &e->object);
    parse_places(s, field[8], true, &e->alloc);
    parse_places(s, field[9], true, &e->stack);
    return true;
}

static inline void expect_text(const char *got, const char *want, const char *what)
{
    bool same = got && strcmp(got, want) == 0;
    if (!same)
        fprintf(stderr, "\n    %s: got %s, want %s (%s)", program, got ? got : "(null)", want, what);
    CU_ASSERT_TRUE(same);
}

static inline void without_system(struct symbolizer *s, struct place *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (is_program(symbol_module_status(s, p->site[i].module)->path))
            p->site[n++] = p->site[i];
    }
    p->n = n;
}

/* Expected: "class|for people|type". */
static inline void check_data(struct symbolizer *s, struct expected *e)
{
    struct data_name got;
    u64 size = (u64)e->type - DATA_MARK;
    char text[512];
    switch (e->kind[0]) {
    case 'g':
        data_global(s, e->object.site[0].module, e->object.site[0].address, size, &got);
        break;
    case 't':
        data_tls(s, e->object.site[0].module, e->object.site[0].address, size, &got);
        break;
    case 'h':
        without_system(s, &e->alloc);
        without_system(s, &e->stack);
        data_heap(s, e->alloc.site, e->alloc.n, e->stack.site, e->stack.n, e->size, (u64)e->offset, size, &got);
        break;
    default:
        data_stack(s, e->stack.site[0], e->offset, size, &got);
        break;
    }
    snprintf(text, sizeof text, "%s|%s|%s", got.name.class_name, got.shown ? got.shown : "", got.type ? got.type : "");
    expect_text(text, e->class_name, "data");
    if (got.name.source == NAME_TYPED && got.type) {
        CU_ASSERT_TRUE((!got.size || got.size >= size) && got.shape != DATA_UNKNOWN);
        CU_ASSERT_PTR_NOT_NULL(got.shown);
    }
}

static inline void check_class(struct symbolizer *s, struct expected *e)
{
    struct variable_name got;
    enum lock_type type = (enum lock_type)e->type;
    if (e->type >= DATA_MARK) {
        check_data(s, e);
        return;
    }
    switch (e->kind[0]) {
    case 'g':
        variable_global(s, e->object.site[0].module, e->object.site[0].address, type, &got);
        break;
    case 't':
        variable_tls(s, e->object.site[0].module, e->object.site[0].address, type, &got);
        break;
    case 'h':
        heap_class(s, e->alloc.site, e->alloc.n, e->stack.site, e->stack.n, false, e->size, (u64)e->offset, type, &got);
        break;
    default:
        stack_class(s, e->stack.site[0], e->offset, type, &got);
        break;
    }
    expect_text(got.class_name, e->class_name, "class");
    if (got.source == NAME_TYPED) {
        CU_ASSERT_TRUE(got.line > 0);
        CU_ASSERT_PTR_NOT_NULL(got.file);
    }
}

/* functions: "inner/outer/main", innermost first; "~" ends the comparison. */
static inline void check_functions(struct symbolizer *s, struct expected *e)
{
    char want[512], got[512] = "", *more;
    size_t wanted = 1;
    snprintf(want, sizeof want, "%s", e->functions);
    if ((more = strstr(want, "/~")))
        *more = 0;
    for (const char *c = want; *c; c++)
        wanted += *c == '/';
    for (size_t i = 0, n = 0; i < e->stack.n && n < wanted; i++) {
        struct symbol_site *at = &e->stack.site[i];
        const struct symbol_frames *f = symbol_lookup(s, at->module, at->address, true);
        for (u32 k = 0; k < f->n && n < wanted; k++, n++) {
            const struct symbol_frame *frame = &f->frame[k];
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", n ? "/" : "",
                     frame->name ? frame->name : "?");
            CU_ASSERT_EQUAL(frame->inlined, k + 1 < f->n);
            if (n == 0 && !ignore_types && frame->line != e->line)
                expect_text("wrong line", "right line", e->class_name);
        }
    }
    expect_text(got, want, "functions");
}

/* Runs the program, checks all its marks. Number of marks. */
static inline int check_marks(struct symbolizer *s, const char *name)
{
    char command[1024], *line = NULL;
    size_t cap = 0;
    int marks = 0;
    struct expected e;
    snprintf(command, sizeof command, "%s/%s", folder, name);
    if (!realpath(command, program))
        return 0;
    FILE *out = popen(program, "r");
    while (out && getline(&line, &cap, out) > 0) {
        CU_ASSERT_TRUE_FATAL(parse_line(s, line, &e));
        if (ignore_types && e.kind[0] != 'g')
            continue;
        check_class(s, &e);
        check_functions(s, &e);
        marks++;
    }
    free(line);
    CU_ASSERT_EQUAL(out ? pclose(out) : -1, 0);
    return marks;
}

static inline void build(const char *name, const char *compiler, const char *flags, const char *sources)
{
    need_folder();
    CU_ASSERT_EQUAL_FATAL(
        run("mkdir -p %s && cd %s && %s %s %s ../mark.o -o exe", name, name, compiler, flags, sources), 0);
}

static inline void check_variant(const char *name, const char *compiler, const char *flags, const char *sources,
                                 int marks)
{
    need_folder();
    struct symbolizer *s = symbolizer_new("");
    CU_ASSERT_EQUAL_FATAL(
        run("mkdir -p %s && cd %s && %s %s %s ../mark.o -o exe", name, name, compiler, flags, sources), 0);
    char path[128];
    snprintf(path, sizeof path, "%s/exe", name);
    CU_ASSERT_EQUAL(check_marks(s, path), marks);
    symbolizer_free(s);
}

#define C_MARKS 33
#define CXX_MARKS 28
#define DATA_C_MARKS 43
#define DATA_CC_MARKS 23
#define DATA_C FIXTURES "/data.c"
#define DATA_CC FIXTURES "/data.cc"
#define LOCKS_C FIXTURES "/locks.c"
#define LOCKS_CC FIXTURES "/locks.cc"

#endif
