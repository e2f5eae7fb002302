/* Allocation while accesses are watched: each block is noted with its stack (blocks.h), begins as if its allocator had
 * written it, ends with a write, and waits for some time before it is freed (quarantine.h).
 *
 * Called by alloc.c in place of the real functions. Captures stacks; takes the locks of blocks.c and, through the
 * engine, its own. Allocates nothing by itself.
 *
 * The whole usable size counts for accesses, since the program may ask for it. A thread that has ended, or code of ours
 * that is interrupted, has no state: its block is noted without stack. Blocks of code that is not watched (watched.h)
 * are noted, but neither their allocation nor their end is an access. */
#include "alloc_watched.h"

#include <errno.h>

#include "analyze/access.h"
#include "blocks.h"
#include "hooks.h"
#include "interceptor.h"
#include "quarantine.h"
#include "watched.h"

static u64 bytes_of(void *p, u64 asked)
{
    u64 usable = alloc_usable(p);
    return usable > asked ? usable : asked;
}

static ref_t capture(struct thread *t, const u64 *fp)
{
    return engine_hooks.capture ? engine_hooks.capture(t, fp) : 0;
}

/* ---- the beginning ---- */

void alloc_watched_new(void *p, u64 n, const u64 *fp, bool or_runtime)
{
    if (!p)
        return;
    if (snarl_unlikely(__atomic_load_n(&hooks_pending, __ATOMIC_RELAXED)))
        hooks_update(); /* the loader and new modules allocate */
    struct thread *t = interceptor_enter(fp);
    struct block b = {.base = (u64)p, .size = n};
    bool direct = t && watched_directly(fp);
    if (t) {
        b.stack = direct ? access_call_stack(t, fp) : capture(t, fp);
        b.thread = t->rec->number;
    }
    if (!blocks_put(&b, t != NULL))
        run_lost(LOSS_heap_blocks);
    if (!t)
        return;
    if (direct || watched_call(fp, or_runtime))
        access_block_new(t, (u64)p, bytes_of(p, n), b.stack, fp);
    else
        access_forget(t, (u64)p, bytes_of(p, n));
    interceptor_leave(t);
}

/* ---- the end ---- */

static void free_really(u64 addr, bool may_wait)
{
    struct block b;
    blocks_take(addr, &b, may_wait); /* first: another thread may have the address at once */
    REAL(free)((void *)addr);
}

/* The program frees p, inside enter/leave if there is a thread state. False: it is not to wait, or was freed already. */
static bool ends(struct thread *t, void *p, struct block *b, const u64 *fp, bool or_runtime)
{
    u64 addr = (u64)p;
    bool known = blocks_wait(addr, b, t != NULL);
    if (known && b->waiting)
        return false;
    u64 n = bytes_of(p, known ? b->size : 1);
    if (t && engine_memory_has_objects(addr, n))
        engine_memory_gone(t, addr, n, fp);
    bool direct = t && watched_directly(fp);
    blocks_ending = addr;
    if (direct || (t && watched_call(fp, or_runtime)))
        access_block_gone(t, addr, n, direct, fp);
    blocks_ending = 0;
    b->size = n;
    return known && n <= QUARANTINE_LARGEST;
}

void alloc_watched_gone(void *p, const u64 *fp, bool or_runtime)
{
    struct block b;
    struct thread *t = interceptor_enter(fp);
    ends(t, p, &b, fp, or_runtime);
    blocks_take((u64)p, &b, t != NULL);
    if (t)
        interceptor_leave(t);
}

static void release(void *p, const u64 *fp, bool or_runtime)
{
    struct block b = {0};
    if (!p)
        return;
    struct thread *t = interceptor_enter(fp);
    bool waits = ends(t, p, &b, fp, or_runtime);
    u64 over = waits ? quarantine_put((u64)p, b.size) : 0;
    if (t)
        interceptor_leave(t);
    /* Freed twice: the real allocator is to see both, as it would without us. */
    if (!waits && b.waiting && quarantine_take((u64)p))
        REAL(free)(p);
    if (!waits)
        free_really((u64)p, t != NULL);
    if (over)
        REAL(free)((void *)over);
}

void alloc_watched_free(void *p, const u64 *fp)
{
    release(p, fp, false);
}

void alloc_watched_cxx_delete(void *p, const u64 *fp)
{
    release(p, fp, true);
}

/* Memory is short: gives back what waits. True when something was. */
static bool make_room(void)
{
    u64 addr;
    bool any = false;
    while ((addr = quarantine_any())) {
        REAL(free)((void *)addr);
        any = true;
    }
    return any;
}

/* ---- the real calls ---- */

void *alloc_watched_malloc(size_t n, const u64 *fp)
{
    int before = errno;
    void *p = REAL(malloc)(n);
    if (snarl_unlikely(!p) && make_room()) {
        p = REAL(malloc)(n);
        errno = p ? before : ENOMEM;
    }
    alloc_watched_new(p, n, fp, false);
    return p;
}

void *alloc_watched_calloc(size_t n, size_t size, const u64 *fp)
{
    int before = errno;
    void *p = REAL(calloc)(n, size);
    if (snarl_unlikely(!p) && make_room()) {
        p = REAL(calloc)(n, size);
        errno = p ? before : ENOMEM;
    }
    alloc_watched_new(p, n * size, fp, false);
    return p;
}

/* As the real one does it, in place when it can: what is left behind does not wait. */
void *alloc_watched_realloc(void *p, size_t n, const u64 *fp)
{
    struct block old = {0};
    int before = errno;
    if (p) {
        struct thread *t = interceptor_enter(fp);
        ends(t, p, &old, fp, false);
        if (t)
            interceptor_leave(t);
        if (old.waiting && quarantine_take((u64)p))
            REAL(free)(p); /* freed before: the real one is to see it so */
        blocks_take((u64)p, &old, t != NULL);
    }
    void *q = REAL(realloc)(p, n);
    if (snarl_unlikely(!q) && n && make_room()) {
        q = REAL(realloc)(p, n);
        errno = q ? before : ENOMEM;
    }
    if (q)
        alloc_watched_new(q, n, fp, false);
    else if (n && old.base)
        alloc_watched_new(p, old.size, fp, false); /* it failed: the old block lives on */
    return q;
}

void *alloc_watched_cxx_new(size_t n, size_t align, const u64 *fp)
{
    size_t bytes = n ? n : 1, rounded = align ? (bytes + align - 1) & ~(align - 1) : bytes;
    if (rounded < bytes || (align & (align - 1)))
        return NULL;
    int before = errno;
    void *p = align ? REAL(aligned_alloc)(align, rounded) : REAL(malloc)(bytes);
    if (snarl_unlikely(!p)) {
        make_room();
        errno = before;
        return NULL;
    }
    alloc_watched_new(p, n, fp, true);
    return p;
}
