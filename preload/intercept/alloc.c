/* malloc and free, new and delete, and their relatives: where heap objects were allocated, and when their memory
 * ends.
 *
 * Called by the program on every allocation, so the usual path of malloc is the real call and one note, that of free
 * one compare, one store and the real call; neither looks at the thread. Only the end of a block that carries an
 * object reaches the engine (RANK_TABLE). Allocates nothing by itself.
 *
 * Before the real functions are known (and for what dlsym allocates while they are looked up) a static pool serves;
 * free of its memory does nothing. `go` holds the functions to call: the early ones at first, those of alloc_watched.c
 * while accesses are watched; so the usual path has no test for either. */
#include "alloc.h"

#include <dlfcn.h>
#include <errno.h>

#include "alloc_notes.h"
#include "alloc_watched.h"
#include "analyze/access.h"
#include "blocks.h"
#include "interceptor.h"
#include "start.h"

#define POOL_BYTES (1u << 20)
#define POOL_HEADER 16u
#define CALLER() ((u64)__builtin_return_address(0))

static void *early_malloc(size_t n, const u64 *fp);
static void *early_calloc(size_t n, size_t size, const u64 *fp);
static void *early_realloc(void *p, size_t n, const u64 *fp);
static void early_free(void *p, const u64 *fp);

/* The frame is for alloc_watched.c; the real functions do not look at it. */
static struct {
    void *(*malloc)(size_t, const u64 *fp);
    void *(*calloc)(size_t, size_t, const u64 *fp);
    void *(*realloc)(void *, size_t, const u64 *fp);
    void (*free)(void *, const u64 *fp);
} go = {early_malloc, early_calloc, early_realloc, early_free};

static char pool[POOL_BYTES] __attribute__((aligned(4096)));
static u32 pool_used;
static bool resolving;
static bool usable_known;      /* malloc_usable_size belongs to the same allocator as malloc */
static bool delete_calls_free; /* operator new and delete come to our malloc and free by themselves */
static bool in_charge;         /* no other allocator stands in front of us: every free is ours */

bool alloc_is_early(const void *p)
{
    return (u64)p - (u64)pool < POOL_BYTES;
}

bool alloc_find(u64 addr, struct alloc_found *out)
{
    struct note n;
    struct block b;
    bool noted = notes_find(addr, &n); /* also where the block's own table answers: its end is to be noticed */
    if (snarl_unlikely(access_on) && blocks_find(addr, &b, true)) {
        *out = (struct alloc_found){.base = b.base, .size = b.size, .stack = b.stack, .thread = b.thread};
        return true;
    }
    if (noted)
        *out = (struct alloc_found){.base = n.base, .size = n.size, .site_pc = n.pc};
    return noted;
}

u64 alloc_usable(void *p)
{
    return usable_known ? REAL(malloc_usable_size)(p) : 0;
}

/* ---- before the start ---- */

static u64 *pool_size(const void *p)
{
    return (u64 *)(uintptr_t)((const char *)p - POOL_HEADER);
}

static void *pool_take(size_t n)
{
    u64 bytes = ((u64)n + POOL_HEADER + 15) & ~15ULL;
    if (n > POOL_BYTES || pool_used + bytes > POOL_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    char *p = pool + pool_used + POOL_HEADER;
    pool_used += (u32)bytes;
    *pool_size(p) = n;
    return p;
}

/* The address in a slot of the table of real functions. */
static void *real_in(const void *slot)
{
    void *f;
    __builtin_memcpy(&f, slot, sizeof f);
    return f;
}

static void *module_of(const void *slot)
{
    Dl_info info;
    return real_in(slot) && dladdr(real_in(slot), &info) ? info.dli_fbase : NULL;
}

/* Blocks of the pool were noted like others by the functions below; from now on a noted block goes to the real free
 * at once. */
static void pool_forget_notes(void)
{
    struct note n;
    for (u32 at = 0; at < pool_used; at += (u32)((*(u64 *)(void *)(pool + at) + POOL_HEADER + 15) & ~15ULL))
        notes_take((u64)(pool + at + POOL_HEADER), &n);
}

/* Our malloc, whatever `malloc` means in this process. */
extern __typeof__(malloc) own_malloc __attribute__((__alias__("malloc"), visibility("hidden"))) COPY_ATTRIBUTES(malloc);

static bool first_allocator(void)
{
    void *(*volatile first)(size_t) = malloc;
    void *(*volatile mine)(size_t) = own_malloc; /* volatile: the compiler knows an alias when it sees one */
    return first == mine;
}

/* True when the real functions are in place. */
static bool go_real(void)
{
    if (resolving)
        return false;
    resolving = true;
    if (!real_memory_ready)
        real_resolve();
    bool known = real_memory_ready;
    if (known) {
        usable_known = module_of(&REAL(malloc_usable_size)) == module_of(&REAL(malloc));
        delete_calls_free = REAL(_ZdlPv) && module_of(&REAL(_ZdlPv)) != module_of(&REAL(free));
        in_charge = first_allocator();
        pool_forget_notes();
        __builtin_memcpy(&go.malloc, &REAL(malloc), sizeof go.malloc);
        __builtin_memcpy(&go.calloc, &REAL(calloc), sizeof go.calloc);
        __builtin_memcpy(&go.realloc, &REAL(realloc), sizeof go.realloc);
        __builtin_memcpy(&go.free, &REAL(free), sizeof go.free);
    }
    resolving = false;
    return known;
}

static void *early_malloc(size_t n, const u64 *fp)
{
    return go_real() ? go.malloc(n, fp) : pool_take(n);
}

static void *early_calloc(size_t n, size_t size, const u64 *fp)
{
    size_t bytes;
    if (go_real())
        return go.calloc(n, size, fp);
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return pool_take(bytes); /* never used before: zero */
}

static void *early_realloc(void *p, size_t n, const u64 *fp)
{
    return go_real() ? go.realloc(p, n, fp) : p ? NULL : pool_take(n); /* pool memory does not come here */
}

static void early_free(void *p, const u64 *fp)
{
    if (!alloc_is_early(p) && go_real())
        go.free(p, fp);
}

static void *pool_realloc(void *p, size_t n, u64 caller, const u64 *fp)
{
    void *q = go.malloc(n, fp);
    return !q ? NULL : __builtin_memcpy(notes_add(q, n, caller), p, n < *pool_size(p) ? n : *pool_size(p));
}

/* ---- the end of a block ---- */

static void objects_end(u64 addr, u64 size, const u64 *fp)
{
    if (!engine_memory_has_objects(addr, size))
        return;
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    engine_memory_gone(t, addr, size, fp);
    interceptor_leave(t);
}

/* Before the real free. Fills the note, size 0 if there was none. */
static void block_ends(void *p, struct note *n, const u64 *fp)
{
    if (!notes_take((u64)p, n)) {
        n->size = 0;
        if (snarl_on) /* else a sanitizer's allocator may not be ready to be asked */
            objects_end((u64)p, usable_known ? alloc_usable(p) : 1, fp);
    } else if (n->carries) {
        objects_end((u64)p, n->size, fp);
    }
}

static SNARL_COLD void free_slow(void *p, const u64 *fp)
{
    struct note n;
    if (alloc_is_early(p)) {
        notes_take((u64)p, &n);
        return;
    }
    if (p)
        block_ends(p, &n, fp);
    go.free(p, fp);
}

/* ---- malloc and friends ---- */

EXPORT void *malloc(size_t n)
{
    return notes_add_hot(go.malloc(n, INTERCEPTOR_FP()), n, CALLER());
}

EXPORT void free(void *p)
{
    if (snarl_likely(notes_take_plain((u64)p)))
        go.free(p, INTERCEPTOR_FP());
    else
        free_slow(p, INTERCEPTOR_FP());
}

EXPORT void *calloc(size_t n, size_t size)
{
    return notes_add_hot(go.calloc(n, size, INTERCEPTOR_FP()), n * size, CALLER());
}

static SNARL_HOT void *resize(void *p, size_t n, u64 caller, const u64 *fp)
{
    struct note old;
    if (!p)
        return notes_add_hot(go.realloc(NULL, n, fp), n, caller);
    if (snarl_unlikely(alloc_is_early(p)))
        return pool_realloc(p, n, caller, fp);
    block_ends(p, &old, fp);
    void *q = go.realloc(p, n, fp);
    if (q)
        notes_add_hot(q, n, caller);
    else if (n && old.size)
        notes_add(p, old.size, old.pc); /* it failed: the old block lives on */
    return q;
}

EXPORT void *realloc(void *p, size_t n)
{
    return resize(p, n, CALLER(), INTERCEPTOR_FP());
}

/* glibc's calls realloc: ours, or that of an allocator in front of us. */
EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    if (snarl_unlikely(access_on) && in_charge)
        return resize(p, bytes, CALLER(), INTERCEPTOR_FP());
    return notes_correct(REAL(reallocarray) ? REAL(reallocarray)(p, n, size) : realloc(p, bytes), bytes, CALLER());
}

/* A block of one of the functions that do not go through `go`. */
static SNARL_HOT void *fresh(void *p, size_t n, u64 caller, const u64 *fp)
{
    if (snarl_unlikely(access_on))
        alloc_watched_new(p, n, fp, false);
    return notes_add_hot(p, n, caller);
}

#define KNOWN(name) (REAL(name) || (go_real() && REAL(name)))

EXPORT void *memalign(size_t align, size_t n)
{
    return KNOWN(memalign) ? fresh(REAL(memalign)(align, n), n, CALLER(), INTERCEPTOR_FP()) : NULL;
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
    return KNOWN(aligned_alloc) ? fresh(REAL(aligned_alloc)(align, n), n, CALLER(), INTERCEPTOR_FP()) : NULL;
}

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
    if (!KNOWN(posix_memalign))
        return ENOMEM;
    int r = REAL(posix_memalign)(out, align, n);
    if (!r)
        fresh(*out, n, CALLER(), INTERCEPTOR_FP());
    return r;
}

EXPORT void *valloc(size_t n)
{
    return KNOWN(valloc) ? fresh(REAL(valloc)(n), n, CALLER(), INTERCEPTOR_FP()) : NULL;
}

EXPORT void *pvalloc(size_t n)
{
    return KNOWN(pvalloc) ? fresh(REAL(pvalloc)(n), n, CALLER(), INTERCEPTOR_FP()) : NULL;
}

/* ---- C++: the note names the caller of new, not that of the malloc inside (or, of an allocator with a new of its
 * own, there is none yet) ---- */

static SNARL_HOT void *note_new(void *p, size_t n, u64 caller, const u64 *fp)
{
    if (snarl_likely(delete_calls_free))
        return notes_correct(p, n, caller);
    if (!in_charge)
        return p;
    if (snarl_unlikely(access_on))
        alloc_watched_new(p, n, fp, true);
    return notes_add_hot(p, n, caller);
}

/* The program's C++ library may have come with a dlopen; without any (a C program whose weak reference found us)
 * malloc has to do. */
#define CXX(name) (snarl_likely(REAL(name) != NULL) || real_late(#name, (void **)&REAL(name)))

/* While accesses are watched a new that would only call malloc is not called: the block is the caller's. */
#define NEW(name, align, parameters, arguments, instead)                                                               \
    EXPORT void *name parameters                                                                                       \
    {                                                                                                                  \
        void *p;                                                                                                       \
        if (snarl_unlikely(access_on) && delete_calls_free && (p = alloc_watched_cxx_new(n, align, INTERCEPTOR_FP()))) \
            return notes_add_hot(p, n, CALLER());                                                                      \
        return note_new(CXX(name) ? REAL(name) arguments : instead, n, CALLER(), INTERCEPTOR_FP());                    \
    }

NEW(_Znwm, 0, (size_t n), (n), malloc(n))
NEW(_Znam, 0, (size_t n), (n), malloc(n))
NEW(_ZnwmRKSt9nothrow_t, 0, (size_t n, const void *nothrow), (n, nothrow), malloc(n))
NEW(_ZnamRKSt9nothrow_t, 0, (size_t n, const void *nothrow), (n, nothrow), malloc(n))
NEW(_ZnwmSt11align_val_t, align, (size_t n, size_t align), (n, align), memalign(align, n))
NEW(_ZnamSt11align_val_t, align, (size_t n, size_t align), (n, align), memalign(align, n))
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, align, (size_t n, size_t align, const void *nothrow), (n, align, nothrow),
    memalign(align, n))
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, align, (size_t n, size_t align, const void *nothrow), (n, align, nothrow),
    memalign(align, n))

static SNARL_COLD void delete_watched(void *p, const u64 *fp)
{
    struct note n;
    if (p && !alloc_is_early(p)) {
        block_ends(p, &n, fp);
        alloc_watched_cxx_delete(p, fp);
    }
}

/* An allocator with a delete of its own (jemalloc, tcmalloc) frees without coming to our free. False: nothing is left
 * to delete. */
static SNARL_HOT bool delete_ends(void *p, const u64 *fp)
{
    struct note n;
    if (snarl_unlikely(access_on)) {
        if (delete_calls_free) {
            delete_watched(p, fp);
            return false;
        }
        if (p && !alloc_is_early(p))
            alloc_watched_gone(p, fp, true);
    }
    if (snarl_likely(delete_calls_free) || !p || notes_take_plain((u64)p))
        return true;
    if (alloc_is_early(p))
        return false;
    block_ends(p, &n, fp);
    return true;
}

#define DELETE(name, parameters, arguments)                                                                            \
    EXPORT void name parameters                                                                                        \
    {                                                                                                                  \
        if (!CXX(name))                                                                                                \
            free(p);                                                                                                   \
        else if (delete_ends(p, INTERCEPTOR_FP()))                                                                     \
            REAL(name) arguments;                                                                                      \
    }

DELETE(_ZdlPv, (void *p), (p))
DELETE(_ZdaPv, (void *p), (p))
DELETE(_ZdlPvm, (void *p, size_t n), (p, n))
DELETE(_ZdaPvm, (void *p, size_t n), (p, n))
DELETE(_ZdlPvSt11align_val_t, (void *p, size_t align), (p, align))
DELETE(_ZdaPvSt11align_val_t, (void *p, size_t align), (p, align))
DELETE(_ZdlPvmSt11align_val_t, (void *p, size_t n, size_t align), (p, n, align))
DELETE(_ZdaPvmSt11align_val_t, (void *p, size_t n, size_t align), (p, n, align))
DELETE(_ZdlPvRKSt9nothrow_t, (void *p, const void *nothrow), (p, nothrow))
DELETE(_ZdaPvRKSt9nothrow_t, (void *p, const void *nothrow), (p, nothrow))

/* ---- accesses ---- */

void alloc_watch(void)
{
    if (go.malloc == early_malloc && !go_real())
        return;
    delete_calls_free = CXX(_ZdlPv) && module_of(&REAL(_ZdlPv)) != module_of(&REAL(free));
    go.malloc = alloc_watched_malloc;
    go.calloc = alloc_watched_calloc;
    go.realloc = alloc_watched_realloc;
    go.free = alloc_watched_free;
}
