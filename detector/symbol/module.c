/* Opens a module's file and its debug information, and says what is missing.
 * Called by symbol_lookup and the variable functions at the first use of a module. Takes no locks, allocates.
 *
 * libdwfl finds separate debug files (build id, .gnu_debuglink, dwz's .gnu_debugaltlink, .gnu_debugdata, debuginfod).
 * Each module has a Dwfl of its own at its link-time addresses, so that modules cannot overlap. A file whose build id
 * is not that of what ran is never used: its lines would be wrong in a believable way. */
#include "internal.h"

#include "base/hash.h"

#include <dlfcn.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SYSTEM_DEBUG_PATH "/usr/lib/debug"
#define DEBUGINFOD_PATIENCE 30 /* seconds in all that may pass without an answer */

/* Folders in front of libdwfl's default: the module's own folder, .debug in it, /usr/lib/debug. Made absolute, as
 * libdwfl takes relative ones to be beside each module. */
static char *debug_path_make(const char *folders)
{
    size_t size = strlen(folders) + 1;
    char *copy = strdup(folders), *out = NULL;
    for (const char *c = folders; *c; c++)
        size += *c == ':' ? PATH_MAX : 0;
    out = malloc(size + PATH_MAX + 64);
    if (!copy || !out) {
        free(copy);
        free(out);
        return NULL;
    }
    size_t len = 0;
    char *save = NULL, full[PATH_MAX];
    for (char *f = strtok_r(copy, ":", &save); f; f = strtok_r(NULL, ":", &save)) {
        if (realpath(f, full))
            len += (size_t)sprintf(out + len, "%s:", full);
    }
    /* Then "" (the module's own folder). Debug files are checked by build id or, where there is none, by CRC ('+'). */
    memmove(out + 1, out, len);
    out[0] = '+';
    sprintf(out + len + 1, ":.debug:" SYSTEM_DEBUG_PATH);
    free(copy);
    return out;
}

struct symbolizer *symbolizer_new(const char *debug_path)
{
    struct symbolizer *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    if (!debug_path)
        debug_path = getenv("SNARL_DEBUG_PATH");
    s->debug_path = debug_path_make(debug_path ? debug_path : "");
    s->callbacks.find_elf = dwfl_build_id_find_elf;
    s->callbacks.find_debuginfo = dwfl_standard_find_debuginfo;
    s->callbacks.section_address = dwfl_offline_section_address;
    s->callbacks.debuginfo_path = s->debug_path ? &s->debug_path : NULL;
    /* libdwfl asks debuginfod by itself when its variable is set. Its patience of 90 s per file is too much for a
     * report. */
    s->ask_debuginfod = getenv("DEBUGINFOD_URLS") != NULL;
    if (s->ask_debuginfod) {
        setenv("DEBUGINFOD_TIMEOUT", "15", 0);
        setenv("DEBUGINFOD_MAXTIME", "60", 0);
    }
    return s;
}

static void module_close(struct symbol_module *m)
{
    for (size_t i = 0; i < m->nunits; i++) {
        free(m->units[i].functions);
        free(m->units[i].types);
    }
    free(m->units);
    free(m->ranges);
    free(m->variables);
    free(m->functions.at);
    free(m->data.at);
    free(m->tls.at);
    free(m->stubs.at);
    free(m->slots.at);
    map_free(&m->imported);
    map_free(&m->unit_by_die);
    map_free(&m->typedefs);
    die_scopes_free(m);
    map_free(&m->type_names);
    map_free(&m->names);
    map_free(&m->frames);
    if (m->dwfl)
        dwfl_end(m->dwfl);
}

void symbolizer_free(struct symbolizer *s)
{
    if (!s)
        return;
    for (struct symbol_module *m = s->modules; m; m = m->next)
        module_close(m);
    map_free(&s->by_hash);
    map_free(&s->heap);
    map_free(&s->data);
    free(s->debug_path);
    pool_free(&s->pool);
    free(s);
}

static const char *hex(struct pool *p, const u8 *bytes, size_t n)
{
    char out[2 * 64 + 1] = "";
    for (size_t i = 0; i < n && i < 64; i++)
        sprintf(out + 2 * i, "%02x", bytes[i]);
    return pool_string(p, out);
}

struct symbol_module *symbol_module(struct symbolizer *s, const char *path, const char *soname, bool is_main,
                                    const u8 *build_id, size_t build_id_len)
{
    if (!path)
        path = "";
    if (!build_id)
        build_id_len = 0;
    if (build_id_len > sizeof((struct symbol_module *)0)->build_id)
        build_id_len = sizeof((struct symbol_module *)0)->build_id;
    u64 key = hash_bytes(build_id, build_id_len, hash_bytes(path, strlen(path), is_main));
    for (struct symbol_module *m; (m = map_get(&s->by_hash, key)); key++) {
        if (strcmp(m->path, path) == 0 && m->build_id_len == build_id_len && m->is_main == is_main &&
            memcmp(m->build_id, build_id ? build_id : m->build_id, build_id_len) == 0)
            return m;
    }
    struct symbol_module *m = pool_alloc(&s->pool, sizeof *m);
    if (!m || !map_put(&s->by_hash, key, m))
        return NULL;
    m->owner = s;
    m->path = pool_string(&s->pool, path);
    m->soname = soname && *soname ? pool_string(&s->pool, soname) : NULL;
    m->is_main = is_main;
    m->die_budget = DIE_BUDGET;
    if (build_id_len)
        memcpy(m->build_id, build_id, build_id_len);
    m->build_id_len = build_id_len;
    m->status.path = m->path;
    m->status.build_id = hex(&s->pool, m->build_id, build_id_len);
    m->next = s->modules;
    s->modules = m;
    return m;
}

/* A regular file or nothing: a path may come from a damaged run and name a FIFO or a device. */
static int open_regular(const char *path, enum symbol_file *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        *why = errno == ENOENT || errno == ENOTDIR ? SYMBOL_FILE_MISSING : SYMBOL_FILE_UNREADABLE;
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        *why = SYMBOL_FILE_UNREADABLE;
        close(fd);
        return -1;
    }
    return fd;
}

/* Makes m->dwfl from a file; checks that it is an executable or library with the right build id. */
static bool try_file(struct symbol_module *m, const char *path, enum symbol_file *why)
{
    const unsigned char *id;
    GElf_Addr at;
    GElf_Ehdr ehdr;
    int fd = open_regular(path, why);
    if (fd < 0)
        return false;
    *why = SYMBOL_FILE_NOT_ELF;
    Dwfl *dwfl = dwfl_begin(&m->owner->callbacks);
    if (!dwfl) {
        close(fd);
        return false;
    }
    dwfl_report_begin(dwfl);
    Dwfl_Module *mod = dwfl_report_elf(dwfl, base_name(path), path, fd, 0, true);
    if (!mod)
        close(fd);
    dwfl_report_end(dwfl, NULL, NULL);
    GElf_Addr bias = 0;
    Elf *elf = mod ? dwfl_module_getelf(mod, &bias) : NULL;
    if (!elf || !gelf_getehdr(elf, &ehdr) || (ehdr.e_type != ET_EXEC && ehdr.e_type != ET_DYN)) {
        dwfl_end(dwfl);
        return false;
    }
    int n = dwfl_module_build_id(mod, &id, &at);
    if (m->build_id_len && (n < 0 || (size_t)n != m->build_id_len || memcmp(id, m->build_id, (size_t)n) != 0)) {
        *why = SYMBOL_FILE_REBUILT;
        m->build_id_found = n > 0 ? hex(&m->owner->pool, id, (size_t)n) : "none";
        dwfl_end(dwfl);
        return false;
    }
    if (!m->build_id_len && n > 0)
        m->status.build_id = hex(&m->owner->pool, id, (size_t)n);
    m->dwfl = dwfl;
    m->mod = mod;
    m->elf = elf;
    m->elf_bias = bias;
    *why = SYMBOL_FILE_OK;
    return true;
}

/* The file at its path is gone or another one: a debug file with the build id has symbols, lines and types all the
 * same. */
static bool try_build_id(struct symbol_module *m)
{
    char path[PATH_MAX];
    enum symbol_file why;
    const char *id = m->status.build_id, *folders = m->owner->debug_path;
    if (m->build_id_len < 2 || !folders)
        return false;
    for (const char *f = folders + 1, *end; *f; f = *end ? end + 1 : end) {
        end = strchrnul(f, ':');
        if (*f != '/')
            continue;
        static const char *const suffixes[] = {"", ".debug"};
        for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
            int n = snprintf(path, sizeof path, "%.*s/.build-id/%.2s/%s%s", (int)(end - f), f, id, id + 2, suffixes[i]);
            if (n > 0 && (size_t)n < sizeof path && try_file(m, path, &why)) {
                m->status.debug_file = pool_string(&m->owner->pool, path);
                return true;
            }
        }
    }
    return false;
}

static u64 seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec;
}

/* A server that does not answer is not asked for every module of a large program. */
static void count_wait(struct symbolizer *s, u64 since)
{
    s->waited_for_nothing += seconds_now() - since;
    if (s->waited_for_nothing >= DEBUGINFOD_PATIENCE) {
        unsetenv("DEBUGINFOD_URLS");
        s->ask_debuginfod = false;
    }
}

/* The file is nowhere here: a server may have its debug file. libdwfl asks by itself, but only for a module whose file
 * there is; its library is loaded by us as it is by libdwfl, when it is needed. */
static bool try_debuginfod(struct symbol_module *m)
{
    typedef void *(*begin_fn)(void);
    typedef int (*find_fn)(void *, const unsigned char *, int, char **);
    typedef void (*end_fn)(void *);
    char *path = NULL;
    enum symbol_file why;
    u64 start = seconds_now();
    if (!m->owner->ask_debuginfod || m->build_id_len < 2)
        return false;
    void *library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
    begin_fn begin = library ? (begin_fn)(uintptr_t)dlsym(library, "debuginfod_begin") : NULL;
    find_fn find = library ? (find_fn)(uintptr_t)dlsym(library, "debuginfod_find_debuginfo") : NULL;
    end_fn end = library ? (end_fn)(uintptr_t)dlsym(library, "debuginfod_end") : NULL;
    void *client = begin && find && end ? begin() : NULL;
    if (!client)
        return false;
    int fd = find(client, m->build_id, (int)m->build_id_len, &path);
    if (fd >= 0)
        close(fd);
    end(client);
    bool found = fd >= 0 && path && try_file(m, path, &why);
    if (found)
        m->status.debug_file = pool_string(&m->owner->pool, path);
    free(path);
    if (!found)
        count_wait(m->owner, start);
    return found;
}

static void note_segments(struct symbol_module *m)
{
    size_t n;
    if (elf_getphdrnum(m->elf, &n) != 0)
        return;
    for (size_t i = 0; i < n && i < 4096 && m->ncode < ARRAY_LEN(m->code); i++) {
        GElf_Phdr ph;
        if (!gelf_getphdr(m->elf, (int)i, &ph))
            continue;
        if (ph.p_type == PT_TLS)
            m->tls_segment = (struct range){ph.p_vaddr, ph.p_vaddr + ph.p_memsz, 0};
        if (ph.p_type == PT_LOAD && (ph.p_flags & PF_X))
            m->code[m->ncode++] = (struct range){ph.p_vaddr + m->elf_bias, ph.p_vaddr + ph.p_memsz + m->elf_bias, 0};
    }
}

/* DT_SONAME, if nobody told it. */
static void note_soname(struct symbol_module *m)
{
    Elf_Scn *scn = NULL;
    GElf_Shdr sh;
    while (!m->soname && (scn = section_next(m->elf, scn, &sh))) {
        Elf_Data *data;
        if (sh.sh_type != SHT_DYNAMIC || !(data = elf_getdata(scn, NULL)))
            continue;
        GElf_Dyn dyn;
        for (int i = 0; gelf_getdyn(data, i, &dyn) && dyn.d_tag != DT_NULL; i++) {
            const char *name = dyn.d_tag == DT_SONAME ? elf_strptr(m->elf, sh.sh_link, dyn.d_un.d_val) : NULL;
            if (name && *name)
                m->soname = pool_string_n(&m->owner->pool, name, strnlen(name, 256));
        }
    }
}

static void note_debug_files(struct symbol_module *m)
{
    const char *main_file = NULL, *debug_file = NULL, *name;
    const void *id;
    GElf_Word crc;
    dwfl_module_info(m->mod, NULL, NULL, NULL, NULL, NULL, &main_file, &debug_file);
    if (debug_file && (!main_file || strcmp(debug_file, main_file) != 0))
        m->status.debug_file = pool_string(&m->owner->pool, debug_file);
    if (!m->dwarf) {
        name = dwelf_elf_gnu_debuglink(m->elf, &crc);
        if (name && !m->status.debug_file)
            m->status.missing_file = pool_string_n(&m->owner->pool, name, strnlen(name, 4096));
    } else if (dwelf_dwarf_gnu_debugaltlink(m->dwarf, &name, &id) > 0 && !dwarf_getalt(m->dwarf)) {
        m->status.missing_file = pool_string_n(&m->owner->pool, name, strnlen(name, 4096));
    }
}

static void open_dwarf(struct symbol_module *m)
{
    Dwarf_Addr bias = 0;
    u64 start = seconds_now();
    m->dwarf = dwfl_module_getdwarf(m->mod, &bias);
    m->dwarf_bias = bias;
    if (m->owner->ask_debuginfod && !m->dwarf)
        count_wait(m->owner, start);
}

bool module_open(struct symbol_module *m)
{
    if (m->opened)
        return m->mod != NULL;
    m->opened = true;
    if (!try_file(m, m->path, &m->status.file) && !try_build_id(m) && !try_debuginfod(m)) {
        m->status.stripped = true;
        module_advise(m);
        return false;
    }
    note_segments(m);
    if (!m->is_main)
        note_soname(m);
    open_dwarf(m);
    if (m->dwarf)
        units_load(m);
    m->status.has_dwarf = m->nunits > 0;
    symbols_load(m);
    note_debug_files(m);
    m->status.stripped = !m->status.has_dwarf && !m->status.has_symtab;
    module_advise(m);
    return true;
}

const struct symbol_status *symbol_module_status(struct symbolizer *s, struct symbol_module *m)
{
    static const struct symbol_status nothing = {
        .file = SYMBOL_FILE_MISSING, .stripped = true, .path = "", .build_id = ""};
    (void)s;
    if (!m)
        return &nothing;
    module_open(m);
    return &m->status;
}

const char *symbol_module_name(struct symbol_module *m)
{
    char name[512];
    if (!m)
        return "?";
    if (!m->name) {
        if (!m->is_main && !m->soname)
            module_open(m);
        module_name(m->path, m->soname, m->is_main, name, sizeof name);
        m->name = pool_string(&m->owner->pool, name);
    }
    return m->name;
}
