/* Where an object was born, judged by its address: module data, thread-local storage, a stack frame, a heap block, a
 * shared mapping.
 *
 * Called by the engine at the birth of each object (so a million times in some programs), between enter and leave.
 * Takes no lock of its own; interning takes RANK_STACKS. Allocates nothing; about 3 KiB of stack. */
#include "locate.h"

#include <elf.h>
#include <link.h>

#include "analyze/access.h"
#include "analyze/engine.h"
#include "fd_table.h"
#include "intercept/alloc.h"
#include "intercept/mapping.h"
#include "model/stack.h"
#include "modules.h"
#include "unwind/unwind.h"

#define FRAMES STACK_MAX_FRAMES
#define TLS_MODULES 64u

/* ---- thread-local storage ---- */

static const Elf64_Phdr *tls_segment(const struct module *m)
{
    const Elf64_Phdr *p = (const Elf64_Phdr *)m->headers;
    for (u32 i = 0; i < m->nheaders; i++)
        if (p[i].p_type == PT_TLS && p[i].p_memsz)
            return &p[i];
    return NULL;
}

struct tls_module {
    u32 order;
    ref_t rec;
    u64 size;
};

/* The modules that have thread-local storage, in the loader's order. */
static u32 tls_modules(struct tls_module *out)
{
    const struct process_rec *p = arena_at(engine_process());
    u32 n = 0;
    for (ref_t r = p->modules; r; r = ((const struct module_rec *)arena_at(r))->next) {
        const struct module_rec *rec = arena_at(r);
        struct module m;
        const Elf64_Phdr *tls;
        if (rec->gone || !modules_lookup(rec->lo, &m) || m.rec != r || !(tls = tls_segment(&m)))
            continue;
        if (n == TLS_MODULES)
            return 0; /* the numbering below would be wrong */
        u32 at = n++;
        for (; at > 0 && out[at - 1].order > m.order; at--)
            out[at] = out[at - 1];
        out[at] = (struct tls_module){m.order, r, tls->p_memsz};
    }
    return n;
}

/* The calling thread's vector of storage blocks, at %fs:8 by the x86-64 TLS ABI: entry i (two words, the first the
 * block's address) is that of module i, and modules get their numbers in loading order. A number is used again after
 * a dlclose. */
static bool tls_find(u64 addr, struct object_birth *birth)
{
    const u64 *vector;
    struct tls_module modules[TLS_MODULES];
    u32 n = modules_epoch ? 0 : tls_modules(modules);
    __asm__("movq %%fs:8, %0" : "=r"(vector));
    for (u32 i = 0; vector && i < n && i < vector[-2]; i++) {
        u64 block = vector[2 * (i + 1)];
        if (block == ~0ULL || addr < block || addr - block >= modules[i].size)
            continue;
        birth->region = REGION_TLS;
        birth->module = modules[i].rec;
        birth->offset = addr - block;
        return true;
    }
    return false;
}

/* ---- stacks ---- */

static bool on_stack(const struct thread_rec *r, u64 addr)
{
    return addr >= r->stack_lo && addr < r->stack_hi;
}

static void own_stack(u64 addr, const u64 *fp, struct object_birth *birth)
{
    struct unwind_frame frames[FRAMES];
    const struct process_rec *p = arena_at(engine_process());
    u32 n =
        fp && !p->python ? unwind_frames(fp, frames, FRAMES) : 0; /* an interpreter's frames are counted otherwise */
    for (u32 i = 0; i < n; i++) {
        if (!frames[i].cfa)
            return;
        if (addr >= frames[i].cfa)
            continue;
        birth->region = REGION_STACK;
        birth->frame = (u16)i;
        birth->offset = addr - frames[i].cfa;
        if (i + 1 < n && *(const volatile u64 *)(frames[i].cfa - 8) == frames[i + 1].pc)
            birth->alloc_size = frames[i + 1].pc; /* where it was looked for: the frame is no guess */
        return;
    }
}

void locate_thread_created(struct thread *child, const u64 *fp)
{
    struct unwind_frame frames[CREATOR_FRAMES];
    const struct process_rec *p = arena_at(engine_process());
    /* The frames of an interpreter are not those of the captured stack, which create_stack is. */
    u32 n = p->python ? 0 : unwind_frames(fp, frames, CREATOR_FRAMES);
    for (u32 i = 0; i < n; i++) {
        child->creator_pc[i] = frames[i].pc;
        child->creator_cfa[i] = frames[i].cfa;
    }
    child->ncreator = n;
    child->creator_sp = (u64)(fp + 2);
}

/* On the stack of the thread that created this one: in a frame that existed then and, by its return address, exists
 * still? left: or not; what this thread has the address of was in that one. */
static void creator_stack(const struct thread *t, u64 addr, bool left, struct object_birth *birth)
{
    if (!t->rec->creator || !t->rec->create_stack || addr < t->creator_sp)
        return;
    const struct thread_rec *creator = arena_at(t->rec->creator);
    if (creator->process != t->rec->process || creator->state != THREAD_RUNNING || !on_stack(creator, addr))
        return;
    for (u32 i = 0; i + 1 < t->ncreator && t->creator_cfa[i]; i++) {
        u64 cfa = t->creator_cfa[i];
        if (addr >= cfa)
            continue;
        if (!on_stack(creator, cfa) || (!left && *(const volatile u64 *)(cfa - 8) != t->creator_pc[i + 1]))
            return;
        birth->region = REGION_STACK;
        birth->frame = (u16)i;
        birth->offset = addr - cfa;
        birth->alloc_size = t->creator_pc[i + 1];
        birth->alloc_stack = t->rec->create_stack;
        return;
    }
}

static bool on_other_stack(const struct thread *t, u64 addr)
{
    const struct process_rec *p = arena_at(engine_process());
    for (ref_t r = __atomic_load_n(&p->threads, __ATOMIC_ACQUIRE); r;) {
        const struct thread_rec *x = arena_at(r);
        if (x != t->rec && x->state == THREAD_RUNNING && on_stack(x, addr))
            return true;
        r = x->next_in_process;
    }
    return false;
}

/* ---- the rest ---- */

static ref_t thread_numbered(u32 number);

static bool is_descriptor(u64 addr, struct object_birth *birth)
{
    struct fd_origin o;
    if (!access_on || !fd_at(addr, &o))
        return false;
    birth->region = REGION_DESCRIPTOR;
    birth->alloc_size = (u64)o.fd;
    birth->alloc_stack = o.stack;
    birth->thread = thread_numbered(o.thread);
    return true;
}

static bool in_module(u64 addr, struct object_birth *birth)
{
    struct module m;
    if (!modules_lookup(addr, &m) || !m.rec)
        return false;
    birth->region = REGION_GLOBAL;
    birth->module = m.rec;
    birth->offset = addr - m.bias;
    return true;
}

/* The loader's own allocations are thread-local storage of libraries loaded later. */
static bool by_loader(u64 pc)
{
    const struct module_rec *m = modules_find(pc);
    static const char name[] = "ld-linux";
    return m && m->soname && !__builtin_strncmp(string_text(m->soname), name, sizeof name - 1);
}

/* The same for a block whose allocation's stack is known. */
static bool loaders_stack(ref_t stack)
{
    const struct stack_rec *s = arena_at(stack);
    const struct module_rec *loader = stack ? modules_find(_r_debug.r_ldbase) : NULL;
    return loader && loader->id && s->n && FRAME_MODULE(s->frame[0]) == loader->id;
}

/* Of the thread with this number, 0 when it is not known any more. */
static ref_t thread_numbered(u32 number)
{
    const struct process_rec *p = arena_at(engine_process());
    for (ref_t r = number ? __atomic_load_n(&p->threads, __ATOMIC_ACQUIRE) : 0; r;) {
        const struct thread_rec *x = arena_at(r);
        if (x->number == number && x->state != THREAD_FREE)
            return r;
        r = x->next_in_process;
    }
    return 0;
}

static bool in_heap(u64 addr, struct object_birth *birth)
{
    struct alloc_found b;
    if (!alloc_find(addr, &b) || (b.site_pc && by_loader(b.site_pc)) || loaders_stack(b.stack))
        return false;
    birth->region = REGION_HEAP;
    birth->offset = addr - b.base;
    birth->alloc_size = b.size;
    birth->alloc_stack = b.stack;
    if (!birth->thread)
        birth->thread = thread_numbered(b.thread);
    if (b.site_pc) {
        u64 frame = modules_frame(b.site_pc, false);
        birth->alloc_stack = stack_intern(&frame, 1, STACK_SITE_ONLY);
    }
    return true;
}

void locate_birth(struct thread *t, u64 addr, const u64 *fp, struct object_birth *birth)
{
    u64 key[3];
    birth->region = REGION_UNKNOWN;
    if (mapping_is_file_lock(addr)) {
        birth->region = REGION_FILE;
    } else if (on_stack(t->rec, addr)) { /* the thread's storage and its control block lie at the end of its stack */
        if (addr < (u64)fp || !tls_find(addr, birth))
            own_stack(addr, fp, birth);
    } else if (in_module(addr, birth) || in_heap(addr, birth) || tls_find(addr, birth)) {
        return;
    } else if (on_other_stack(t, addr)) {
        creator_stack(t, addr, false, birth);
    } else if (is_descriptor(addr, birth)) {
        return;
    } else if (mapping_shared_key(addr, key)) {
        birth->region = REGION_SHARED;
        birth->offset = key[2];
    }
}

#define FRAME_UNKNOWN 0xffffu

void locate_access(struct thread *t, u64 addr, const u64 *fp, struct object_birth *birth)
{
    locate_birth(t, addr, fp, birth);
    if (birth->region == REGION_SHARED)
        locate_shared(addr, birth);
    if (birth->region != REGION_UNKNOWN || !(on_stack(t->rec, addr) || on_other_stack(t, addr)))
        return;
    creator_stack(t, addr, true, birth);
    if (birth->region != REGION_UNKNOWN)
        return;
    birth->region = REGION_STACK;
    birth->frame = FRAME_UNKNOWN;
}
