/* Capturing a stack: the per-thread memo in front of the walkers. Called by the engine's hooks, and by locate.c
 * (unwind_frames). Takes no lock itself; stack_intern takes RANK_STACKS for a stack that is new. Allocates one mapping
 * per thread that captures.
 *
 * The memo. Unwinding is a function: of the return address, the stack pointer and (sometimes) rbp to begin with, of the
 * words it reads from the stack, and of the unwind tables. So when a walk is remembered together with all words that it
 * has read, and a later capture begins with the same registers and finds the same words in place, it would end in the
 * same stack; looking is enough. Tables change only when modules go away, which empties the memo (modules_epoch). Walks
 * whose outcome depends on anything else (memory that could not be read, code outside of all modules, signal frames,
 * full_walk) are not remembered. */
#include "internal.h"

#include "base/sys.h"
#include "model/run.h"

#define MEMO_BYTES (1024u * 1024)
#define MEMO_SLOTS 4096u

struct memo_entry {
    u64 pc, sp, bp;
    ref_t stack;
    u32 span;
    u16 n, bp_used;
    u32 room;    /* bytes of words[] */
    u64 words[]; /* value[n], then u32 offset[n], then u8 kind[n] */
};

/* Entries are found by (pc, sp). A function that wraps a lock call is entered at one stack pointer from many places:
 * where an entry for that key is not the one, the word that it had read first (the wrapper's return address) makes up
 * the next key, and so on. */
#define MEMO_LEVELS 4u

/* What a capture touches comes first: a thread that captures a few stacks pays for two pages. */
struct unwind_memo {
    u32 epoch;
    u32 used; /* bytes of entries */
    u64 reserved[7];
    u16 slot[MEMO_SLOTS]; /* offset / 16 in entries + 1 */
    u64 frames[STACK_MAX_FRAMES];
    u32 offset[MAX_WORDS]; /* words of the walk that is going on */
    u8 kind[MAX_WORDS];
    u64 value[MAX_WORDS];
    _Alignas(16) char entries[MEMO_BYTES - 8 * 1024];
    u64 pcs[STACK_MAX_FRAMES]; /* for the interpreter's adapter */
};

__thread bool unwind_native;
u32 (*unwind_interpreter)(struct thread *t, u64 *frames, const u64 *pcs, u32 n, u32 max);

/* ---- the memo ---- */

static inline u64 memo_hash(u64 pc, u64 sp)
{
    return (pc ^ sp << 20) * 0x9e3779b97f4a7c15ULL;
}
static inline u64 memo_hash_more(u64 hash, u64 word)
{
    return (hash ^ word) * 0x9e3779b97f4a7c15ULL;
}
static inline u16 *memo_slot(struct unwind_memo *m, u64 hash)
{
    return &m->slot[hash >> 52];
}
static inline struct memo_entry *memo_at(struct unwind_memo *m, u16 slot)
{
    return (struct memo_entry *)(m->entries + (u64)(slot - 1) * 16);
}

static inline const u32 *entry_offsets(const struct memo_entry *e)
{
    return (const u32 *)(e->words + e->n);
}
/* What stands now where the entry has read its i-th word. */
static inline u64 word_now(const struct memo_entry *e, u32 i)
{
    return *(const u64 *)(e->sp + entry_offsets(e)[i]);
}

static SNARL_HOT bool entry_holds(const struct memo_entry *e)
{
    const u32 *offset = entry_offsets(e);
    u64 sp = e->sp, one = 0, two = 0;
    u32 i = 0, n = e->n;
    for (; i + 4 <= n; i += 4) {
        one |= e->words[i] ^ *(const u64 *)(sp + offset[i]);
        two |= e->words[i + 1] ^ *(const u64 *)(sp + offset[i + 1]);
        one |= e->words[i + 2] ^ *(const u64 *)(sp + offset[i + 2]);
        two |= e->words[i + 3] ^ *(const u64 *)(sp + offset[i + 3]);
    }
    for (; i < n; i++)
        one |= e->words[i] ^ *(const u64 *)(sp + offset[i]);
    return !(one | two);
}

static SNARL_HOT bool span_surely_readable(const struct thread *t, u64 sp, u32 span)
{
    const struct thread_rec *r = t->rec;
    return snarl_likely(sp >= r->stack_lo && sp + span <= r->stack_hi) || ((sp & 4095) + span <= 4096);
}

static bool span_readable(const struct thread *t, u64 sp, u32 span)
{
    if (span_surely_readable(t, sp, span))
        return true;
    struct stack_region g;
    region_at(&g, t, sp, true);
    return region_holds(&g, sp, span);
}

static const struct memo_entry *memo_find(const struct thread *t, const u64 *fp)
{
    struct unwind_memo *m = t->memo;
    u64 pc = fp[1], sp = (u64)(fp + 2), hash = memo_hash(pc, sp);
    if (snarl_unlikely(m->epoch != __atomic_load_n(&modules_epoch, __ATOMIC_RELAXED)))
        return NULL;
    for (u32 level = 0; level < MEMO_LEVELS; level++) {
        u16 slot = *memo_slot(m, hash);
        const struct memo_entry *e = memo_at(m, slot);
        if (snarl_unlikely(!slot || e->pc != pc || e->sp != sp || !span_readable(t, sp, e->span)))
            return NULL;
        if (snarl_likely((!e->n || e->words[0] == word_now(e, 0)) && entry_holds(e) && (!e->bp_used || e->bp == fp[0])))
            return e;
        if (level >= e->n)
            return NULL;
        hash = memo_hash_more(hash, word_now(e, level));
    }
    return NULL;
}

/* A signal handler may interrupt the writing of a memo and leave by longjmp, so what is half done must never answer: an
 * entry is written whole before a slot or its own key leads to it. The compiler's order is enough, as only this thread
 * looks. */
#define IN_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static void memo_empty(struct unwind_memo *m, u32 epoch)
{
    __builtin_memset(m->slot, 0, sizeof m->slot);
    IN_ORDER();
    m->used = 0;
    m->epoch = epoch;
}

/* The slot for a new entry: the first on its way that is empty, or belongs to another key or (at the last level) to
 * nobody better. */
static u16 *memo_place(struct unwind_memo *m, u64 pc, u64 sp, const struct walk_words *w)
{
    u64 hash = memo_hash(pc, sp);
    for (u32 level = 0;; level++) {
        u16 *slot = memo_slot(m, hash);
        const struct memo_entry *e = memo_at(m, *slot);
        if (!*slot || e->pc != pc || e->sp != sp || level + 1 == MEMO_LEVELS || level >= e->n ||
            entry_offsets(e)[level] + 8 > w->span) /* what the walk has read is readable, no more */
            return slot;
        hash = memo_hash_more(hash, word_now(e, level));
    }
}

static void memo_put(struct unwind_memo *m, const u64 *fp, const struct walk_words *w, ref_t stack)
{
    u32 room = w->n * 13, bytes = (u32)(sizeof(struct memo_entry) + room + 15) & ~15u;
    u16 *slot = memo_place(m, fp[1], (u64)(fp + 2), w);
    struct memo_entry *e = memo_at(m, *slot);
    if (!*slot || e->room < room) {
        if (m->used + bytes > sizeof m->entries) {
            memo_empty(m, m->epoch);
            slot = memo_slot(m, memo_hash(fp[1], (u64)(fp + 2)));
        }
        e = (struct memo_entry *)(m->entries + m->used);
        m->used += bytes;
    } else {
        room = e->room;
    }
    e->pc = 0;
    IN_ORDER();
    *e = (struct memo_entry){0, (u64)(fp + 2), fp[0], stack, w->span, (u16)w->n, w->bp_used, room};
    __builtin_memcpy(e->words, w->value, w->n * sizeof(u64));
    __builtin_memcpy(e->words + w->n, w->offset, w->n * sizeof(u32));
    __builtin_memcpy((u32 *)(e->words + w->n) + w->n, w->kind, w->n);
    IN_ORDER();
    e->pc = fp[1];
    *slot = (u16)(((char *)e - m->entries) / 16 + 1);
}

/* ---- capture ---- */

/* Programs that recurse over trees (interpreters, compilers) have millions of stacks, when each access has one; the
 * innermost frames have to do then. */
static u32 access_depth(u32 depth)
{
    static const struct {
        u32 stacks, depth;
    } steps[] = {{1u << 19, 4}, {1u << 17, 8}, {1u << 15, 16}};
    u32 stacks = run()->nstacks;
    for (u32 i = 0; i < ARRAY_LEN(steps); i++)
        if (stacks > steps[i].stacks)
            return steps[i].depth < depth ? steps[i].depth : depth;
    return depth;
}

static u32 depth_limit(void)
{
    u32 depth = run()->options.stack_depth;
    depth = depth && depth < STACK_MAX_FRAMES ? depth : STACK_MAX_FRAMES;
    return unwind_native ? access_depth(depth) : depth;
}

/* Interns, and counts what is missing of a stack once per stack. */
static ref_t intern(const u64 *frames, u32 n, u32 flags)
{
    u32 before = run()->nstacks;
    ref_t r = stack_intern(frames, n, flags);
    if ((flags & (STACK_CUT | STACK_INCOMPLETE)) && run()->nstacks != before)
        run_lost(flags & STACK_CUT ? LOSS_stack_cut : LOSS_stack_incomplete);
    return r;
}

/* The native stack. For an interpreter's adapter with its return addresses in m->pcs, and whole: most of it is the
 * interpreter's own and will be left out. */
static ref_t capture_new(struct thread *t, struct unwind_memo *m, const u64 *fp, bool want_pcs, u32 *n)
{
    u32 epoch = __atomic_load_n(&modules_epoch, __ATOMIC_SEQ_CST);
    struct walk_words words = {m->offset, m->kind, m->value, 0, 0, modules_tracking, false};
    struct walk_out o = {
        .frames = m->frames, .pcs = want_pcs ? m->pcs : NULL, .max = want_pcs ? STACK_MAX_FRAMES : depth_limit()};
    if (m->epoch != epoch)
        memo_empty(m, epoch);
    if (!walk_fast(t, fp, &o, &words)) {
        o.n = o.flags = 0;
        words.keep = false;
        walk_full(t, fp, &o);
    }
    ref_t r = want_pcs ? stack_intern(o.frames, o.n, o.flags) : intern(o.frames, o.n, o.flags);
    if (r && words.keep && __atomic_load_n(&modules_epoch, __ATOMIC_SEQ_CST) == epoch)
        memo_put(m, fp, &words, r);
    *n = o.n;
    return r;
}

/* The same for a memo hit: the frames are in the arena, their addresses among the words. */
static u32 recall(struct unwind_memo *m, const struct memo_entry *e)
{
    const struct stack_rec *s = arena_at(e->stack);
    const u8 *kind = (const u8 *)(entry_offsets(e) + e->n);
    u32 n = 0;
    m->pcs[n++] = e->pc;
    for (u32 i = 0; i < e->n && n < s->n; i++)
        if (kind[i] == WORD_PC)
            m->pcs[n++] = e->words[i];
    __builtin_memcpy(m->frames, s->frame, s->n * sizeof(u64));
    return s->n;
}

/* A thread inside an interpreter: native frames as ever, then the adapter's. */
static SNARL_COLD ref_t capture_interpreted(struct thread *t, struct unwind_memo *m, const u64 *fp)
{
    const struct memo_entry *e = modules_tracking ? memo_find(t, fp) : NULL;
    u32 n;
    ref_t native = e ? e->stack : capture_new(t, m, fp, true, &n);
    if (!native)
        return 0;
    if (e)
        n = recall(m, e);
    u32 max = depth_limit(), flags = ((const struct stack_rec *)arena_at(native))->flags;
    n = unwind_interpreter(t, m->frames, m->pcs, n, STACK_MAX_FRAMES);
    if (n > max)
        flags |= STACK_CUT;
    return intern(m->frames, n < max ? n : max, flags);
}

static SNARL_COLD ref_t site_only(const u64 *fp)
{
    struct recipe r;
    recipe_get(fp[1], false, &r);
    return intern(&r.frame, 1, STACK_SITE_ONLY);
}

/* All that unwind_capture does not do itself. */
static __attribute__((noinline)) ref_t capture_slow(struct thread *t, const u64 *fp)
{
    u32 n;
    if (!fp)
        return 0;
    if (!t->memo && !(t->memo = sys_map(sizeof *t->memo)))
        return site_only(fp);
    if (unwind_interpreter && !unwind_native)
        return capture_interpreted(t, t->memo, fp);
    const struct memo_entry *e = memo_find(t, fp);
    return e ? e->stack : capture_new(t, t->memo, fp, false, &n);
}

/* The memo in registers alone, where the stack is surely there. */
static SNARL_HOT ref_t find_surely(const struct thread *t, const u64 *fp)
{
    struct unwind_memo *m = t->memo;
    u64 pc = fp[1], sp = (u64)(fp + 2), hash = memo_hash(pc, sp);
    if (snarl_unlikely(!m) || snarl_unlikely(m->epoch != __atomic_load_n(&modules_epoch, __ATOMIC_RELAXED)))
        return 0;
    for (u32 level = 0; level < MEMO_LEVELS; level++) {
        u16 slot = *memo_slot(m, hash);
        const struct memo_entry *e = memo_at(m, slot);
        if (snarl_unlikely(!slot || e->pc != pc || e->sp != sp || !span_surely_readable(t, sp, e->span)))
            return 0;
        if (snarl_likely(entry_holds(e) && (!e->bp_used || e->bp == fp[0])))
            return e->stack;
        if (level >= e->n)
            return 0;
        hash = memo_hash_more(hash, word_now(e, level));
    }
    return 0;
}

ref_t unwind_capture(struct thread *t, const u64 *fp)
{
    ref_t r = snarl_likely(fp && (!unwind_interpreter || unwind_native)) ? find_surely(t, fp) : 0;
    return snarl_likely(r) ? r : capture_slow(t, fp);
}

ref_t unwind_remembered(const struct thread *t, const u64 *fp)
{
    return find_surely(t, fp);
}

u32 unwind_frames(const u64 *fp, struct unwind_frame *out, u32 max)
{
    struct walk_out o = {.out = out, .max = max};
    if (!walk_fast(NULL, fp, &o, NULL)) {
        o.n = o.flags = 0;
        walk_full(NULL, fp, &o);
    }
    return o.n;
}

/* ---- life ---- */

void unwind_start(void)
{
    region_start();
    recipe_start();
}

void unwind_after_fork(void)
{
    recipe_start();
}
