/* A program as the scan sees it: functions, their blocks and values, globals, types. Made from LLVM's form by llvm_*.c,
 * one unit at a time, and joined by link.c; nothing else of scan/ knows LLVM. All references are numbers, so that a unit
 * is written to a file and read back as it is.
 *
 * Values are in static single assignment form. Pure ones (field, index, cmp, bin) are kept once per function, so the same
 * expression of the same operands has the same number. Those that do something stand in the code of a block, in order. */
#ifndef SNARL_SCAN_PROGRAM_H
#define SNARL_SCAN_PROGRAM_H

#include "store.h"

#define NONE UINT32_MAX

enum value_op {
    V_UNKNOWN,  /* nothing is known of it */
    V_CONST,    /* a, b: low and high half; the null pointer is 0 */
    V_GLOBAL,   /* a: global */
    V_FUNCTION, /* a: function */
    V_ARG,      /* a: which */
    V_FIELD,    /* a: base, b: step */
    V_INDEX,    /* a: base, b: index, one that is not constant */
    V_CMP,      /* a, b; flags: enum cmp */
    V_BIN,      /* a, b; flags: enum bin */
    V_EXTRACT,  /* a: aggregate, b: index */
    V_SELECT,   /* a: condition, b, c */
    V_ALLOCA,   /* a: type, b: size, c: name */
    V_PHI,      /* args b..b+c: pairs of block and value */
    V_LOAD,     /* a: pointer, c: size */
    V_STORE,    /* a: pointer, b: value, c: size */
    V_RMW,      /* a: pointer, b: value, c: size; flags: RMW_CMPXCHG too */
    V_CALL,     /* a: callee, args b..b+c */
    V_COPY,     /* memory: a: to, b: from (NONE: fill), c: length (value) */
    V_RET,      /* a: value or NONE */
    V_BRANCH,   /* a: condition or NONE; the block's first successor is the true one */
    V_SWITCH,   /* a: value, args b..b+c: one constant (value) for each successor, NONE for the default */
    V_STOP,     /* unreachable */
    V_OP_COUNT
};

enum value_flags { F_ATOMIC = 1, F_VOLATILE = 2, F_POINTER = 4, F_ORDERED = 8, F_CMPXCHG = 16, F_INVOKE = 32 };
/* How an atomic instruction can take a lock: it sets a number other than 0 and tells the one before; it sets one if 0 was there. */
enum rmw { RMW_OTHER, RMW_EXCHANGE, RMW_IF_ZERO };
enum cmp { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_ULT, CMP_ULE, CMP_UGT, CMP_UGE, CMP_OTHER };
enum bin { BIN_ADD, BIN_SUB, BIN_MUL, BIN_AND, BIN_OR, BIN_XOR, BIN_SHL, BIN_SHR, BIN_DIV, BIN_REM, BIN_OTHER };

struct value {
    u8 op, flags;
    u16 shape; /* V_CALL: that of the function called, 0: not told; V_RMW: enum rmw */
    u32 a, b, c;
    u32 loc;
    u32 function; /* the one that it belongs to */
};

/* How a field is reached: `offset` bytes from the base, array elements counted as the first one; `element` tells constant
 * array elements apart (0: the first). `type` and `within` name it: the offset inside that structure. */
struct step {
    int32_t offset;
    u32 element, type, within;
};

struct loc {
    u32 file, line, column;
    u32 function; /* name, when inlined from another function */
    u32 outer;    /* loc of the call it was inlined at, 0: none */
};

struct block {
    u32 code, ncode; /* in `code` */
    u32 succ, nsucc; /* in `succ` */
    u32 loop;        /* the outermost cycle that it is on, 0: none; set by cycles_find */
};

enum function_flags {
    FN_DEFINED = 1,
    FN_STATIC = 2,
    FN_VARARG = 4,
    FN_NORETURN = 8,
    FN_POINTER_RESULT = 16,
};

struct function {
    u32 name, shown; /* the linker's name; as the source has it */
    u32 file, line;
    u32 flags, nargs;
    u32 shape; /* of its parameters and result: an indirect call fits only the same shape */
    u32 value, nvalues;
    u32 block, nblocks;
    u32 unit;
};

enum global_flags {
    GL_DEFINED = 1,
    GL_STATIC = 2,
    GL_TLS = 4,
    GL_CONSTANT = 8,
    GL_RECURSIVE = 16, /* a mutex that is initialised as a recursive one */
};

struct global {
    u32 name, shown, within; /* within: function of a static local variable, text */
    u32 file, line;
    u32 flags, type, size;
    u32 init, ninit; /* in `inits` */
    u32 unit;
};

/* A pointer inside a global's initial value. */
struct init {
    u32 offset;
    u32 function;       /* or NONE */
    u32 global, target; /* global and offset in it */
};

enum type_kind { T_OTHER, T_STRUCT, T_ARRAY, T_POINTER };
struct type {
    u32 kind, name, size;
    u32 field, nfields; /* T_STRUCT: in `fields` */
    u32 element;        /* T_ARRAY, T_POINTER: type */
};
struct field {
    u32 offset, name, type;
};

struct program {
    struct texts texts;
    LIST(struct function) functions;
    LIST(struct global) globals;
    LIST(struct type) types;
    LIST(struct field) fields;
    LIST(struct value) values;
    LIST(struct step) steps;
    LIST(struct loc) locs;
    LIST(struct block) blocks;
    LIST(struct init) inits;
    struct list_u32 code, succ, args;
    u32 lines; /* of source, as far as functions have them */
};

static inline const char *text_of(const struct program *p, u32 text)
{
    return texts_at(&p->texts, text);
}

static inline int64_t value_number(const struct value *v)
{
    return (int64_t)((u64)v->b << 32 | v->a);
}

#endif
