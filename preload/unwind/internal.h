/* Between the files of preload/unwind. */
#ifndef SNARL_PRELOAD_UNWIND_INTERNAL_H
#define SNARL_PRELOAD_UNWIND_INTERNAL_H

#include "cfi.h"
#include "model/stack.h"
#include "modules.h"
#include "unwind.h"

/* ---- region.c: what of a stack can be read ---- */

struct stack_region {
    u64 lo, hi; /* readable */
    bool known; /* hi is the end of a stack that stays mapped; else hi grows page by page as asked for */
    u32 probes;
};
void region_start(void) __attribute__((visibility("hidden")));
/* The stack around sp. t may be NULL. `current`: sp is the stack that runs now, so its page is there. */
void region_at(struct stack_region *g, const struct thread *t, u64 sp, bool current)
    __attribute__((visibility("hidden")));
bool region_grow(struct stack_region *g, u64 end) __attribute__((visibility("hidden")));
static inline bool region_holds(struct stack_region *g, u64 addr, u64 n)
{
    return addr >= g->lo && addr + n > addr && (addr + n <= g->hi || region_grow(g, addr + n));
}

/* ---- recipe.c: how to step over one frame ----
 *
 * A recipe is one word:
 *   bit  0      set
 *   bits 1..2   kind
 *   bit  3      CFA from rbp instead of rsp
 *   bit  4      CFA is what stands there, not that address (realigned stacks, signal frames)
 *   bits 5..6   where the caller's rbp is
 *   bit  7      signal frame: return address at rsp + bits 56..63 instead of CFA - 8, and exact
 *   bit  8      our own code: the frame is not shown
 *   bit  9      no module there: not to be remembered
 *   bits 16..39 offset for the CFA, signed
 *   bits 40..55 offset for rbp, signed */
enum recipe_kind { RECIPE_STEP = 0, RECIPE_END, RECIPE_COMPLEX, RECIPE_NONE };
enum recipe_bp { BP_KEPT = 0, BP_AT_CFA, BP_AT_RBP, BP_AT_RSP };
#define RECIPE_SET (1ULL << 0)
#define RECIPE_BASE_RBP (1ULL << 3)
#define RECIPE_DEREF (1ULL << 4)
#define RECIPE_SIGNAL (1ULL << 7)
#define RECIPE_SNARL (1ULL << 8)
#define RECIPE_UNKNOWN (1ULL << 9)
#define RECIPE_KIND(b) ((enum recipe_kind)((b) >> 1 & 3))
#define RECIPE_BP(b) ((enum recipe_bp)((b) >> 5 & 3))
#define RECIPE_CFA_OFFSET(b) ((int64_t)((b) << 24) >> 40)
#define RECIPE_BP_OFFSET(b) ((int64_t)((b) << 8) >> 48)
#define RECIPE_RA_OFFSET(b) ((b) >> 56)

struct recipe {
    u64 bits;
    u64 frame; /* as recorded in stacks */
};
struct recipe_slot {
    u64 key;  /* pc << 1 | exact; set once */
    u64 bits; /* 0 while not known */
    u64 frame;
    u64 reserved;
};
struct recipe_table {
    u64 shift, mask;
    u32 used, reserved;
    struct recipe_slot slot[];
};
extern struct recipe_table *recipes __attribute__((visibility("hidden")));
#define RECIPE_PROBES 16u

void recipe_start(void) __attribute__((visibility("hidden")));
void recipe_make(u64 pc, bool exact, struct recipe *out) __attribute__((visibility("hidden")));
/* All rules at pc. 0 or -errno. Between modules_read_enter and modules_read_leave. */
int recipe_row(u64 pc, bool exact, struct cfi_row *row, struct cfi_memory *memory)
    __attribute__((visibility("hidden")));

static SNARL_HOT void recipe_get(u64 pc, bool exact, struct recipe *out)
{
    const struct recipe_table *t = __atomic_load_n(&recipes, __ATOMIC_ACQUIRE);
    u64 key = pc << 1 | exact;
    if (snarl_likely(t != NULL)) {
        u64 at = key * 0x9e3779b97f4a7c15ULL >> t->shift;
        for (u32 i = 0; i < RECIPE_PROBES; i++, at++) {
            const struct recipe_slot *s = &t->slot[at & t->mask];
            u64 k = __atomic_load_n(&s->key, __ATOMIC_ACQUIRE);
            if (snarl_likely(k == key)) {
                out->bits = __atomic_load_n(&s->bits, __ATOMIC_ACQUIRE);
                out->frame = s->frame;
                if (snarl_likely(out->bits))
                    return;
                break;
            }
            if (!k)
                break;
        }
    }
    recipe_make(pc, exact, out);
}

/* ---- walk.c and full.c: a whole stack ---- */

/* Words that a walk has read: what the memo compares. */
enum walk_word {
    WORD_DATA = 0,
    WORD_PC /* a frame's return address */,
    WORD_HIDDEN /* one that is not among the frames */
};
#define MAX_WORDS (2 * STACK_MAX_FRAMES + 16)
struct walk_words {
    u32 *offset; /* from the first stack pointer */
    u8 *kind;    /* enum walk_word */
    u64 *value;
    u32 n, span;  /* span: end of the farthest one */
    bool keep;    /* they determine the walk's outcome */
    bool bp_used; /* and so does rbp at its beginning */
};

/* Where the frames go; each may be NULL but frames or out must be there. */
struct walk_out {
    u64 *frames, *pcs;
    struct unwind_frame *out;
    u32 n, max;
    u32 flags; /* enum stack_flag */
};

/* By recipes. words may be NULL. False: a frame needs full_walk; start afresh. */
bool walk_fast(const struct thread *t, const u64 *fp, struct walk_out *o, struct walk_words *words)
    __attribute__((visibility("hidden")));
/* All registers, from our caller's frame outwards. */
void walk_full(const struct thread *t, const u64 *fp, struct walk_out *o) __attribute__((visibility("hidden")));

/* Adds a frame; false when there is no room left. */
static inline bool walk_add(struct walk_out *o, const struct recipe *r, u64 pc)
{
    if (o->n >= o->max)
        return false;
    if (o->frames)
        o->frames[o->n] = r->frame;
    if (o->pcs)
        o->pcs[o->n] = pc;
    if (o->out)
        o->out[o->n] = (struct unwind_frame){pc, 0};
    o->n++;
    return true;
}

#endif
