/* The records of modules in the arena: what the command line tool knows of them. Called by modules.c with its writer
 * lock held. Takes RANK_STACKS and RANK_ARENA, one at a time. Allocates arena records and strings. */
#include <elf.h>
#include <fcntl.h>
#include <sys/auxv.h>

#include "analyze/engine.h"
#include "base/arena.h"
#include "base/sys.h"
#include "model/run.h"
#include "model/stack.h"
#include "modules_internal.h"

#define MAX_PATH 4096u
#define REUSE_STEPS 4096u

static ref_t own_modules; /* head of this process's list of records */
static char path_buffer[MAX_PATH * 2];

static u32 text_length(const char *s)
{
    u32 n = 0;
    while (n < MAX_PATH && s[n])
        n++;
    return n;
}

static bool has_prefix(const char *s, const char *prefix)
{
    while (*prefix)
        if (*s++ != *prefix++)
            return false;
    return true;
}

static const char *base_name(const char *s)
{
    const char *base = s;
    for (; *s; s++)
        if (*s == '/')
            base = s + 1;
    return base;
}

/* The path in path_buffer. */
static const char *absolute_path(const char *name, bool is_main)
{
    char *p = path_buffer;
    p[0] = 0;
    if (is_main) {
        long n = sys_call6(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)p, MAX_PATH - 1, 0, 0);
        p[n > 0 ? n : 0] = 0;
        const char *base = base_name(p);
        /* "ld.so program": the link names the loader. */
        if (n > 0 && !has_prefix(base, "ld-linux") && !has_prefix(base, "ld.so") && !has_prefix(base, "ld-2."))
            return p;
        const char *given = (const char *)getauxval(AT_EXECFN);
        if (given)
            name = given;
    }
    const char *slash = name;
    while (*slash && *slash != '/')
        slash++;
    u32 length = text_length(name), at = 0;
    if (name[0] != '/' && *slash) {
        long n = sys_call3(SYS_getcwd, p, MAX_PATH, 0);
        if (n > 1) {
            at = (u32)n - 1;
            if (p[at - 1] != '/')
                p[at++] = '/';
            if (has_prefix(name, "./")) {
                name += 2;
                length -= 2;
            }
        }
    }
    __builtin_memcpy(p + at, name, length);
    p[at + length] = 0;
    return p;
}

static bool is_runtime(const char *soname)
{
    return has_prefix(soname, "libstdc++.so.") || has_prefix(soname, "libc++.so.") ||
           has_prefix(soname, "libc++abi.so.");
}

static void fill_record(struct module_rec *r, const struct module *m, const struct elf_identity *identity, bool is_main)
{
    const struct link_map *map = (const struct link_map *)m->map;
    const char *path = absolute_path(map->l_name ? map->l_name : "", is_main);
    const char *soname = identity->soname ? identity->soname : "";
    r->path = string_intern(path, text_length(path));
    r->soname = identity->soname ? string_intern(identity->soname, identity->soname_length) : 0;
    r->lo = m->lo;
    r->hi = m->hi;
    r->bias = m->bias;
    r->is_main = is_main;
    r->is_system = has_prefix(path, "/usr/lib") || has_prefix(path, "/lib/") || has_prefix(path, "/lib64/") ||
                   has_prefix(path, "/lib32/") || has_prefix(path, "/libx32/") || has_prefix(path, "linux-vdso");
    r->is_snarl = m->is_snarl;
    r->is_libc = has_prefix(soname, "libc.so.");
    r->is_runtime = is_runtime(soname);
    r->is_python = identity->has_python || has_prefix(soname, "libpython3");
    r->build_id_len = (u8)identity->build_id_len;
    if (identity->build_id)
        __builtin_memcpy(r->build_id, identity->build_id, identity->build_id_len);
}

/* A library that is opened and closed again and again comes back to its place: its record serves again. */
static ref_t record_again(const struct module_rec *r)
{
    u32 steps = 0;
    for (ref_t at = own_modules; at && steps < REUSE_STEPS; steps++) {
        struct module_rec *old = arena_at(at);
        if (old->gone && old->lo == r->lo && old->bias == r->bias && module_same_file(old, r)) {
            old->gone = 0;
            return at;
        }
        at = old->next;
    }
    return 0;
}

void record_register(struct module *m, bool is_main)
{
    struct elf_identity identity;
    struct module_rec r = {0};
    elf_identify(m, &identity);
    m->is_snarl = !is_main && (u64)modules_start >= m->lo && (u64)modules_start < m->hi;
    m->build_id_at = (u64)identity.build_id;
    m->build_id_len = (u8)identity.build_id_len;
    fill_record(&r, m, &identity, is_main);
    ref_t ref = record_again(&r);
    if (!ref && (ref = arena_alloc(POOL_MODULE, sizeof r))) {
        *(struct module_rec *)arena_at(ref) = r;
        module_number(ref);
        ((struct module_rec *)arena_at(ref))->next = own_modules;
        own_modules = ref;
        if (engine_process())
            __atomic_store_n(&((struct process_rec *)arena_at(engine_process()))->modules, ref, __ATOMIC_RELEASE);
    }
    m->rec = ref;
    m->id = ref ? ((struct module_rec *)arena_at(ref))->id : 0;
}

/* The child shares the parent's records up to the fork: same addresses, same files. What each of them loads later is
 * its own. */
void record_after_fork(void)
{
    if (own_modules && engine_process())
        __atomic_store_n(&((struct process_rec *)arena_at(engine_process()))->modules, own_modules, __ATOMIC_RELEASE);
}
