/* Which addresses of a stack can be read. Called by the walkers. Takes no lock, allocates nothing.
 *
 * A thread's stack between its stack pointer and its end is always mapped, and so is the main one up to the strings
 * that the kernel put at its top. Of any other (coroutines, alternate signal stacks) only the page in use is certain:
 * further ones are asked for, page by page, at each walk, since nobody tells when such memory goes away. */
#include <sys/auxv.h>

#include "internal.h"
#include "safe.h"

#define PAGE 4096ULL
/* The kernel maps nothing within this distance below the main stack's end but that stack (mmap_base,
 * arch/x86/mm/mmap.c). */
#define MAIN_REACH (128ULL << 20)
#define MAX_PROBES 512u

static u64 main_end;

void region_start(void)
{
    const char *top = (const char *)getauxval(AT_EXECFN);
    if (!top)
        return;
    while (*top)
        top++;
    main_end = ((u64)top + PAGE) & ~(PAGE - 1);
}

void region_at(struct stack_region *g, const struct thread *t, u64 sp, bool current)
{
    const struct thread_rec *r = t ? t->rec : NULL;
    g->lo = sp;
    g->known = true;
    g->probes = 0;
    if (r && sp >= r->stack_lo && sp < r->stack_hi) {
        g->hi = r->stack_hi;
    } else if (sp < main_end && main_end - sp < MAIN_REACH) {
        g->hi = main_end;
    } else {
        g->known = false;
        g->lo = sp & ~(PAGE - 1);
        g->hi = current || safe_readable(sp & ~7ULL) ? g->lo + PAGE : g->lo;
    }
}

bool region_grow(struct stack_region *g, u64 end)
{
    if (g->known)
        return false;
    while (g->hi < end) {
        if (g->hi == g->lo || g->probes++ >= MAX_PROBES || !safe_readable(g->hi))
            return false;
        g->hi += PAGE;
    }
    return true;
}
