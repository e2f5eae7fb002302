/* Reading .eh_frame: how the caller's registers are found from a place in code.
 *
 * Everything read is bounded by the range given, so damaged tables yield an error, never a fault or an endless loop. No
 * lock, no allocation, about 2 KiB of stack. The format is the Linux Standard Base's .eh_frame (LSB core 5.0, 10.6)
 * over DWARF 4, 6.4. */
#ifndef SNARL_PRELOAD_UNWIND_CFI_H
#define SNARL_PRELOAD_UNWIND_CFI_H

#include "base/types.h"

/* DWARF register numbers of x86-64. */
enum { REG_RBX = 3, REG_RBP = 6, REG_RSP = 7, REG_RA = 16, CFI_REGS = 17 };

/* Pointer encodings of the Linux Standard Base. */
enum {
    ENC_ULEB = 0x01,
    ENC_UDATA2 = 0x02,
    ENC_UDATA4 = 0x03,
    ENC_UDATA8 = 0x04,
    ENC_SLEB = 0x09,
    ENC_SDATA2 = 0x0a,
    ENC_SDATA4 = 0x0b,
    ENC_SDATA8 = 0x0c,
    ENC_PCREL = 0x10,
    ENC_DATAREL = 0x30,
    ENC_ALIGNED = 0x50,
    ENC_INDIRECT = 0x80,
    ENC_OMIT = 0xff,
};

/* Memory that may be read: the segment that holds the tables. */
struct cfi_memory {
    u64 lo, hi;
};

enum cfi_kind {
    CFI_UNSET = 0, /* no rule: the callee has not changed it */
    CFI_SAME,
    CFI_UNDEFINED,
    CFI_AT_CFA,   /* saved at CFA + value */
    CFI_IS_CFA,   /* is CFA + value */
    CFI_REGISTER, /* is in register `value` */
    CFI_AT_EXPR,  /* saved at the address an expression gives; value: where the expression stands */
    CFI_IS_EXPR,  /* is what the expression gives */
};
struct cfi_rule {
    int64_t value;
    u32 length; /* of an expression; for the CFA: its register, unless kind is CFI_IS_EXPR */
    u32 kind;
};

/* The rules at one place. */
struct cfi_row {
    struct cfi_rule cfa, reg[CFI_REGS];
    bool
        /* the frame of a signal handler's return: the caller's address is an instruction that was interrupted */
        signal;
};

/* The row at pc (an instruction's address; for a return address pass pc - 1), from the .eh_frame_hdr at hdr.
 * 0, -ENOENT when no function there has one, or -EPROTO when it cannot be read. */
int cfi_find(const struct cfi_memory *m, u64 hdr, u64 pc, struct cfi_row *row) __attribute__((visibility("hidden")));
/* The same from the entry (FDE) at `at`. */
int cfi_entry(const struct cfi_memory *m, u64 at, u64 pc, struct cfi_row *row) __attribute__((visibility("hidden")));

/* A range of code that has an entry: a function, or a part of one. */
struct cfi_function {
    u64 lo, hi;
    u64 lsda; /* the language's data: landing pads; 0: none */
};
/* Calls fn for each entry of the section that hdr leads to, until it says false (-ENOMEM). Entries that cannot be read
 * are left out. */
int cfi_functions(const struct cfi_memory *m, u64 hdr, bool (*fn)(void *arg, const struct cfi_function *f), void *arg)
    __attribute__((visibility("hidden")));

/* A byte reader over that memory. After a bad read all further ones yield 0. */
struct cfi_reader {
    const struct cfi_memory *memory;
    u64 at, end;
    bool bad;
};
void cfi_reader_at(struct cfi_reader *r, const struct cfi_memory *m, u64 at, u64 end)
    __attribute__((visibility("hidden")));
u64 cfi_fixed(struct cfi_reader *r, u32 bytes) __attribute__((visibility("hidden")));
int64_t cfi_fixed_signed(struct cfi_reader *r, u32 bytes) __attribute__((visibility("hidden")));
u64 cfi_uleb(struct cfi_reader *r) __attribute__((visibility("hidden")));
int64_t cfi_sleb(struct cfi_reader *r) __attribute__((visibility("hidden")));
void cfi_skip(struct cfi_reader *r, u64 n) __attribute__((visibility("hidden")));
/* A pointer in this encoding; `data` is the base of datarel ones. */
u64 cfi_encoded(struct cfi_reader *r, u32 encoding, u64 data) __attribute__((visibility("hidden")));

/* Evaluates a DWARF expression. get reads 8 bytes of the program's memory; false stops. 0 or -EPROTO. */
struct cfi_frame {
    u64 reg[CFI_REGS];
    u32 known; /* bit per register */
};
typedef bool (*cfi_get)(void *arg, u64 addr, u64 *value);
int cfi_evaluate(const struct cfi_memory *m, const struct cfi_rule *rule, const struct cfi_frame *f, bool has_initial,
                 u64 initial, cfi_get get, void *arg, u64 *result) __attribute__((visibility("hidden")));

#endif
