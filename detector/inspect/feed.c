/* Subject -> engine. Called by inspect.c. Takes the engine's locks; allocates in the arena. First all modules and threads,
 * then what is held, then what is waited for: the last wait of a circle finds it. */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/engine.h"
#include "analyze/hot.h"
#include "base/arena.h"
#include "feed_stack.h"
#include "heap.h"
#include "model/objects.h"
#include "model/run.h"
#include "python.h"

/* glibc's mutex kinds. */
#define MUTEX_TYPE 3u
#define MUTEX_RECURSIVE 1u
#define MUTEX_ERRORCHECK 2u
#define MUTEX_ROBUST 16u

static const struct subject *subject;
static struct fed {
    struct thread *thread;
    ref_t stack;
    u32 skipped; /* frames of the C library that the stack does not have */
} * fed;

/* ---- where locks are ---- */

static bool on_stack(u64 addr, struct object_birth *b)
{
    for (u32 i = 0; i < subject->nthreads; i++) {
        const struct subject_thread *t = &subject->thread[i];
        if (!t->nframes || addr < t->registers.dwarf[7])
            continue;
        for (u32 k = fed[i].skipped; k < t->nframes && t->frame[k].cfa; k++)
            if (addr < t->frame[k].cfa) {
                b->region = REGION_STACK;
                b->alloc_stack = fed[i].stack;
                b->frame = (u16)(k - fed[i].skipped);
                b->offset = addr - t->frame[k].cfa;
                b->alloc_size = 0; /* the engine cannot look whether the frame is still there */
                b->thread = fed[i].thread->ref;
                return true;
            }
    }
    return false;
}

/* A line of /proc/PID/maps. */
struct mapping {
    u64 lo, hi, key[3]; /* key: device, inode, offset */
    bool shared;
};

static bool mapping_next(FILE *f, struct mapping *m)
{
    char line[4400], modes[5];
    unsigned long long lo, hi, offset, inode;
    unsigned major, minor;
    if (!fgets(line, sizeof line, f) ||
        sscanf(line, "%llx-%llx %4s %llx %x:%x %llu", &lo, &hi, modes, &offset, &major, &minor, &inode) != 7)
        return false;
    *m = (struct mapping){lo, hi, {(u64)major << 32 | minor, inode, offset}, modes[3] == 's'};
    return true;
}

/* The mapping with an address, as the kernel or the core has it. */
static bool mapping_of(const struct subject *s, u64 addr, u64 *lo, u64 *hi)
{
    char path[32];
    struct mapping m;
    if (s->is_core)
        return subject_segment(s, addr, lo, hi);
    snprintf(path, sizeof path, "/proc/%u/maps", s->alive);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f && !found && mapping_next(f, &m))
        found = addr >= m.lo && addr < m.hi;
    if (f)
        fclose(f);
    *lo = m.lo;
    *hi = m.hi;
    return found;
}

/* The shared ones, read once: a process with many threads has many mappings. */
static struct mapping *shared;
static size_t nshared;

static void read_shared(const struct subject *s)
{
    static bool known;
    char path[32];
    struct mapping m;
    snprintf(path, sizeof path, "/proc/%u/maps", s->alive);
    FILE *f = known || s->is_core ? NULL : fopen(path, "re");
    known = true;
    while (f && mapping_next(f, &m)) {
        struct mapping *more = m.shared ? realloc(shared, (nshared + 1) * sizeof *more) : NULL;
        if (!more)
            continue;
        shared = more;
        shared[nshared++] = m;
    }
    if (f)
        fclose(f);
}

bool feed_shared_key(const struct subject *s, u64 addr, u64 key[3])
{
    read_shared(s);
    for (size_t i = 0; i < nshared; i++)
        if (addr >= shared[i].lo && addr < shared[i].hi) {
            memcpy(key, shared[i].key, sizeof shared[i].key);
            key[2] += addr - shared[i].lo;
            return true;
        }
    return false;
}

static bool shared_key(u64 addr, u64 key[3])
{
    return feed_shared_key(subject, addr, key);
}

/* Where this process has it; 0: nowhere. */
static u64 shared_address(const struct subject *s, const u64 key[3])
{
    read_shared(s);
    for (size_t i = 0; i < nshared; i++) {
        const struct mapping *m = &shared[i];
        if (m->key[0] == key[0] && m->key[1] == key[1] && key[2] >= m->key[2] && key[2] - m->key[2] < m->hi - m->lo)
            return m->lo + (key[2] - m->key[2]);
    }
    return 0;
}

/* The type of the block is known to the functions that use what is in it. */
static void locate_in_block(struct thread *t, u64 addr, struct object_birth *b)
{
    struct heap_block block;
    u64 lo, hi;
    if (!mapping_of(subject, addr, &lo, &hi) || !heap_find(subject, lo, hi, addr, &block))
        return;
    b->alloc_stack = (ref_t)t->scratch[0];
    b->alloc_size = block.size ? block.size : HEAP_UNKNOWN;
    b->offset = addr - block.begin;
    b->frame = HEAP_ROUNDED;
}

static void locate(struct thread *t, u64 addr, const u64 *fp, struct object_birth *b)
{
    (void)fp;
    const struct process_rec *p = arena_at(engine_process());
    for (ref_t r = p->modules; r; r = ((const struct module_rec *)arena_at(r))->next) {
        const struct module_rec *m = arena_at(r);
        if (addr >= m->lo && addr < m->hi) {
            b->region = REGION_GLOBAL;
            b->module = r;
            b->offset = addr - m->bias;
            return;
        }
    }
    u64 key[3];
    if (!on_stack(addr, b))
        b->region = shared_key(addr, key) ? REGION_SHARED : REGION_HEAP;
    if (b->region == REGION_HEAP)
        locate_in_block(t, addr, b);
}

static ref_t capture_given(struct thread *t, const u64 *fp)
{
    (void)fp;
    return (ref_t)t->scratch[0];
}

/* Nobody ends what is only looked at. */
static void end_nothing(const ref_t *processes, u32 n)
{
    (void)processes, (void)n;
}

/* ---- threads ---- */

static void feed_thread(const struct subject *s, u32 i, const char *common_name)
{
    const struct subject_thread *t = &s->thread[i];
    bool is_main = t->tid == s->pid;
    struct thread *e = engine_thread_adopt(t->tid, is_main);
    fed[i].thread = e;
    fed[i].stack = feed_stack(s, t, &fed[i].skipped);
    if (!e)
        return;
    e->scratch[0] = fed[i].stack;
    if (!is_main && strcmp(t->name, common_name) != 0)
        memcpy(e->rec->name, t->name, sizeof e->rec->name);
    for (u32 k = t->nframes; !is_main && !t->cut && k-- > 0;) {
        const struct subject_module *m = subject_module_at(s, t->frame[k].pc);
        if (m && !m->is_libc) {
            e->rec->start_pc = t->frame[k].pc - 1;
            break;
        }
    }
}

static void feed_threads(const struct subject *s)
{
    const struct subject_thread *first = subject_thread_of(s, s->pid);
    for (u32 i = 0; i < s->nthreads; i++)
        feed_thread(s, i, first ? first->name : "");
}

struct feed_refs feed_refs(u32 thread, const struct wait *w)
{
    struct thread *t = fed ? fed[thread].thread : NULL;
    if (!t)
        return (struct feed_refs){.number = thread + 1};
    struct object_head *o = w->object ? objects_get(w->object) : NULL;
    return (struct feed_refs){t->rec->number, fed[thread].stack, engine_process(), o ? arena_ref(o) : 0};
}

static struct thread *thread_of(const struct subject *s, u32 tid)
{
    const struct subject_thread *t = subject_thread_of(s, tid);
    return t ? fed[t - s->thread].thread : NULL;
}

/* ---- locks ---- */

static enum object_kind kind_of(const struct wait *w)
{
    switch (w->what) {
    case WAIT_FOR_MUTEX:
    case WAIT_FOR_INTERPRETER:
        return OBJ_MUTEX;
    case WAIT_FOR_FILE_LOCK:
    case WAIT_FOR_ONCE:
        return OBJ_CUSTOM;
    case WAIT_FOR_READ_LOCK:
    case WAIT_FOR_WRITE_LOCK:
        return OBJ_RWLOCK;
    case WAIT_FOR_SEMAPHORE:
        return OBJ_SEM;
    default:
        return 0;
    }
}

static u32 attributes(const struct wait *w)
{
    if (w->what == WAIT_FOR_FILE_LOCK)
        return ATTR_FILE | ATTR_RECURSIVE;
    if (w->what == WAIT_FOR_ONCE)
        return ATTR_ONCE;
    if (w->what == WAIT_FOR_INTERPRETER)
        return ATTR_INTERPRETER;
    if (w->what != WAIT_FOR_MUTEX)
        return 0;
    u32 type = w->kind & MUTEX_TYPE;
    return (type == MUTEX_RECURSIVE ? ATTR_RECURSIVE : 0) | (type == MUTEX_ERRORCHECK ? ATTR_ERRORCHECK : 0) |
           (w->kind & MUTEX_ROBUST ? ATTR_ROBUST : 0) | (w->kind & WAIT_MUTEX_SHARED ? ATTR_SHARED : 0);
}

static bool has_owner(const struct wait *w)
{
    return w->owner && w->object &&
           (w->what == WAIT_FOR_MUTEX || w->what == WAIT_FOR_INTERPRETER || w->what == WAIT_FOR_ONCE ||
            w->what == WAIT_FOR_FILE_LOCK || w->what == WAIT_FOR_READ_LOCK || w->what == WAIT_FOR_WRITE_LOCK);
}

/* A thread that has ended with a lock: it is told of once for each. */
static void feed_ghost(const struct wait *w)
{
    struct thread *ghost = w->owner_gone ? engine_thread_adopt(w->owner, false) : NULL;
    if (!ghost)
        return;
    struct lock_rec *l = engine_lock_find(ghost, w->object, kind_of(w), attributes(w), NULL);
    if (!__atomic_load_n(&l->owner, __ATOMIC_RELAXED))
        engine_acquired(ghost, l, MODE_EXCLUSIVE, HOW_BLOCK, NULL);
    engine_thread_end(ghost);
}

/* Where it was taken is not known: the stack of an acquire that nobody saw is empty. */
static void feed_hold(const struct subject *s, const struct wait *w)
{
    struct thread *owner = has_owner(w) ? thread_of(s, w->owner) : NULL;
    if (!owner) {
        if (has_owner(w))
            feed_ghost(w);
        return;
    }
    ref_t stack = (ref_t)owner->scratch[0];
    struct lock_rec *l = engine_lock_find(owner, w->object, kind_of(w), attributes(w), NULL);
    if (*w->name)
        engine_lock_name(l, w->name);
    if (__atomic_load_n(&l->owner, __ATOMIC_RELAXED) == owner->ref)
        return;
    owner->scratch[0] = 0;
    engine_acquired(owner, l, MODE_EXCLUSIVE, HOW_BLOCK, NULL);
    owner->scratch[0] = stack;
}

/* ---- locks of Python ---- */

/* As a run has them: semaphores that are used as locks, or that stand for a thread's life. Who waits for one has not made it,
 * but for those that the library makes for a single wait. */
static struct lock_rec *python_lock(struct thread *t, const struct wait *w)
{
    struct lock_rec *l = engine_lock_peek(w->object);
    u64 key[3];
    if (l)
        return l;
    ref_t stack = (ref_t)t->scratch[0];
    u32 attrs = ATTR_PYTHON | (feed_shared_key(subject, w->object, key) ? ATTR_SHARED : 0);
    if (w->what != WAIT_FOR_PYTHON_CALL)
        t->scratch[0] = 0;
    engine_lock_init(t, w->object, OBJ_SEM, attrs, w->owner != 0, NULL);
    t->scratch[0] = stack;
    l = engine_lock_find(t, w->object, OBJ_SEM, attrs, NULL);
    if (w->what == WAIT_FOR_PYTHON_LOCK)
        engine_lock_name(l, w->own_name ? w->own_name : "lock without a name");
    return l;
}

static void feed_python_hold(const struct subject *s, const struct wait *w)
{
    const struct python_hold *h = python_hold_of(s, w->object);
    struct thread *owner = thread_of(s, w->owner);
    struct lock_rec *l = owner ? python_lock(owner, w) : NULL;
    if (!l || __atomic_load_n(&l->sem_takes, __ATOMIC_RELAXED))
        return;
    ref_t stack = (ref_t)owner->scratch[0];
    owner->scratch[0] = h && !h->is_end ? feed_stack_of_hold(s, h) : 0;
    engine_sem_taken(owner, l, HOW_BLOCK | (w->what == WAIT_FOR_JOIN ? HOW_THREAD_END : 0), NULL);
    owner->scratch[0] = stack;
}

static void feed_wait(const struct subject *s, struct thread *t, const struct wait *w)
{
    if (w->is_python) {
        engine_sem_wait(t, python_lock(t, w), w->timed ? HOW_TIMED : HOW_BLOCK, NULL);
        return;
    }
    u64 key[3];
    u32 attrs = w->object && feed_shared_key(s, w->object, key) ? ATTR_SHARED : 0; /* others may wake */
    u32 how = w->timed ? HOW_TIMED : HOW_BLOCK;
    struct thread *other;
    switch (w->what) {
    case WAIT_FOR_MUTEX:
    case WAIT_FOR_INTERPRETER:
    case WAIT_FOR_FILE_LOCK:
    case WAIT_FOR_ONCE:
    case WAIT_FOR_WRITE_LOCK:
        engine_lock_wait(t, engine_lock_find(t, w->object, kind_of(w), attributes(w), NULL), MODE_EXCLUSIVE, how, NULL);
        break;
    case WAIT_FOR_READ_LOCK:
        engine_lock_wait(t, engine_lock_find(t, w->object, OBJ_RWLOCK, 0, NULL), MODE_SHARED, how, NULL);
        break;
    case WAIT_FOR_SEMAPHORE:
        if (!engine_lock_peek(w->object))
            engine_lock_init(t, w->object, OBJ_SEM, attrs, 0, NULL);
        engine_sem_wait(t, engine_lock_find(t, w->object, OBJ_SEM, attrs, NULL), how, NULL);
        break;
    case WAIT_FOR_CONDITION: {
        /* Which mutex it gave back, the condition does not say: one that nobody else has stands for it. */
        struct lock_rec *m = engine_lock_find(t, w->object + 1, OBJ_MUTEX, 0, NULL);
        engine_acquired(t, m, MODE_EXCLUSIVE, HOW_BLOCK, NULL);
        engine_cond_wait_begin(t, w->object, m, w->timed, attrs, NULL);
        break;
    }
    case WAIT_FOR_BARRIER:
        if (!objects_get(w->object))
            engine_barrier_init(t, w->object, w->needed, attrs, NULL);
        engine_barrier_arrive(t, w->object, NULL);
        break;
    case WAIT_FOR_JOIN:
        other = thread_of(s, w->owner);
        if (other)
            engine_join_begin(t, other->ref, w->timed, NULL);
        break;
    default:
        break;
    }
}

/* Its threads hold what those of other processes wait for. */
static void feed_shared(const struct subject *s, const struct feed_want *want)
{
    struct wait w = {.what = WAIT_FOR_MUTEX, .kind = want->kind, .owner = want->owner, .name = ""};
    if (thread_of(s, w.owner) && (w.object = shared_address(s, want->key)))
        feed_hold(s, &w);
}

/* Those of the C library's own signals do not; nor do the interpreter's, which only take a note. */
static u64 handlers_that_count(const struct subject *s)
{
    const char *slash = strrchr(s->exe, '/');
    bool is_python = strncmp(slash ? slash + 1 : s->exe, "python", 6) == 0;
    return s->handled & ~(3ULL << 31) & (is_python ? ~(1ULL << 1) : ~0ULL);
}

void feed(const struct subject *s, const struct wait *waits, const struct feed_want *wants, size_t nwants)
{
    static const struct engine_hooks hooks = {
        .capture = capture_given, .locate = locate, .shared_key = shared_key, .end_processes = end_nothing};
    subject = s;
    fed = calloc(s->nthreads + 1, sizeof *fed);
    if (!fed || engine_start(&hooks, 0, s->exe) < 0)
        return;
    struct process_rec *p = arena_at(engine_process());
    p->pid = s->pid;
    p->handlers = (u32)__builtin_popcountll(handlers_that_count(s)); /* they may post */
    feed_modules(s);
    feed_threads(s);
    for (u32 i = 0; i < s->nthreads; i++)
        if (waits[i].is_python)
            feed_python_hold(s, &waits[i]);
        else
            feed_hold(s, &waits[i]);
    for (size_t i = 0; i < nwants; i++)
        feed_shared(s, &wants[i]);
    for (u32 i = 0; i < s->nthreads; i++)
        if (fed[i].thread)
            feed_wait(s, fed[i].thread, &waits[i]);
}
