/* What people would call bytes of a shared mapping: what a pointer among the program's variables leads to, else the file
 * that is mapped. Called by locate.c for findings. Reads the modules' data while no module is unmapped; interning takes
 * RANK_STACKS. Allocates nothing. */
#include "locate.h"

#include <elf.h>

#include "base/arena.h"
#include "maps.h"
#include "model/stack.h"
#include "modules.h"

#define NAME_ROOM 256u

struct search {
    const struct maps_entry *map;
    u64 addr;
    u64 best, at; /* the pointer that leads nearest before addr; where it is; 0: none */
    ref_t module;
    u64 bias;
};

static void words_search(struct search *s, const struct module *m, u64 lo, u64 hi)
{
    for (u64 at = (lo + 7) & ~7ULL; at + 8 <= hi; at += 8) {
        u64 value = *(const volatile u64 *)at;
        if (value < s->map->lo || value > s->addr || (s->at && value <= s->best))
            continue;
        s->best = value;
        s->at = at;
        s->module = m->rec;
        s->bias = m->bias;
    }
}

/* Data of the program and its own libraries: that of the system's has pointers of other meanings. */
static void module_search(void *arg, const struct module *m)
{
    struct search *s = arg;
    const struct module_rec *r = m->rec ? arena_at(m->rec) : NULL;
    const Elf64_Phdr *p = (const Elf64_Phdr *)m->headers;
    if (!r || r->is_system || r->is_libc || r->is_snarl || m->is_snarl)
        return;
    for (u32 i = 0; i < m->nheaders; i++)
        if (p[i].p_type == PT_LOAD && (p[i].p_flags & (PF_R | PF_W)) == (PF_R | PF_W))
            words_search(s, m, m->bias + p[i].p_vaddr, m->bias + p[i].p_vaddr + p[i].p_memsz);
}

void locate_shared(u64 addr, struct object_birth *birth)
{
    struct maps_entry map;
    char name[NAME_ROOM];
    if (!maps_find_named(addr, &map, name, sizeof name) || !map.shared)
        return;
    struct search s = {.map = &map, .addr = addr};
    modules_each(module_search, &s);
    if (s.at) {
        birth->module = s.module;
        birth->alloc_size = s.at - s.bias;
        birth->offset = addr - s.best;
    }
    u32 n = (u32)__builtin_strlen(name);
    if (n && __builtin_strcmp(name, "zero")) /* "/dev/zero": anonymous */
        birth->name = string_intern(name, n);
}
