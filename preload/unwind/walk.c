/* The walk by recipes. Called by memo.c and unwind.c. Takes no lock, allocates nothing.
 *
 * Besides the frames it notes every word of the stack that decides where the walk goes: return addresses, and saved
 * values of rbp where a frame's place is computed from rbp. rbp's own value at the beginning counts only if it is used
 * before a saved one replaces it: optimised code keeps any data in rbp, which must not make equal stacks look
 * different. So rbp is read lazily. */
#include "internal.h"

struct walk {
    u64 pc, sp, bp;
    u64 bp_at; /* the caller's rbp stands there, not read yet; 0: bp is it */
    bool exact, bp_initial;
    u64 first_sp;
    struct stack_region stack;
    struct walk_words *words;
};

enum step { STEP_ON, STEP_END, STEP_FAIL };

static SNARL_HOT void note_word(struct walk *w, u64 addr, u64 value, u32 kind)
{
    struct walk_words *words = w->words;
    if (!words || !words->keep)
        return;
    u64 offset = addr - w->first_sp;
    if (snarl_unlikely(words->n >= MAX_WORDS || offset > 0x7ffffff0)) {
        words->keep = false;
        return;
    }
    words->offset[words->n] = (u32)offset;
    words->kind[words->n] = (u8)kind;
    words->value[words->n++] = value;
    if (offset + 8 > words->span)
        words->span = (u32)offset + 8;
}

static SNARL_HOT bool read_word(struct walk *w, u64 addr, u64 *value, u32 kind)
{
    /* What lies below the stack pointer is nobody's. */
    if (snarl_unlikely(addr < w->sp || !region_holds(&w->stack, addr, 8)))
        return false;
    *value = *(const u64 *)addr;
    note_word(w, addr, *value, kind);
    return true;
}

/* rbp's value in the present frame. */
static bool use_bp(struct walk *w)
{
    if (w->bp_at) {
        /* Checked when it was found; deeper frames of the same stack are still there. */
        w->bp = *(const u64 *)w->bp_at;
        note_word(w, w->bp_at, w->bp, WORD_DATA);
        w->bp_at = 0;
        w->bp_initial = false;
    } else if (w->bp_initial && w->words) {
        w->words->bp_used = true;
    }
    return true;
}

static SNARL_HOT bool find_bp(struct walk *w, u64 bits, u64 cfa)
{
    u64 base = cfa;
    if (snarl_likely(RECIPE_BP(bits) == BP_KEPT))
        return true;
    if (RECIPE_BP(bits) == BP_AT_RBP)
        base = use_bp(w) ? w->bp : 0;
    else if (RECIPE_BP(bits) == BP_AT_RSP)
        base = w->sp;
    u64 at = base + (u64)RECIPE_BP_OFFSET(bits);
    if (snarl_unlikely(at < w->sp || !region_holds(&w->stack, at, 8)))
        return false;
    w->bp_at = at;
    return true;
}

static SNARL_HOT enum step step(struct walk *w, u64 bits, const struct thread *t)
{
    u64 base = w->sp, pc;
    if (bits & RECIPE_BASE_RBP)
        base = use_bp(w) ? w->bp : 0;
    u64 cfa = base + (u64)RECIPE_CFA_OFFSET(bits);
    if (snarl_unlikely(bits & RECIPE_DEREF) && !read_word(w, cfa, &cfa, WORD_DATA))
        return STEP_FAIL;
    bool signal = bits & RECIPE_SIGNAL;
    u64 ra_at = signal ? w->sp + RECIPE_RA_OFFSET(bits) : cfa - 8;
    if (snarl_unlikely((!signal && cfa <= w->sp) || !read_word(w, ra_at, &pc, WORD_PC) || !find_bp(w, bits, cfa)))
        return STEP_FAIL;
    w->pc = pc;
    w->sp = cfa;
    w->exact = signal;
    if (snarl_unlikely(signal)) {
        /* The interrupted code may have run on another stack. */
        if (w->words)
            w->words->keep = false;
        region_at(&w->stack, t, w->sp, false);
    }
    return pc ? STEP_ON : STEP_END;
}

/* The last return address read is no frame of the result. */
static void hide_last(struct walk *w)
{
    struct walk_words *words = w->words;
    for (u32 i = words && words->keep ? words->n : 0; i-- > 0;)
        if (words->kind[i] == WORD_PC) {
            words->kind[i] = WORD_HIDDEN;
            return;
        }
    if (words)
        words->keep = false; /* the first one, which is no word */
}

static void fail(struct walk *w, struct walk_out *o, bool for_good)
{
    o->flags |= STACK_INCOMPLETE;
    if (w->words && !for_good)
        w->words->keep = false;
}

bool walk_fast(const struct thread *t, const u64 *fp, struct walk_out *o, struct walk_words *words)
{
    struct walk w = {.pc = fp[1], .sp = (u64)(fp + 2), .bp = fp[0], .bp_initial = true, .words = words};
    w.first_sp = w.sp;
    region_at(&w.stack, t, w.sp, true);
    for (u32 steps = 0; steps < 4 * STACK_MAX_FRAMES; steps++) {
        struct recipe r;
        recipe_get(w.pc, w.exact, &r);
        bool shown = !(r.bits & RECIPE_SNARL);
        if (snarl_unlikely(!shown)) {
            hide_last(&w);
        } else if (!walk_add(o, &r, w.pc)) {
            hide_last(&w);
            o->flags |= STACK_CUT;
            return true;
        }
        enum recipe_kind kind = RECIPE_KIND(r.bits);
        if (snarl_unlikely(kind != RECIPE_STEP)) {
            if (kind == RECIPE_NONE)
                fail(&w, o, !(r.bits & RECIPE_UNKNOWN));
            return kind != RECIPE_COMPLEX;
        }
        enum step s = step(&w, r.bits, t);
        if (s == STEP_FAIL)
            fail(&w, o, false);
        if (s != STEP_ON) {
            if (s == STEP_END)
                hide_last(&w);
            return true;
        }
        if (o->out && shown)
            o->out[o->n - 1].cfa = w.sp;
    }
    fail(&w, o, false);
    return true;
}
