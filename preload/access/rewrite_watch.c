/* Rewritten modules of this process: they are prepared here, and here faults and signals learn what a copy stands for.
 * Called before a module's code runs, by one thread at a time; by the kernel, in handlers (copies.h). Takes no lock; memory
 * from the system. */
#include "rewrite_watch.h"

#include <link.h>

#include "analyze/access_hot.h"
#include "base/hash.h"
#include "intercept/copies.h"
#include "interceptor.h"
#include "model/stack.h"
#include "rewrite_cache.h"
#include "rewrite_enter.h"
#include "rewrite_interrupt.h"
#include "rewrite_patch.h"
#include "watched.h"

_Static_assert(COPIES_WORDS == REWRITE_WORDS, "what a handler keeps");

/* struct check_target. Of the byte in the granule at which an access begins. */
#define SPARE(at, size) (u16)((at) + (size) > GRANULE ? SLOT_ATOMIC : SLOT_MASK & ~(((1u << (size)) - 1u) << (at)))
#define SPARES(size)                                                                                                   \
    {                                                                                                                  \
        SPARE(0, size), SPARE(1, size), SPARE(2, size), SPARE(3, size), SPARE(4, size), SPARE(5, size),                \
            SPARE(6, size), SPARE(7, size)                                                                             \
    }
static __thread u16 spare[3][GRANULE] __attribute__((tls_model("initial-exec"))) = {SPARES(1), SPARES(2), SPARES(4)};

static struct rewritten modules[REWRITE_MODULES];
static u32 nmodules;
static struct check_target target;

/* ---- modules ---- */

static u64 tls_base(void)
{
    u64 base;
    __asm__("mov %%fs:0, %0" : "=r"(base));
    return base;
}

static int32_t tls_offset(const void *p)
{
    return (int32_t)((u64)p - tls_base());
}

static void take_header(struct image *image, u64 bias, const ElfW(Phdr) * p)
{
    u64 lo = bias + p->p_vaddr, hi = lo + p->p_memsz;
    switch (p->p_type) {
    case PT_LOAD:
        if (image->nparts < IMAGE_PARTS)
            image->part[image->nparts++] = (struct image_part){lo, hi, p->p_flags & PF_W, p->p_flags & PF_X};
        if (p->p_flags & PF_X) {
            image->text_lo = lo;
            image->text_hi = hi;
        }
        break;
    case PT_GNU_EH_FRAME:
        image->frames = lo;
        break;
    case PT_DYNAMIC:
        image->dynamic = lo;
        break;
    case PT_GNU_RELRO:
        image->relro_lo = lo;
        image->relro_hi = hi & ~4095ULL;
        break;
    default:
        break;
    }
}

static bool is_here(const struct rewritten *r)
{
    return __atomic_load_n(&r->here, __ATOMIC_ACQUIRE);
}

bool rewrite_is_known(const struct module *m)
{
    for (u32 i = 0; i < nmodules; i++)
        if (is_here(&modules[i]) && modules[i].text >= m->lo && modules[i].text < m->hi)
            return true;
    return false;
}

/* Nothing runs in their copies any more, nor in what is left of them. */
void rewrite_forget_gone(void)
{
    struct module m;
    for (u32 i = 0; i < nmodules; i++)
        if (is_here(&modules[i]) && (!modules_lookup(modules[i].text, &m) || m.map != modules[i].module)) {
            __atomic_store_n(&modules[i].here, false, __ATOMIC_SEQ_CST);
            arena_drop(&modules[i].arena);
        }
}

/* A slot that none is in. */
static u32 slot(void)
{
    for (u32 i = 0; i < nmodules; i++)
        if (!is_here(&modules[i]) && !modules[i].taken)
            return i;
    return nmodules;
}

/* ---- the cache ---- */

static u64 program_and_tool; /* of their build ids, 0: one has none, or is not known yet */
static struct cache_key key;
bool rewrite_keeps;
u64 rewrite_from_cache;

static u64 id_of(const struct module_rec *r, u64 seed)
{
    u64 id = r && r->build_id_len ? hash_bytes(r->build_id, r->build_id_len, seed) : 0;
    return id ? hash_mix64(id) : 0;
}

void rewrite_watch_name(const struct module_rec *program, const struct module_rec *tool)
{
    u64 a = id_of(program, 1), b = id_of(tool, 2);
    program_and_tool = a && b ? hash_combine(a, b) : 0;
}

static void key_of(const struct module *m, u32 slot)
{
    const struct module_rec *r = m->rec ? arena_at(m->rec) : NULL;
    u64 a = id_of(r, 3), b = id_of(r, 4);
    key = (struct cache_key){.slow = (u64)(uintptr_t)rewrite_enter,
                             .cells = shadow_cells,
                             .first = slot << REWRITE_CHECKS_SHIFT,
                             .to = target};
    if (program_and_tool && a && b) {
        key.name[0] = hash_combine(a, program_and_tool) | 1;
        key.name[1] = hash_combine(b, program_and_tool);
    }
}

static void made(const struct rewritten *m, const struct rewrite *r)
{
    if (key.name[0] && rewrite_keeps)
        cache_keep(m, r, &key);
}

static bool take_image(struct image *image, const struct module *m)
{
    *image = (struct image){.bias = m->bias};
    for (u32 k = 0; k < m->nheaders; k++)
        take_header(image, m->bias, &((const ElfW(Phdr) *)m->headers)[k]);
    return image->text_hi && image->frames;
}

static void is_watched(const struct module *m, u32 i)
{
    struct rewritten *r = &modules[i];
    rewrite_sites[i] = r->sites;
    r->module = m->map;
    __atomic_store_n(&r->here, true, __ATOMIC_RELEASE);
    watched_rewritten(r->text);
}

static void tell_coverage(const struct module *m, const struct rewritten *r)
{
    if (m->rec)
        ((struct module_rec *)arena_at(m->rec))->coverage = r->coverage;
}

bool rewrite_watch_cached(const struct module *m, u32 *at)
{
    struct image image;
    u32 i = *at = slot();
    if (i == REWRITE_MODULES || !take_image(&image, m))
        return false;
    struct rewritten *r = &modules[i];
    rewritten_drop(r);
    *r = (struct rewritten){.module = m->map, .text = image.text_lo, .taken = true};
    if (i == nmodules)
        __atomic_store_n(&nmodules, i + 1, __ATOMIC_RELEASE);
    key_of(m, i);
    if (!cache_use(r, &image, &key)) {
        *r = (struct rewritten){.taken = true};
        return false;
    }
    rewrite_from_cache += image.text_hi - image.text_lo;
    tell_coverage(m, r);
    is_watched(m, i);
    return true;
}

enum rewrite_result rewrite_watch_module(const struct module *m, u32 i)
{
    struct image image;
    if (i == REWRITE_MODULES)
        return REWRITE_NO_ROOM;
    struct rewritten *r = &modules[i];
    r->taken = false;
    if (!take_image(&image, m))
        return REWRITE_NOTHING;
    key_of(m, i);
    enum rewrite_result result = rewrite_module(r, &image, &target, key.slow, key.cells, key.first, NULL, 0);
    tell_coverage(m, r);
    if (result == REWRITTEN)
        is_watched(m, i);
    return result;
}

const struct rewritten *rewrite_watched(u32 i)
{
    return i < nmodules ? &modules[i] : NULL;
}

static u64 text_frame(const struct rewritten *r)
{
    return modules_frame(r->text, true) & ~FRAME_EXACT;
}

/* Accesses are told of as calls: a frame is one byte behind the instruction. Rare, so the sites have no order. */
static struct access_site *site_at_frame(u64 frame)
{
    u32 n = __atomic_load_n(&nmodules, __ATOMIC_ACQUIRE);
    for (u32 i = 0; i < n; i++) {
        u64 pc = modules[i].text + (frame - text_frame(&modules[i])) - 1;
        if (!is_here(&modules[i]) || pc - modules[i].text >= modules[i].text_bytes)
            continue;
        for (u32 k = 0; k < modules[i].nsites; k++)
            if (modules[i].sites[k].pc == pc)
                return &modules[i].sites[k];
    }
    return NULL;
}

u32 rewrite_instruction(u64 frame, bool take)
{
    struct access_site *s = site_at_frame(frame);
    bool operand = s && (s->memory == MEM_OPERAND || s->memory == MEM_ABSOLUTE) && !s->rep;
    if (!operand || s->size > GRANULE || (s->how & (SITE_SOME_BYTES | SITE_SEGMENT)))
        return 0;
    if (s->how & SITE_ATOMIC)
        return INSTRUCTION_ATOMIC;
    if (take)
        __atomic_fetch_or(&s->how, SITE_TAKEN, __ATOMIC_RELAXED);
    return s->size | ((s->how & (SITE_READ | SITE_WRITE)) == (SITE_READ | SITE_WRITE) ? INSTRUCTION_UPDATE : 0);
}

/* ---- faults and signals ---- */

/* A byte that leads to the copy; or the shadow of a wild pointer, which the program is to find out for itself. */
static u64 fault(u64 pc)
{
    u32 n = __atomic_load_n(&nmodules, __ATOMIC_ACQUIRE);
    for (u32 i = 0; i < n; i++) {
        struct map_found found;
        if (!is_here(&modules[i]))
            continue;
        u64 copy = map_copy_of(&modules[i].map, pc);
        if (copy)
            return patch_is_trap(*(const u8 *)pc) ? copy : 0;
        if (map_find(&modules[i].map, pc, &found))
            return found.where == MAP_CHECK ? found.back : 0;
    }
    return 0;
}

static const u8 numbers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void show(struct copies_shown *s, ucontext_t *c)
{
    greg_t *g = c->uc_mcontext.gregs;
    struct interrupted at = {.flags = (u64)g[REG_EFL], .pc = (u64)g[REG_RIP]};
    u32 n = __atomic_load_n(&nmodules, __ATOMIC_ACQUIRE);
    for (u32 i = 0; i < 16; i++)
        at.reg[i] = (u64)g[numbers[i]];
    __builtin_memcpy(s->words, rewrite_words, sizeof s->words);
    s->shown = s->resume = 0;
    for (u32 i = 0; i < n; i++) {
        if (!is_here(&modules[i]) || !interrupt_roll_back(&modules[i].map, &target, tls_base(), &at, &s->resume))
            continue;
        for (u32 k = 0; k < 16; k++)
            g[numbers[k]] = (greg_t)at.reg[k];
        g[REG_EFL] = (greg_t)at.flags;
        g[REG_RIP] = (greg_t)at.pc;
        s->shown = at.pc;
        return;
    }
}

static void hide(const struct copies_shown *s, ucontext_t *c)
{
    greg_t *pc = &c->uc_mcontext.gregs[REG_RIP];
    __builtin_memcpy(rewrite_words, s->words, sizeof s->words);
    if (s->shown && (u64)*pc == s->shown)
        *pc = (greg_t)s->resume;
}

bool rewrite_watch_start(void)
{
    static const struct copies ours = {fault, show, hide};
    target = (struct check_target){.now = tls_offset(&access_now), .address = tls_offset(&rewrite_words[3])};
    for (u32 i = 0; i < 3; i++) {
        target.saved[i] = tls_offset(&rewrite_words[i]);
        target.spare[i] = tls_offset(spare[i]);
    }
    if (!rewrite_enter_start())
        return false;
    engine_hooks.instruction = rewrite_instruction;
    rewrite_made = made;
    copies = &ours;
    return true;
}
