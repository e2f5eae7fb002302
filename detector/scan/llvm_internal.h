/* Shared by the files that read LLVM's form. The only ones of scan/ that know it; versions 14, 16 and 19 differ here. */
#ifndef SNARL_SCAN_LLVM_INTERNAL_H
#define SNARL_SCAN_LLVM_INTERNAL_H

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Target.h>

#include "program.h"

struct reader {
    struct program *p;
    LLVMModuleRef module;
    LLVMContextRef context;
    LLVMTargetDataRef layout;
    struct map types;      /* metadata -> type + 1 */
    struct map named;      /* text of a structure's name -> type + 1 */
    struct map llvm_types; /* LLVM structure type -> type + 1 */
    struct map globals;    /* LLVM global -> global + 1 */
    struct map functions;  /* LLVM function -> function + 1 */
    struct map locs;       /* LLVM location -> loc + 1 */
    struct map files;      /* LLVM file -> text */
    struct map values;     /* of the function being read: LLVM value -> value + 1 */
    struct map pure;       /* hash of a pure value -> value + 1 */
    struct map blocks;     /* LLVM block -> block + 1 */
    u32 function;
    bool types_known; /* debug information has the layout that we know */
};

/* llvm_debug.c: files, lines, names and types from debug information. */
void debug_types(struct reader *r);
u32 debug_type(struct reader *r, LLVMMetadataRef type);
/* The type of an LLVM structure, by its name. */
u32 debug_structure(struct reader *r, LLVMTypeRef type);
u32 debug_loc(struct reader *r, LLVMValueRef instruction);
u32 debug_file(struct reader *r, LLVMMetadataRef file);
/* Operand of a metadata node; NULL when there is none. */
LLVMMetadataRef debug_operand(struct reader *r, LLVMMetadataRef node, unsigned i);
u32 debug_string(struct reader *r, LLVMMetadataRef node, unsigned i);

/* llvm_value.c: operands, constants and pure expressions. */
u32 value_of(struct reader *r, LLVMValueRef v);
u32 value_new(struct reader *r, enum value_op op, u32 a, u32 b, u32 c, u8 flags);
u32 value_number_of(struct reader *r, int64_t n);
/* Folds a constant expression of addresses that cancel each other out, as container_of leaves it. */
bool value_fold(struct reader *r, LLVMValueRef v, int64_t *out);

/* Of parameters and result; integers of all sizes count as one. */
u32 function_shape(LLVMTypeRef t);

/* llvm_code.c: the body of one function. */
void code_read(struct reader *r, LLVMValueRef function);

#endif
