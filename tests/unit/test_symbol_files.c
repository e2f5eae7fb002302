/* Where the symboliser gets its names from: separate debug files in every place, stripped and rebuilt modules, broken
 * files; and the names themselves. */
#include "symbol/fixture.h"

#include "symbol/internal.h"

#include <fcntl.h>
#include <limits.h>

/* The fixture without debug information in it, and its debug file, both fresh in `name`/. */
static void build_split(const char *name)
{
    build(name, "gcc", C_FLAGS "-g -O2 -Wl,--build-id=sha1", LOCKS_C);
    CU_ASSERT_EQUAL_FATAL(run("cd %s && objcopy --only-keep-debug exe exe.debug && strip exe", name), 0);
}

static const struct symbol_status *status_of(struct symbolizer *s, const char *name, struct symbol_module **m)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    *m = symbol_module(s, path, NULL, true, NULL, 0);
    return symbol_module_status(s, *m);
}

/* Build id of a file, by the tool that everybody has. */
static size_t build_id_of(const char *name, u8 *id, char *hex, size_t hex_size)
{
    char command[PATH_MAX];
    snprintf(command, sizeof command, "readelf -n %s/%s | sed -n 's/.*Build ID: //p'", folder, name);
    FILE *out = popen(command, "r");
    size_t n = 0;
    if (!out || !fgets(hex, (int)hex_size, out))
        hex[0] = 0;
    if (out)
        pclose(out);
    hex[strcspn(hex, "\n")] = 0;
    for (unsigned byte; n < 20 && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
        id[n] = (u8)byte;
    return n;
}

static void debuglink(void)
{
    static const char *const places[] = {"", ".debug/"};
    struct symbol_module *m;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct symbolizer *s = symbolizer_new("");
        build_split("link");
        CU_ASSERT_EQUAL(
            run("cd link && objcopy --add-gnu-debuglink=exe.debug exe && mkdir -p .debug && mv exe.debug tmp && "
                "rm -f .debug/exe.debug && mv tmp %sexe.debug",
                places[i]),
            0);
        CU_ASSERT_EQUAL(check_marks(s, "link/exe"), C_MARKS);
        const struct symbol_status *status = status_of(s, "link/exe", &m);
        CU_ASSERT_TRUE(status->has_dwarf && status->debug_file && !status->stripped && !status->missing_file);
        CU_ASSERT_PTR_NULL(symbol_module_advice(s, m));
        symbolizer_free(s);
    }
    CU_ASSERT_EQUAL(run("rm link/.debug/exe.debug"), 0);
    struct symbolizer *s = symbolizer_new("");
    const struct symbol_status *status = status_of(s, "link/exe", &m);
    CU_ASSERT_TRUE(!status->has_dwarf && status->stripped);
    expect_text(status->missing_file, "exe.debug", "missing file");
    const char *advice = symbol_module_advice(s, m);
    CU_ASSERT_TRUE(advice && strstr(advice, "exe.debug") && strstr(advice, status->build_id + 2));
    symbolizer_free(s);
}

static void build_id(void)
{
    char hex[64], path[PATH_MAX];
    u8 id[20];
    struct symbol_module *m;
    build_split("id");
    size_t n = build_id_of("id/exe", id, hex, sizeof hex);
    CU_ASSERT_EQUAL_FATAL(n, 20);
    CU_ASSERT_EQUAL(
        run("mkdir -p store/.build-id/%.2s && mv id/exe.debug store/.build-id/%.2s/%s.debug", hex, hex, hex + 2), 0);
    snprintf(path, sizeof path, "/nowhere:%s/store", folder);
    struct symbolizer *s = symbolizer_new(path);
    CU_ASSERT_EQUAL(check_marks(s, "id/exe"), C_MARKS);
    expect_text(status_of(s, "id/exe", &m)->build_id, hex, "build id");
    symbolizer_free(s);

    /* The program is gone: its debug file alone will do. */
    s = symbolizer_new(path);
    snprintf(path, sizeof path, "%s/id/deleted", folder);
    m = symbol_module(s, path, NULL, true, id, n);
    CU_ASSERT_EQUAL(symbol_module_status(s, m)->file, SYMBOL_FILE_MISSING);
    CU_ASSERT_TRUE(symbol_module_status(s, m)->has_dwarf);
    const char *advice = symbol_module_advice(s, m);
    CU_ASSERT_TRUE(advice && strstr(advice, "names come from"));
    expect_text(symbol_module_name(m), "deleted", "module");
    symbolizer_free(s);

    s = symbolizer_new("");
    m = symbol_module(s, path, NULL, true, id, n);
    CU_ASSERT_FALSE(symbol_module_status(s, m)->has_dwarf);
    expect_text(symbol_module_status(s, m)->build_id, hex, "build id of what is gone");
    symbolizer_free(s);
}

/* The file at the path is another build than what ran: nothing of it may be believed. */
static void rebuilt(void)
{
    char path[PATH_MAX], hex[64];
    u8 id[20];
    build("rebuilt", "gcc", C_FLAGS "-g -O0 -Wl,--build-id=sha1", LOCKS_C);
    size_t n = build_id_of("rebuilt/exe", id, hex, sizeof hex);
    struct symbolizer *s = symbolizer_new("");
    snprintf(path, sizeof path, "%s/rebuilt/exe", folder);
    struct symbol_module *right = symbol_module(s, path, NULL, true, id, n);
    id[0] ^= 1;
    struct symbol_module *wrong = symbol_module(s, path, NULL, true, id, n);
    CU_ASSERT_PTR_NOT_EQUAL(right, wrong);
    CU_ASSERT_PTR_EQUAL(wrong, symbol_module(s, path, NULL, true, id, n));
    CU_ASSERT_TRUE(symbol_module_status(s, right)->has_dwarf);
    CU_ASSERT_EQUAL(symbol_module_status(s, wrong)->file, SYMBOL_FILE_REBUILT);
    struct variable_name v;
    CU_ASSERT_PTR_NULL(symbol_lookup(s, wrong, 0x1200, true)->frame[0].function);
    variable_global(s, wrong, 0x6000, LOCK_TYPE_ANY, &v);
    expect_text(v.class_name, "exe+0x6000", "class");
    expect_text(v.local, "+0x6000", "local");
    const char *advice = symbol_module_advice(s, wrong);
    CU_ASSERT_TRUE(advice && strstr(advice, "rebuilt") && strstr(advice, hex));
    symbolizer_free(s);
}

static void symbols_only(void)
{
    struct symbol_module *m;
    struct symbolizer *s = symbolizer_new("");
    build("plain", "gcc", C_FLAGS "-O1", LOCKS_C);
    const struct symbol_status *status = status_of(s, "plain/exe", &m);
    CU_ASSERT_TRUE(!status->has_dwarf && status->has_symtab && !status->stripped);
    const struct elf_symbol *at = NULL;
    module_open(m);
    for (size_t i = 0; i < m->functions.n; i++) {
        if (strcmp(m->functions.at[i].name, "on_stack") == 0)
            at = &m->functions.at[i];
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    const struct symbol_frame *f = symbol_lookup(s, m, at->address + 5, false)->frame;
    expect_text(f->function, "on_stack", "function");
    CU_ASSERT_TRUE(!f->nearest && f->line == 0 && !f->path);
    struct variable_name v;
    for (size_t i = 0; i < m->data.n; i++) {
        const struct elf_symbol *d = &m->data.at[i];
        variable_global(s, m, d->address, LOCK_TYPE_ANY, &v);
        if (strcmp(d->name, "exported") == 0)
            expect_text(v.class_name, "exe:exported", "exported");
        if (strcmp(d->name, "plain") == 0)
            expect_text(v.class_name, "exe:locks.c:plain", "static");
        if (strncmp(d->name, "once.", 5) == 0)
            expect_text(v.class_name, "exe:locks.c:once", "static in a function");
        if (strcmp(d->name, "table") == 0) {
            variable_global(s, m, d->address + 0x58, LOCK_TYPE_ANY, &v);
            expect_text(v.class_name, "exe:table+0x58", "no fields");
            CU_ASSERT_EQUAL(v.source, NAME_SYMBOL);
        }
    }
    stack_class(s, (struct symbol_site){m, at->address + 9, true}, -0x58, LOCK_TYPE_MUTEX, &v);
    expect_text(v.class_name, "on_stack:stack-0x58", "stack");
    symbolizer_free(s);
}

static void stripped(void)
{
    struct symbol_module *m;
    struct symbolizer *s = symbolizer_new("");
    build("stripped", "gcc", C_FLAGS "-O1 -rdynamic", LOCKS_C);
    CU_ASSERT_EQUAL(run("strip stripped/exe"), 0);
    const struct symbol_status *status = status_of(s, "stripped/exe", &m);
    CU_ASSERT_TRUE(!status->has_dwarf && !status->has_symtab && status->has_dynsym && status->stripped);
    CU_ASSERT_PTR_NOT_NULL(symbol_module_advice(s, m));
    const struct elf_symbol *at = symbols_at(&m->functions, m->code[0].hi - 1, true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    char want[256];
    snprintf(want, sizeof want, "%s+0x%llx", at->name, (unsigned long long)(at->size + 4));
    const struct symbol_frame *f = symbol_lookup(s, m, at->address + at->size + 4, false)->frame;
    expect_text(f->function, want, "nearest");
    expect_text(f->name, at->name, "nearest");
    CU_ASSERT_TRUE(f->nearest);
    symbolizer_free(s);
}

/* The symbol table that Fedora leaves in stripped programs. */
static void minidebuginfo(void)
{
    struct symbol_module *m;
    if (!have("xz"))
        return;
    struct symbolizer *s = symbolizer_new("");
    build("mini", "gcc", C_FLAGS "-O1", LOCKS_C);
    CU_ASSERT_EQUAL(run("cd mini && objcopy -S --keep-symbol=on_stack --keep-symbol=globals exe small && strip exe && "
                        "xz -f small && "
                        "objcopy --add-section .gnu_debugdata=small.xz exe"),
                    0);
    CU_ASSERT_TRUE(status_of(s, "mini/exe", &m)->has_symtab);
    bool found = false;
    for (size_t i = 0; i < m->functions.n; i++)
        found |= strcmp(m->functions.at[i].name, "on_stack") == 0;
    CU_ASSERT_TRUE(found);
    symbolizer_free(s);
}

static void dwz(void)
{
    struct symbol_module *m;
    if (!have("dwz"))
        return;
    struct symbolizer *s = symbolizer_new("");
    build("dwz", "gcc", C_FLAGS "-gdwarf-4 -O2 -Wl,--build-id", LOCKS_C);
    CU_ASSERT_EQUAL(run("cd dwz && cp exe other && dwz -m common.debug -r exe other"), 0);
    CU_ASSERT_EQUAL(check_marks(s, "dwz/exe"), C_MARKS);
    symbolizer_free(s);
    s = symbolizer_new("");
    CU_ASSERT_EQUAL(run("rm dwz/common.debug"), 0);
    const struct symbol_status *status = status_of(s, "dwz/exe", &m);
    CU_ASSERT_TRUE(status->missing_file && strstr(status->missing_file, "common.debug"));
    CU_ASSERT_PTR_NOT_NULL(symbol_module_advice(s, m));
    symbolizer_free(s);
}

static void library(void)
{
    struct symbolizer *s = symbolizer_new("");
    need_folder();
    CU_ASSERT_EQUAL(run("gcc " C_FLAGS
                        "-g -O1 -shared -fPIC -Wl,-soname,libmarks.so.1.2 %s/library.c -o libmarks.so.1.2 "
                        "-Wl,--unresolved-symbols=ignore-all",
                        FIXTURES),
                    0);
    build("library", "gcc", C_FLAGS "-g -O0 -rdynamic -DWITH_LIBRARY -Wl,-rpath,'$ORIGIN/..'",
          LOCKS_C " ../libmarks.so.1.2");
    CU_ASSERT_EQUAL(check_marks(s, "library/exe"), C_MARKS + 2);
    symbolizer_free(s);
}

static void look_at_everything(struct symbolizer *s, const char *path)
{
    struct symbol_module *m = symbol_module(s, path, NULL, true, NULL, 0);
    struct variable_name v;
    for (u64 a = 0; a < 0x8000; a += 0x91) {
        struct symbol_site site = {m, a, true};
        CU_ASSERT_TRUE_FATAL(symbol_lookup(s, m, a, a & 1)->n >= 1);
        variable_global(s, m, a, LOCK_TYPE_ANY, &v);
        CU_ASSERT_PTR_NOT_NULL_FATAL(v.class_name);
        heap_class(s, &site, 1, NULL, 0, false, 72, 24, LOCK_TYPE_MUTEX, &v);
        CU_ASSERT_PTR_NOT_NULL_FATAL(v.class_name);
        stack_class(s, site, -0x58, LOCK_TYPE_MUTEX, &v);
        CU_ASSERT_PTR_NOT_NULL_FATAL(v.class_name);
    }
    symbol_module_advice(s, m);
}

static void not_modules(void)
{
    static const char *const paths[] = {"",          "[vdso]",          "/",           "/dev/zero",
                                        "/dev/null", "/nowhere/at all", "/etc/passwd", "/proc/self/mem"};
    char path[PATH_MAX];
    struct variable_name v;
    struct symbolizer *s = symbolizer_new("");
    need_folder();
    CU_ASSERT_EQUAL(run("mkfifo fifo"), 0);
    snprintf(path, sizeof path, "%s/fifo", folder);
    look_at_everything(s, path);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        look_at_everything(s, paths[i]);
    CU_ASSERT_EQUAL(symbol_lookup(s, NULL, 5, true)->n, 1);
    variable_global(s, NULL, 5, LOCK_TYPE_ANY, &v);
    expect_text(v.class_name, "?+0x5", "no module");
    heap_class(s, NULL, 0, NULL, 0, false, 40, 0, LOCK_TYPE_ANY, &v);
    CU_ASSERT_PTR_NOT_NULL(v.class_name);
    stack_class(s, (struct symbol_site){NULL, 7, false}, -8, LOCK_TYPE_ANY, &v);
    CU_ASSERT_PTR_NOT_NULL(v.class_name);
    CU_ASSERT_FALSE(symbol_module_status(s, NULL)->has_dwarf);
    symbolizer_free(s);
}

static u32 next_random(u32 *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Cut short, and with bytes flipped: no crash, no endless loop. */
static void damaged(void)
{
    char path[PATH_MAX];
    u32 state = 12345;
    build("damaged", "gcc", C_FLAGS "-g -O1", LOCKS_C);
    snprintf(path, sizeof path, "%s/damaged/exe", folder);
    FILE *in = fopen(path, "rb");
    static u8 good[1 << 20], bad[1 << 20];
    size_t n = in ? fread(good, 1, sizeof good, in) : 0;
    CU_ASSERT_TRUE_FATAL(n > 4096);
    fclose(in);
    snprintf(path, sizeof path, "%s/damaged/bad", folder);
    for (int round = 0; round < 120; round++) {
        size_t length = round % 4 == 0 ? next_random(&state) % n : n;
        memcpy(bad, good, n);
        for (int i = 0; round % 4 && i < 1 << (round % 10); i++)
            bad[next_random(&state) % n] = (u8)next_random(&state);
        memcpy(bad, ELFMAG, SELFMAG);
        FILE *out = fopen(path, "wb");
        CU_ASSERT_TRUE_FATAL(out && fwrite(bad, 1, length, out) == length);
        fclose(out);
        struct symbolizer *s = symbolizer_new("");
        look_at_everything(s, path);
        symbolizer_free(s);
    }
}

static void function_names(void)
{
    static const char *const table[][3] = {
        {"main", "main", "main"},
        {"foo.constprop.0", "foo", "foo"},
        {"memcpy@@GLIBC_2.14", "memcpy", "memcpy"},
        {"_ZN2ns5QueueIiE4pushERKi", "ns::Queue<int>::push(int const&)", "ns::Queue<int>::push"},
        {"_ZN2ns2tfIiEET_S1_.isra.0", "int ns::tf<int>(int)", "ns::tf<int>"},
        {"_ZN12_GLOBAL__N_14lockE", "(anonymous namespace)::lock", "(anonymous namespace)::lock"},
        {"_ZNK2ns1FclEi", "ns::F::operator()(int) const", "ns::F::operator()"},
        {"_ZNK2ns1FltERKS0_", "ns::F::operator<(ns::F const&) const", "ns::F::operator<"},
        {"_ZN2ns1FptEv", "ns::F::operator->()", "ns::F::operator->"},
        {"_ZNK2ns1FcvbEv", "ns::F::operator bool() const", "ns::F::operator bool"},
        {"_Znwm", "operator new(unsigned long)", "operator new"},
        {"_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()(int) const", "main::{lambda}::operator()"},
        {"_ZZ4mainENK3$_0clEi", "main::$_0::operator()(int) const", "main::{lambda}::operator()"},
        {"_ZZ3fooiE4lock", "foo(int)::lock", "foo::lock"},
        {"_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write", "core::fmt::write"},
        {"_Znonsense", "_Znonsense", "_Znonsense"},
    };
    struct pool pool = {0};
    struct function_name name;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        name_from_linkage(&pool, table[i][0], &name);
        expect_text(name.linkage, table[i][0], "linkage");
        expect_text(name.function, table[i][1], "function");
        expect_text(name.name, table[i][2], "name");
    }
    pool_free(&pool);
}

static void module_names(void)
{
    static const struct {
        const char *path, *soname;
        bool is_main;
        const char *want;
    } table[] = {
        {"/usr/lib/libfoo.so.1.2.3", "libfoo.so.1.2", false, "libfoo"},
        {"/usr/lib/libfoo.so.1.2.3", NULL, false, "libfoo"},
        {"/opt/plugin.so", "", false, "plugin"},
        {"/lib/libfoo-2.31.so", NULL, false, "libfoo-2.31"},
        {"/lib/libstdc++.so.6", "libstdc++.so.6", false, "libstdc++"},
        {"/home/u/bin/app", NULL, true, "app"},
        {"/home/u/bin/app.so.1", "x.so", true, "app.so.1"},
        {"/lib/.so", NULL, false, ".so"},
        {"", NULL, false, "?"},
        {NULL, NULL, true, "?"},
        {"/a/", NULL, true, "?"},
    };
    char out[64];
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        module_name(table[i].path, table[i].soname, table[i].is_main, out, sizeof out);
        expect_text(out, table[i].want, "module");
    }
    module_name("/a/long-name", NULL, true, out, 5);
    expect_text(out, "long", "cut");
}

UNIT_TESTS("symbol files", {"debuglink", debuglink}, {"build_id", build_id}, {"rebuilt", rebuilt},
           {"symbols_only", symbols_only}, {"stripped", stripped}, {"minidebuginfo", minidebuginfo}, {"dwz", dwz},
           {"library", library}, {"not_modules", not_modules}, {"damaged", damaged}, {"function_names", function_names},
           {"module_names", module_names})
