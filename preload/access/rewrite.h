/* A module that is being rewritten: what is known of its code, from the first look to the last patch. The steps, in
 * their order, each in a file of its own:
 *
 *     scan     functions and their instructions               rewrite_scan.c
 *     entries  where execution may come in from outside       rewrite_entries.c
 *     live     registers and flags that are still needed      rewrite_live.c
 *     select   which accesses are checked, and where          rewrite_select.c
 *     copy     the functions once more, with checks           rewrite_copy.c, rewrite_check.c
 *     patch    jumps from the original to the copies          rewrite_patch.c
 *
 *      original                       copy (arena)
 *      f:    jmp ──────────────────►  check; mov eax, [rdi]
 *            (rest of it)             test; jne ──► (within the copy)
 *            call g      ◄──────────  jmp
 *      back: jmp ──────────────────►  ...
 *                                     ret
 *
 * Addresses are those of this process: code is read where it lies. One thread prepares a module at a time; only patching
 * changes the module. */
#ifndef SNARL_ACCESS_REWRITE_H
#define SNARL_ACCESS_REWRITE_H

#include "access/rewrite_insn.h"
#include "access/rewrite_list.h"
#include "model/coverage.h"

#define HIDDEN __attribute__((visibility("hidden")))
#define NOWHERE 0xffffffffu

/* ---- what is given ---- */

struct image_part {
    u64 lo, hi; /* mapped memory */
    bool write, execute;
};
#define IMAGE_PARTS 16u
struct image {
    struct image_part part[IMAGE_PARTS];
    u32 nparts;
    u64 bias, frames, dynamic; /* .eh_frame_hdr and PT_DYNAMIC, 0: none */
    u64 relro_lo, relro_hi;    /* written by the loader only */
    u64 text_lo, text_hi;      /* the code: one executable part, less than 2 GiB */
    u64 below;                 /* only functions that begin below are given checks; 0: all */
    u64 broken;                /* for tests: this one's copy does nothing and returns 0 */
};

/* A function, or a part of one. */
struct code_range {
    u64 lo, hi;
    u64 lsda; /* its exception tables, 0: none */
};

/* ---- what is found ---- */

enum place_mark {
    PLACE_LEADER = 1,        /* a direct branch goes here, or what stands before does not fall through */
    PLACE_ENTRY = 2,         /* may be reached from outside of the copies */
    PLACE_CHECKED = 4,       /* an access that is to be checked */
    PLACE_NEEDED = 8,        /* a check can be reached from here before a return to original code */
    PLACE_STAYS = 16,        /* original code runs here: it must keep its bytes */
    PLACE_PATCHED = 32,      /* begins with a jump to its copy */
    PLACE_IN_PLACE = 64,     /* a call: executed where it is; otherwise its copy does what it would */
    PLACE_READ_TOO = 128,    /* its check stands for a read before, too */
    PLACE_SHARED = 512,      /* another function jumps here, or ends before it */
    PLACE_FAILED = 256,      /* an entry, but there is no room for a jump */
    PLACE_ELIGIBLE = 1024,   /* accesses memory that others may reach */
    PLACE_UNMEASURED = 2048, /* but it is not known which bytes */
};

/* An instruction. */
struct place {
    u32 at;     /* offset in the text */
    u32 copy;   /* offset in the arena, its checks included; NOWHERE */
    u32 target; /* place that a jump, branch or call leads to, NOWHERE; known once entries are */
    u32 checks; /* first of those that stand before it: index in struct rewrite.checks, NOWHERE */
    u16 live;   /* registers needed from here on */
    u8 flags_live;
    u8 length;
    u8 flow;
    u16 marks;
};

struct function {
    u32 lo, hi;       /* offsets in the text */
    u32 first, end;   /* places */
    int32_t taken[2]; /* the lowest address that is taken of its stack, as a distance from rsp, and from rbp */
    u64 lsda;
    u16 writes;  /* registers that it changes */
    u16 returns; /* and those that a caller of it still needs */
    u8 returns_flags;
    u8 entry_flags; /* needed at one of its entries */
    bool frame;     /* rbp is its frame pointer */
    bool entangled; /* a branch goes into the midst of an instruction */
    bool copied;
    bool stale; /* what its liveness follows from has changed */
};

/* A function that is left alone, or several that lie over each other. */
struct left_alone {
    u32 lo, hi;
    u32 functions;
    enum coverage_reason why;
};

/* A stub: where it is among them, and where the code is that it jumps to. */
struct stub {
    u32 at, copy;
};
/* An address of the text that a copy pushes: where, and which. */
struct pushed {
    u32 copy, back;
};

/* An access that is checked. */
struct check {
    u32 place;     /* the access */
    u32 next;      /* another one before the same instruction, NOWHERE */
    u32 hot, cold; /* offsets in the arena: its code, and its way out */
    u16 back, end; /* struct check_code */
    u32 after;     /* of a locked instruction: its end, in the arena; else 0 */
};

#define NOTHING_TAKEN INT32_MAX
#define ALL_TAKEN INT32_MIN

/* Why functions are left alone, and other numbers for the report. */
struct rewrite_counts {
    u32 functions, undecoded, overlapping, entangled, copied;
    u32 instructions, eligible, merged, checks, calls; /* of the checks that always call */
    u32 entries, direct, stubs, hosted, failed, unchecked, retargeted, made_up;
    u32 tables, table_entries, pads;
    u32 spills, flag_saves, hoisted;
};

#define TABLES_KEPT 256u
struct rewrite {
    struct image image;
    LIST(struct function) functions;
    LIST(struct place) places;
    LIST(struct check) checks;
    LIST(struct left_alone) left;
    LIST(struct stub) stubs;
    LIST(struct pushed) pushed;
    u32 *starts;             /* a bit for each byte of text: an instruction begins here */
    u8 *patched;             /* what the text will be */
    u32 *ranks;              /* how many places come before each 32 of these bits */
    u64 tables[TABLES_KEPT]; /* jump tables that have been read, by hash */
    struct rewrite_counts counts;
    struct coverage coverage;
};

static inline const u8 *text_at(const struct rewrite *r, u32 at)
{
    return (const u8 *)(r->image.text_lo + at);
}
static inline u32 text_size(const struct rewrite *r)
{
    return (u32)(r->image.text_hi - r->image.text_lo);
}
static inline bool in_text(const struct rewrite *r, u64 addr)
{
    return addr >= r->image.text_lo && addr < r->image.text_hi;
}
/* The instruction that begins at the address, NOWHERE if none does. After scanning. */
static inline u32 place_at(const struct rewrite *r, u64 addr)
{
    if (!in_text(r, addr))
        return NOWHERE;
    u32 at = (u32)(addr - r->image.text_lo), word = r->starts[at / 32];
    if (!(word >> at % 32 & 1))
        return NOWHERE;
    return r->ranks[at / 32] + (u32)__builtin_popcount(word & ((1u << at % 32) - 1));
}
static inline u64 place_address(const struct rewrite *r, const struct place *p)
{
    return r->image.text_lo + p->at;
}
static inline bool place_decode(const struct rewrite *r, const struct place *p, struct insn *in)
{
    return insn_decode(text_at(r, p->at), p->length, in);
}
/* It is to begin with a jump to its copy. */
static inline bool place_is_head(const struct place *p)
{
    return (p->marks & (PLACE_ENTRY | PLACE_NEEDED | PLACE_FAILED)) == (PLACE_ENTRY | PLACE_NEEDED);
}
/* Where a relative jump or call goes. */
static inline u64 place_target(const struct rewrite *r, const struct place *p, const struct insn *in)
{
    return place_address(r, p) + p->length + (u64)in->target;
}
static inline u64 operand_address(const struct rewrite *r, const struct place *p, const struct insn *in)
{
    return place_address(r, p) + p->length + (u64)in->disp; /* in->rip */
}
static inline bool flow_has_target(u8 flow)
{
    return flow == FLOW_JUMP || flow == FLOW_BRANCH || flow == FLOW_LOOP;
}
static inline bool flow_falls_through(u8 flow)
{
    return flow == FLOW_NEXT || flow == FLOW_BRANCH || flow == FLOW_LOOP;
}
/* The function that an instruction is in. */
static inline struct function *function_of(const struct rewrite *r, u32 place)
{
    u32 lo = 0, hi = r->functions.n;
    while (lo + 1 < hi) {
        u32 middle = (lo + hi) / 2;
        if (r->functions.item[middle].first <= place)
            lo = middle;
        else
            hi = middle;
    }
    return &r->functions.item[lo];
}
/* The place that comes next in memory, NOWHERE at the end of a function that no other one follows. */
static inline u32 place_after(const struct rewrite *r, u32 i)
{
    const struct place *p = &r->places.item[i];
    return i + 1 < r->places.n && p[1].at == p->at + p->length ? i + 1 : NOWHERE;
}

/* True when all of it lies in one part of the image. */
bool image_holds(const struct image *m, u64 addr, u64 bytes) HIDDEN;
/* Nothing writes there while the program runs. */
bool image_constant(const struct image *m, u64 addr, u64 bytes) HIDDEN;

/* ---- steps: false when there is no memory ---- */

/* given: the functions; NULL: as .eh_frame tells. */
bool rewrite_ranges(struct rewrite *r, const struct code_range *given, u32 n) HIDDEN;
bool rewrite_scan(struct rewrite *r) HIDDEN;
bool rewrite_entries(struct rewrite *r) HIDDEN;
bool rewrite_live(struct rewrite *r) HIDDEN;
bool rewrite_select(struct rewrite *r) HIDDEN;
/* Marks original code that runs on, once more: some entries have failed. */
bool rewrite_stays(struct rewrite *r) HIDDEN;
/* What has come of it: r->coverage. Before the text is patched. */
void rewrite_coverage(struct rewrite *r) HIDDEN;
/* It was not done. */
void coverage_refused(struct coverage *c) HIDDEN;
void rewrite_free(struct rewrite *r) HIDDEN;

/* ---- between the steps ---- */

/* Code between functions. */
void coverage_gap(struct rewrite *r, u32 lo, u32 hi) HIDDEN;
/* push rbp; mov rbp, rsp at a function's beginning */
bool scan_sets_frame(const u8 *code, const struct insn *in, u32 offset) HIDDEN;
/* The instruction accesses memory that others may reach. */
bool select_is_eligible(const struct rewrite *r, const struct function *f, const struct place *p,
                        const struct insn *in) HIDDEN;

#undef HIDDEN
#endif
