/* The body of a function: blocks and what is done in them. Called while a unit is read. Takes no locks; allocates with
 * malloc.
 *
 * Everything that does something gets its value first, in the order of the blocks, so that operands are there whatever
 * the order of definition. */
#include <string.h>

#include "llvm_internal.h"

static bool is_pointer(LLVMTypeRef t)
{
    return LLVMGetTypeKind(t) == LLVMPointerTypeKind;
}

static u32 size_of(struct reader *r, LLVMTypeRef t)
{
    return LLVMTypeIsSized(t) ? (u32)LLVMABISizeOfType(r->layout, t) : 0;
}

static const char *name_of(LLVMValueRef v)
{
    size_t n;
    return LLVMGetValueName2(v, &n);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static u8 access_flags(LLVMValueRef i)
{
    LLVMAtomicOrdering order = LLVMGetOrdering(i);
    u8 flags = LLVMGetVolatile(i) ? F_VOLATILE : 0;
    if (order != LLVMAtomicOrderingNotAtomic)
        flags |= F_ATOMIC;
    if (order > LLVMAtomicOrderingMonotonic)
        flags |= F_ORDERED;
    return flags;
}

/* "count.addr" -> "count". */
static u32 variable_name(struct reader *r, LLVMValueRef v)
{
    const char *name = name_of(v), *suffix = strstr(name, ".addr");
    return texts_add(&r->p->texts, name, suffix ? (size_t)(suffix - name) : strlen(name));
}

static u32 make_alloca(struct reader *r, LLVMValueRef i)
{
    LLVMTypeRef t = LLVMGetAllocatedType(i);
    u64 size = size_of(r, t);
    LLVMValueRef count = LLVMGetOperand(i, 0);
    size = LLVMIsAConstantInt(count) ? size * LLVMConstIntGetZExtValue(count) : 0;
    while (LLVMGetTypeKind(t) == LLVMArrayTypeKind)
        t = LLVMGetElementType(t);
    u32 type = LLVMGetTypeKind(t) == LLVMStructTypeKind ? debug_structure(r, t) : 0;
    return value_new(r, V_ALLOCA, type, size > UINT32_MAX ? 0 : (u32)size, variable_name(r, i), F_POINTER);
}

enum call_kind { CALL_PLAIN, CALL_NOTHING, CALL_SAME, CALL_COPY, CALL_FILL, CALL_STOP };

static enum call_kind call_kind(LLVMValueRef i)
{
    LLVMValueRef callee = LLVMGetCalledValue(i);
    if (LLVMIsAInlineAsm(callee))
        return CALL_NOTHING;
    const char *name = LLVMIsAFunction(callee) ? name_of(callee) : "";
    if (!begins(name, "llvm."))
        return CALL_PLAIN;
    if (begins(name, "llvm.memcpy") || begins(name, "llvm.memmove"))
        return CALL_COPY;
    if (begins(name, "llvm.memset"))
        return CALL_FILL;
    if (begins(name, "llvm.expect") || begins(name, "llvm.launder") || begins(name, "llvm.strip.invariant") ||
        begins(name, "llvm.ptr.annotation"))
        return CALL_SAME;
    return begins(name, "llvm.trap") ? CALL_STOP : CALL_NOTHING;
}

static enum value_op op_of_call(LLVMValueRef i)
{
    switch (call_kind(i)) {
    case CALL_PLAIN:
        return V_CALL;
    case CALL_COPY:
    case CALL_FILL:
        return V_COPY;
    case CALL_STOP:
        return V_STOP;
    default:
        return V_UNKNOWN;
    }
}

/* What an instruction becomes; V_OP_COUNT for one that is made when it is asked for. */
static enum value_op op_of(LLVMValueRef i)
{
    switch (LLVMGetInstructionOpcode(i)) {
    case LLVMAlloca:
        return V_ALLOCA;
    case LLVMPHI:
        return V_PHI;
    case LLVMSelect:
        return V_SELECT;
    case LLVMLoad:
        return V_LOAD;
    case LLVMStore:
        return V_STORE;
    case LLVMAtomicRMW:
    case LLVMAtomicCmpXchg:
        return V_RMW;
    case LLVMCall:
    case LLVMInvoke:
        return op_of_call(i);
    case LLVMRet:
        return V_RET;
    case LLVMBr:
        return V_BRANCH;
    case LLVMSwitch:
        return V_SWITCH;
    case LLVMUnreachable:
    case LLVMResume:
        return V_STOP;
    case LLVMIndirectBr:
        return V_SWITCH;
    default:
        return V_OP_COUNT;
    }
}

/* First round: a number for everything that does something. */
static void number(struct reader *r, LLVMValueRef i)
{
    enum value_op op = op_of(i);
    u32 v;
    if (op == V_OP_COUNT)
        return;
    if ((LLVMIsACallInst(i) || LLVMIsAInvokeInst(i)) && call_kind(i) == CALL_SAME)
        return; /* stands for its first argument: made when it is asked for */
    if (op == V_ALLOCA)
        v = make_alloca(r, i);
    else
        v = value_new(r, op, NONE, NONE, 0, is_pointer(LLVMTypeOf(i)) ? F_POINTER : 0);
    r->p->values.at[v].loc = debug_loc(r, i);
    *map_put(&r->values, (u64)(uintptr_t)i) = v + 1;
}

static u32 arguments(struct reader *r, const u32 *values, u32 n)
{
    if (!n)
        return r->p->args.n;
    LIST_RESERVE(&r->p->args, n);
    memcpy(r->p->args.at + r->p->args.n, values, n * sizeof *values);
    r->p->args.n += n;
    return r->p->args.n - n;
}

static void fill_call(struct reader *r, LLVMValueRef i, struct value *out)
{
    unsigned n = LLVMGetNumArgOperands(i);
    if (n > 64)
        n = 64;
    u32 args[64];
    for (unsigned k = 0; k < n; k++)
        args[k] = value_of(r, LLVMGetOperand(i, k));
    if (out->op == V_COPY) {
        out->a = args[0];
        out->b = call_kind(i) == CALL_COPY ? args[1] : NONE;
        out->c = args[2];
        return;
    }
    out->a = value_of(r, LLVMGetCalledValue(i));
    out->b = arguments(r, args, n);
    out->c = n;
    LLVMTypeRef type = LLVMGetCalledFunctionType(i);
    out->shape = LLVMIsFunctionVarArg(type) ? 0 : (u16)function_shape(type);
    if (LLVMIsAInvokeInst(i))
        out->flags |= F_INVOKE;
}

static void fill_phi(struct reader *r, LLVMValueRef i, struct value *out)
{
    unsigned n = LLVMCountIncoming(i);
    LIST(u32) pairs = {0};
    for (unsigned k = 0; k < n; k++) {
        LIST_ADD(&pairs, *map_get(&r->blocks, (u64)(uintptr_t)LLVMGetIncomingBlock(i, k)) - 1);
        LIST_ADD(&pairs, value_of(r, LLVMGetIncomingValue(i, k)));
    }
    out->b = arguments(r, pairs.at, pairs.n);
    out->c = pairs.n;
}

static void fill_switch(struct reader *r, LLVMValueRef i, struct value *out)
{
    unsigned n = LLVMGetNumSuccessors(i);
    LIST(u32) cases = {0};
    bool known = LLVMGetInstructionOpcode(i) == LLVMSwitch;
    out->a = value_of(r, LLVMGetOperand(i, 0));
    for (unsigned k = 0; k < n; k++) /* operands: value, default, then pairs of constant and block */
        LIST_ADD(&cases, k && known ? value_of(r, LLVMGetOperand(i, 2 * k)) : NONE);
    out->b = arguments(r, cases.at, cases.n);
    out->c = cases.n;
}

static bool is_zero(LLVMValueRef v)
{
    return LLVMIsConstant(v) && LLVMIsNull(v);
}

static enum rmw way_to_lock(LLVMValueRef i, LLVMValueRef value)
{
    if (LLVMIsAAtomicCmpXchgInst(i))
        return is_zero(LLVMGetOperand(i, 1)) ? RMW_IF_ZERO : RMW_OTHER;
    return LLVMGetAtomicRMWBinOp(i) == LLVMAtomicRMWBinOpXchg && LLVMIsConstant(value) && !is_zero(value) ? RMW_EXCHANGE
                                                                                                          : RMW_OTHER;
}

static void fill_memory(struct reader *r, LLVMValueRef i, struct value *out)
{
    bool store = out->op == V_STORE;
    LLVMTypeRef t = LLVMTypeOf(i);
    out->flags |= out->op == V_RMW ? F_ATOMIC | F_ORDERED : access_flags(i);
    if (out->op != V_LOAD) {
        LLVMValueRef value = LLVMGetOperand(i, LLVMIsAAtomicCmpXchgInst(i) ? 2 : store ? 0 : 1);
        t = LLVMTypeOf(value);
        out->b = value_of(r, value);
        if (is_pointer(t))
            out->flags |= F_POINTER;
        if (LLVMIsAAtomicCmpXchgInst(i))
            out->flags |= F_CMPXCHG;
        if (out->op == V_RMW)
            out->shape = (u16)way_to_lock(i, value);
    }
    out->a = value_of(r, LLVMGetOperand(i, store ? 1 : 0));
    out->c = size_of(r, t);
}

static void fill(struct reader *r, LLVMValueRef i, u32 v)
{
    struct value out = r->p->values.at[v];
    switch (out.op) {
    case V_PHI:
        fill_phi(r, i, &out);
        break;
    case V_SELECT:
        out.a = value_of(r, LLVMGetOperand(i, 0));
        out.b = value_of(r, LLVMGetOperand(i, 1));
        out.c = value_of(r, LLVMGetOperand(i, 2));
        break;
    case V_LOAD:
    case V_STORE:
    case V_RMW:
        fill_memory(r, i, &out);
        break;
    case V_CALL:
    case V_COPY:
        fill_call(r, i, &out);
        break;
    case V_RET:
        out.a = LLVMGetNumOperands(i) ? value_of(r, LLVMGetOperand(i, 0)) : NONE;
        break;
    case V_BRANCH:
        out.a = LLVMIsConditional(i) ? value_of(r, LLVMGetCondition(i)) : NONE;
        break;
    case V_SWITCH:
        fill_switch(r, i, &out);
        break;
    default:
        break;
    }
    r->p->values.at[v] = out;
}

static bool stops(LLVMValueRef i)
{
    static unsigned kind;
    if (!kind)
        kind = LLVMGetEnumAttributeKindForName("noreturn", 8);
    return LLVMIsACallInst(i) && LLVMGetCallSiteEnumAttribute(i, LLVMAttributeFunctionIndex, kind);
}

static void read_block(struct reader *r, LLVMBasicBlockRef b, u32 number_of_block)
{
    u32 code = r->p->code.n;
    LLVMValueRef last = LLVMGetBasicBlockTerminator(b);
    for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i)) {
        u32 *v = map_get(&r->values, (u64)(uintptr_t)i);
        if (!v || op_of(i) == V_OP_COUNT || op_of(i) == V_UNKNOWN)
            continue;
        u32 value = *v - 1;
        fill(r, i, value);
        LIST_ADD(&r->p->code, value);
        if (stops(i)) {
            LIST_ADD(&r->p->code, value_new(r, V_STOP, NONE, NONE, 0, 0));
            break;
        }
    }
    struct block *out = &r->p->blocks.at[number_of_block];
    out->code = code;
    out->ncode = r->p->code.n - code;
    out->succ = r->p->succ.n;
    out->nsucc = last ? LLVMGetNumSuccessors(last) : 0;
    for (u32 k = 0; k < out->nsucc; k++)
        LIST_ADD(&r->p->succ, *map_get(&r->blocks, (u64)(uintptr_t)LLVMGetSuccessor(last, k)) - 1);
}

void code_read(struct reader *r, LLVMValueRef function)
{
    struct function f = r->p->functions.at[r->function];
    map_free(&r->values);
    map_free(&r->pure);
    map_free(&r->blocks);
    f.value = r->p->values.n;
    f.block = r->p->blocks.n;
    f.nblocks = LLVMCountBasicBlocks(function);
    for (unsigned k = 0; k < f.nargs; k++) {
        u32 v = value_new(r, V_ARG, k, 0, 0, is_pointer(LLVMTypeOf(LLVMGetParam(function, k))) ? F_POINTER : 0);
        *map_put(&r->values, (u64)(uintptr_t)LLVMGetParam(function, k)) = v + 1;
    }
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(function); b; b = LLVMGetNextBasicBlock(b)) {
        LIST_ADD(&r->p->blocks, (struct block){0});
        *map_put(&r->blocks, (u64)(uintptr_t)b) = r->p->blocks.n;
        for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i))
            number(r, i);
    }
    u32 number_of_block = f.block;
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(function); b; b = LLVMGetNextBasicBlock(b))
        read_block(r, b, number_of_block++);
    f.nvalues = r->p->values.n - f.value;
    r->p->functions.at[r->function] = f;
}
