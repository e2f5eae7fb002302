/* Lost updates as findings, and what the instructions that write tell of them. Called by atomicity.c, and before
 * releases. Takes RANK_FINDINGS, and what naming memory takes. */
#include "analyze/atomicity.h"
#include "base/hash.h"

#include <sys/mman.h>

/* ---- where does an instruction write to? ---- */

struct writing *pair_writing;

bool writing_begin(void)
{
    pair_writing =
        sys_map(WRITING * sizeof *pair_writing); /* of two threads that come here at once, one loses its own */
    return pair_writing != NULL;
}

void writing_forget(void)
{
    sys_call3(SYS_madvise, pair_writing, WRITING * sizeof *pair_writing, MADV_DONTNEED);
}

bool writes_one(u64 pc, u32 uid, u64 address)
{
    struct writing *g = writing_of(pc, uid);
    u64 none = 0;
    if (__atomic_load_n(&g->pc, __ATOMIC_RELAXED) != pc &&
        !__atomic_compare_exchange_n(&g->pc, &none, pc, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    if (!g->uid) {
        g->uid = uid;
        g->address = address;
    }
    if (!g->many && (g->uid != uid || g->address != address))
        g->many = 1;
    return !g->many && g->uid == uid;
}

/* ---- is it a constant that is stored? ---- */

/* Bytes of an operand in memory from its ModRM byte on; 0: it is a register. */
static u32 operand_bytes(const u8 *modrm)
{
    u32 mod = *modrm >> 6, rm = *modrm & 7, n = 1;
    if (mod == 3)
        return 0;
    if (rm == 4) {
        n++;
        if (mod == 0 && (modrm[1] & 7) == 5)
            return n + 4;
    }
    if (mod == 0 && rm == 5)
        return n + 4;
    return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

#define LOADS 4u
bool stores_constant(u64 pc)
{
    const u8 *p = (const u8 *)(uintptr_t)pc;
    for (u32 i = 0; i <= LOADS; i++) {
        while (*p == 0x66)
            p++;
        if ((*p & 0xf0) == 0x40)
            p++;
        u8 op = *p++;
        u32 n = op == 0xc6 || op == 0xc7 || op == 0x83 || op == 0x8b || op == 0x8d ? operand_bytes(p) : 0;
        if (!n)
            return false;
        u32 which = *p >> 3 & 7;
        if (op == 0xc6 || op == 0xc7) /* mov $constant */
            return which == 0;
        if (op == 0x83) /* and $0, or $-1 */
            return (which == 4 && p[n] == 0) || (which == 1 && p[n] == 0xff);
        p += n; /* the address was in memory, too */
    }
    return false;
}

/* ---- findings ---- */

static u64 value_at(u64 address, u32 mask)
{
    u64 value = 0;
    for (u32 i = 0; i < GRANULE; i++)
        if (mask & 1u << i)
            value |= (u64) * (const volatile u8 *)(address + i) << 8 * i;
    return value;
}

static void events_fill(struct thread *t, struct finding_rec *f, const struct pair_found *p)
{
    access_event_fill(&f->events[0], t->ref, ACCESS_READ, p->address, p->mask, p->read.stack);
    f->events[0].held = holds_snapshot(p->hold, &f->events[0].nheld);
    const struct writer *w = &p->writer;
    ref_t thread = THREAD_AT(w->thread)->number == w->number ? w->thread : 0;
    access_event_fill(&f->events[1], thread, ACCESS_WRITE, p->address, p->mask, w->stack);
    f->events[1].held = holds_snapshot(w->hold, &f->events[1].nheld);
    access_event_fill(&f->events[2], t->ref, p->kind, p->address, p->mask, p->stack);
    f->events[2].held = held_snapshot(t->rec, &f->events[2].nheld);
}

static void report(struct thread *t, struct pairs *p, const struct pair_found *found)
{
    u64 signature = hash_combine(memory_signature(&found->memory, found->read.stack, found->stack), found->verdict);
    u64 key = hash_combine(signature, found->address), *told = &p->told[key % PAIR_TOLD];
    bool known = *told == key;
    *told = key;
    ref_t r = known ? 0 : finding_begin(hash_combine(signature, FINDING_ATOMICITY), 1, 3);
    if (!r)
        return;
    struct finding_rec *f = arena_at(r);
    f->kind = FINDING_ATOMICITY;
    f->verdict = (u8)found->verdict;
    f->flags = found->across ? FINDING_ACROSS_CALLS : 0;
    f->mem_address = found->address + (u32)__builtin_ctz(found->mask);
    f->mem_size = (u32)(32 - __builtin_clz(found->mask) - __builtin_ctz(found->mask));
    f->memory = found->memory;
    pin_thread(f->memory.thread);
    if (f->locks)
        *(ref_t *)arena_at(f->locks) = found->lock;
    pin_object(found->lock);
    events_fill(t, f, found);
    finding_publish(r, false);
}

void pair_found(struct thread *t, struct pairs *p, const struct pair_found *f, const u64 *fp)
{
    u64 first = f->address + (u32)__builtin_ctz(f->mask);
    u64 key = hash_combine(hash_combine(first, f->stack), hash_combine(f->read.stack, f->verdict));
    if (p->told[key % PAIR_TOLD] == key || access_is_intended(first, (u32)__builtin_popcount(f->mask)))
        return;
    p->told[key % PAIR_TOLD] = key;
    struct pair_found *keep = &p->found;
    *keep = *f;
    keep->memory = (struct object_birth){.init_stack = f->stack, .thread = t->ref};
    if (engine_hooks.locate_access)
        engine_hooks.locate_access(t, first, fp, &keep->memory);
    keep->before = value_at(f->address, f->mask);
    if (f->verdict != VERDICT_OBSERVED)
        return;
    report(t, p, keep);
    keep->mask = 0;
}

/* What has not been seen to lose anything counts only if it changes the value: not who stores what is there already. */
SNARL_COLD void atomicity_released_slow(struct thread *t, struct pairs *p)
{
    struct pair_found *f = &p->found;
    u32 mask = f->mask;
    f->mask = 0;
    if (f->generation != atomicity_generation(f->address) || value_at(f->address, mask) == f->before)
        return;
    f->mask = mask;
    report(t, p, f);
    f->mask = 0;
}
