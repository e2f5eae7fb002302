/* Stacks, strings and modules as they lie in the arena. A stack is interned: equal stacks have one ref.
 *
 * A frame is 64 bits:
 *   native: bit 63 = 0, bits 62..48 module id, bits 47..0 address in the module's file (return address for all frames but those
 *           of a signal's interrupted function; subtract 1 before looking up a call site)
 *   exact:  as native, with the top bit of the module field (bit 62) set: the address is the instruction itself
 *   python: bit 63 = 1, bits 31..0 ref of a py_frame
 * Frames go from innermost to outermost. Module id 0: address known, module not. */
#ifndef SNARL_MODEL_STACK_H
#define SNARL_MODEL_STACK_H

#include "base/types.h"

#define STACK_MAX_FRAMES 128u
#define FRAME_PYTHON (1ULL << 63)
#define FRAME_EXACT (1ULL << 62)
#define FRAME_MODULE(f) ((u32)(((f) >> 48) & 0x3fff))
#define FRAME_OFFSET(f) ((f)&0xffffffffffffULL)

struct stack_rec {
    ref_t next; /* hash chain */
    u32 n;
    u64 hash;
    u32 flags; /* enum stack_flag */
    u32 reserved;
    u64 frame[];
};

enum stack_flag {
    STACK_CUT = 1u << 0,        /* longer than --stack-depth */
    STACK_INCOMPLETE = 1u << 1, /* the unwinder could not go on */
    STACK_SITE_ONLY = 1u << 2,  /* only the call site was recorded */
};

struct py_frame {
    ref_t function, file; /* strings */
    u32 line;
    u32 reserved;
};

struct string_rec {
    ref_t next;
    u32 length;
    char text[]; /* NUL-terminated */
};

/* Interning; safe to call from any thread, take RANK_STACKS. 0 when the arena is full. */
ref_t stack_intern(const u64 *frames, u32 n, u32 flags);
ref_t string_intern(const char *text, u32 length);
struct module_rec;
/* Is it the same path and build id? */
bool module_same_file(const struct module_rec *a, const struct module_rec *b);
/* Gives a new record the number of its file, one per file in the whole run. Takes RANK_STACKS. */
void module_number(ref_t module);
/* The text, "" for 0. */
const char *string_text(ref_t r);

#endif
