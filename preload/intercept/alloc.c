/* malloc and free, new and delete, and their relatives: where heap objects were allocated, and when their memory
 * ends.
 *
 * Called by the program on every allocation, so the usual path of malloc is the real call and one note, that of free
 * one compare, one store and the real call; neither looks at the thread. Only the end of a block that carries an
 * object reaches the engine (RANK_TABLE). Allocates nothing by itself.
 *
 * Before the real functions are known (and for what dlsym allocates while they are looked up) a static pool serves;
 * free of its memory does nothing. `go` holds the functions to call: the early ones at first, so that the usual path
 * has no test for it. */
#include "alloc.h"

#include <dlfcn.h>
#include <errno.h>

#include "alloc_notes.h"
#include "interceptor.h"
#include "start.h"

#define POOL_BYTES (1u << 20)
#define POOL_HEADER 16u
#define CALLER() ((u64)__builtin_return_address(0))

static void *early_malloc(size_t n);
static void *early_calloc(size_t n, size_t size);
static void *early_realloc(void *p, size_t n);
static void early_free(void *p);

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
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

bool alloc_find(u64 addr, u64 *base, u64 *size, u64 *site_pc)
{
    struct note n;
    if (!notes_find(addr, &n))
        return false;
    *base = n.base;
    *size = n.size;
    *site_pc = n.pc;
    return true;
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
        go.malloc = REAL(malloc);
        go.calloc = REAL(calloc);
        go.realloc = REAL(realloc);
        go.free = REAL(free);
    }
    resolving = false;
    return known;
}

static void *early_malloc(size_t n)
{
    return go_real() ? go.malloc(n) : pool_take(n);
}

static void *early_calloc(size_t n, size_t size)
{
    size_t bytes;
    if (go_real())
        return go.calloc(n, size);
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return pool_take(bytes); /* never used before: zero */
}

static void *early_realloc(void *p, size_t n)
{
    return go_real() ? go.realloc(p, n) : p ? NULL : pool_take(n); /* pool memory does not come here */
}

static void early_free(void *p)
{
    if (!alloc_is_early(p) && go_real())
        go.free(p);
}

static void *pool_realloc(void *p, size_t n, u64 caller)
{
    void *q = go.malloc(n);
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
            objects_end((u64)p, usable_known ? REAL(malloc_usable_size)(p) : 1, fp);
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
    go.free(p);
}

/* ---- malloc and friends ---- */

EXPORT void *malloc(size_t n)
{
    return notes_add_hot(go.malloc(n), n, CALLER());
}

EXPORT void free(void *p)
{
    if (snarl_likely(notes_take_plain((u64)p)))
        go.free(p);
    else
        free_slow(p, INTERCEPTOR_FP());
}

EXPORT void *calloc(size_t n, size_t size)
{
    return notes_add_hot(go.calloc(n, size), n * size, CALLER());
}

static SNARL_HOT void *resize(void *p, size_t n, u64 caller, const u64 *fp)
{
    struct note old;
    if (!p)
        return notes_add_hot(go.realloc(NULL, n), n, caller);
    if (snarl_unlikely(alloc_is_early(p)))
        return pool_realloc(p, n, caller);
    block_ends(p, &old, fp);
    void *q = go.realloc(p, n);
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
    return notes_correct(REAL(reallocarray) ? REAL(reallocarray)(p, n, size) : realloc(p, bytes), bytes, CALLER());
}

#define KNOWN(name) (REAL(name) || (go_real() && REAL(name)))

EXPORT void *memalign(size_t align, size_t n)
{
    return KNOWN(memalign) ? notes_add_hot(REAL(memalign)(align, n), n, CALLER()) : NULL;
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
    return KNOWN(aligned_alloc) ? notes_add_hot(REAL(aligned_alloc)(align, n), n, CALLER()) : NULL;
}

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
    if (!KNOWN(posix_memalign))
        return ENOMEM;
    int r = REAL(posix_memalign)(out, align, n);
    if (!r)
        notes_add_hot(*out, n, CALLER());
    return r;
}

EXPORT void *valloc(size_t n)
{
    return KNOWN(valloc) ? notes_add_hot(REAL(valloc)(n), n, CALLER()) : NULL;
}

EXPORT void *pvalloc(size_t n)
{
    return KNOWN(pvalloc) ? notes_add_hot(REAL(pvalloc)(n), n, CALLER()) : NULL;
}

/* ---- C++: the note names the caller of new, not that of the malloc inside (or, of an allocator with a new of its
 * own, there is none yet) ---- */

static SNARL_HOT void *note_new(void *p, size_t n, u64 caller)
{
    if (snarl_likely(delete_calls_free))
        return notes_correct(p, n, caller);
    return in_charge ? notes_add_hot(p, n, caller) : p;
}

/* The program's C++ library may have come with a dlopen; without any (a C program whose weak reference found us)
 * malloc has to do. */
#define CXX(name) (snarl_likely(REAL(name) != NULL) || real_late(#name, (void **)&REAL(name)))

EXPORT void *_Znwm(size_t n)
{
    return note_new(CXX(_Znwm) ? REAL(_Znwm)(n) : malloc(n), n, CALLER());
}

EXPORT void *_Znam(size_t n)
{
    return note_new(CXX(_Znam) ? REAL(_Znam)(n) : malloc(n), n, CALLER());
}

EXPORT void *_ZnwmRKSt9nothrow_t(size_t n, const void *nothrow)
{
    return note_new(CXX(_ZnwmRKSt9nothrow_t) ? REAL(_ZnwmRKSt9nothrow_t)(n, nothrow) : malloc(n), n, CALLER());
}

EXPORT void *_ZnamRKSt9nothrow_t(size_t n, const void *nothrow)
{
    return note_new(CXX(_ZnamRKSt9nothrow_t) ? REAL(_ZnamRKSt9nothrow_t)(n, nothrow) : malloc(n), n, CALLER());
}

EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align)
{
    return note_new(CXX(_ZnwmSt11align_val_t) ? REAL(_ZnwmSt11align_val_t)(n, align) : memalign(align, n), n, CALLER());
}

EXPORT void *_ZnamSt11align_val_t(size_t n, size_t align)
{
    return note_new(CXX(_ZnamSt11align_val_t) ? REAL(_ZnamSt11align_val_t)(n, align) : memalign(align, n), n, CALLER());
}

EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const void *nothrow)
{
    void *p = CXX(_ZnwmSt11align_val_tRKSt9nothrow_t) ? REAL(_ZnwmSt11align_val_tRKSt9nothrow_t)(n, align, nothrow)
                                                      : memalign(align, n);
    return note_new(p, n, CALLER());
}

EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const void *nothrow)
{
    void *p = CXX(_ZnamSt11align_val_tRKSt9nothrow_t) ? REAL(_ZnamSt11align_val_tRKSt9nothrow_t)(n, align, nothrow)
                                                      : memalign(align, n);
    return note_new(p, n, CALLER());
}

/* An allocator with a delete of its own (jemalloc, tcmalloc) frees without coming to our free. False: nothing is left
 * to delete. */
static SNARL_HOT bool delete_ends(void *p, const u64 *fp)
{
    struct note n;
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
