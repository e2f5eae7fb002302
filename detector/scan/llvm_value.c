/* Operands, constants and pure expressions of LLVM's form as values of ours. Called while a function is read. Takes no
 * locks; allocates with malloc. */
#include "llvm_internal.h"

u32 value_new(struct reader *r, enum value_op op, u32 a, u32 b, u32 c, u8 flags)
{
    bool pure = op <= V_EXTRACT && op != V_UNKNOWN;
    u32 *known = NULL;
    if (pure) {
        u64 h = hash_combine(hash_combine(hash_combine(op * 256u + flags, a), b), c) >> 1;
        known = map_put(&r->pure, h);
        if (*known)
            return *known - 1;
        *known = r->p->values.n + 1;
    }
    LIST_ADD(&r->p->values, (struct value){.op = op, .flags = flags, .a = a, .b = b, .c = c, .function = r->function});
    return r->p->values.n - 1;
}

u32 value_number_of(struct reader *r, int64_t n)
{
    return value_new(r, V_CONST, (u32)n, (u32)((u64)n >> 32), 0, 0);
}

static bool is_expression(LLVMValueRef v, LLVMOpcode op)
{
    if (LLVMIsAConstantExpr(v))
        return LLVMGetConstOpcode(v) == op;
    return LLVMIsAInstruction(v) && LLVMGetInstructionOpcode(v) == op;
}

/* What only changes the type. Widths of integers do not matter to the scan. */
static bool is_cast(LLVMValueRef v)
{
    static const LLVMOpcode casts[] = {LLVMBitCast, LLVMIntToPtr, LLVMPtrToInt, LLVMAddrSpaceCast,
                                       LLVMZExt,    LLVMSExt,     LLVMTrunc,    LLVMFreeze};
    for (size_t i = 0; i < ARRAY_LEN(casts); i++)
        if (is_expression(v, casts[i]))
            return true;
    return false;
}

bool value_fold(struct reader *r, LLVMValueRef v, int64_t *out)
{
    int64_t x, y;
    if (LLVMIsAConstantInt(v)) {
        *out = LLVMGetIntTypeWidth(LLVMTypeOf(v)) == 1 ? (int64_t)LLVMConstIntGetZExtValue(v)
                                                       : LLVMConstIntGetSExtValue(v);
        return true;
    }
    if (LLVMIsAConstantPointerNull(v)) {
        *out = 0;
        return true;
    }
    if (!LLVMIsAConstantExpr(v))
        return false;
    if (is_cast(v))
        return value_fold(r, LLVMGetOperand(v, 0), out);
    if (is_expression(v, LLVMAdd) || is_expression(v, LLVMSub)) {
        if (!value_fold(r, LLVMGetOperand(v, 0), &x) || !value_fold(r, LLVMGetOperand(v, 1), &y))
            return false;
        *out = is_expression(v, LLVMAdd) ? x + y : x - y;
        return true;
    }
    if (!is_expression(v, LLVMGetElementPtr) || !value_fold(r, LLVMGetOperand(v, 0), &x))
        return false;
    LLVMTypeRef t = LLVMGetGEPSourceElementType(v);
    for (int i = 1, n = LLVMGetNumOperands(v); i < n; i++) {
        if (!value_fold(r, LLVMGetOperand(v, (unsigned)i), &y))
            return false;
        if (i == 1) {
            x += y * (int64_t)LLVMABISizeOfType(r->layout, t);
        } else if (LLVMGetTypeKind(t) == LLVMStructTypeKind) {
            x += (int64_t)LLVMOffsetOfElement(r->layout, t, (unsigned)y);
            t = LLVMStructGetTypeAtIndex(t, (unsigned)y);
        } else {
            t = LLVMGetElementType(t);
            x += y * (int64_t)LLVMABISizeOfType(r->layout, t);
        }
    }
    *out = x;
    return true;
}

static u32 field(struct reader *r, u32 base, struct step *s)
{
    struct step done = *s;
    *s = (struct step){0};
    if (!done.offset && !done.element && !done.type)
        return base;
    u64 h = hash_combine(hash_combine((u32)done.offset, done.element), hash_combine(done.type, done.within));
    u32 *known = map_put(&r->pure, (h >> 2) | 1ULL << 63);
    if (!*known) {
        LIST_ADD(&r->p->steps, done);
        *known = r->p->steps.n;
    }
    return value_new(r, V_FIELD, base, *known - 1, 0, F_POINTER);
}

static u32 element_hash(u32 before, int64_t index)
{
    return before || index ? (u32)hash_combine(before, (u64)index + 1) | 1 : 0;
}

static u32 address(struct reader *r, LLVMValueRef gep)
{
    u32 base = value_of(r, LLVMGetOperand(gep, 0));
    LLVMTypeRef t = LLVMGetGEPSourceElementType(gep);
    struct step s = {0};
    for (int i = 1, n = LLVMGetNumOperands(gep); i < n; i++) {
        LLVMValueRef operand = LLVMGetOperand(gep, (unsigned)i);
        int64_t index = 0;
        bool constant = value_fold(r, operand, &index);
        bool structure = i > 1 && LLVMGetTypeKind(t) == LLVMStructTypeKind;
        if (structure) {
            u32 within = (u32)LLVMOffsetOfElement(r->layout, t, (unsigned)index);
            s.offset += (int32_t)within;
            s.type = debug_structure(r, t);
            s.within = within;
            t = LLVMStructGetTypeAtIndex(t, (unsigned)index);
            continue;
        }
        if (i > 1)
            t = LLVMGetElementType(t);
        bool bytes = i == 1 && LLVMGetTypeKind(t) == LLVMIntegerTypeKind && LLVMGetIntTypeWidth(t) == 8;
        if (constant && bytes && (index < 0 || is_cast(LLVMGetOperand(gep, 0)))) {
            /* From a member to its structure, or the other way; p++ over text is an index. */
            s.offset += (int32_t)index;
        } else if (constant) {
            s.element = element_hash(s.element, index);
        } else {
            base = field(r, base, &s);
            base = value_new(r, V_INDEX, base, value_of(r, operand), 0, F_POINTER);
        }
    }
    return field(r, base, &s);
}

static u32 binary(struct reader *r, LLVMValueRef v, LLVMOpcode op)
{
    static const struct {
        LLVMOpcode from;
        enum bin to;
    } known[] = {
        {LLVMAdd, BIN_ADD},  {LLVMSub, BIN_SUB},  {LLVMMul, BIN_MUL},  {LLVMAnd, BIN_AND},  {LLVMOr, BIN_OR},
        {LLVMXor, BIN_XOR},  {LLVMShl, BIN_SHL},  {LLVMLShr, BIN_SHR}, {LLVMAShr, BIN_SHR}, {LLVMUDiv, BIN_DIV},
        {LLVMSDiv, BIN_DIV}, {LLVMURem, BIN_REM}, {LLVMSRem, BIN_REM},
    };
    enum bin bin = BIN_OTHER;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].from == op)
            bin = known[i].to;
    u32 a = value_of(r, LLVMGetOperand(v, 0)), b = value_of(r, LLVMGetOperand(v, 1));
    return value_new(r, V_BIN, a, b, 0, (u8)bin);
}

static u32 comparison(struct reader *r, LLVMValueRef v)
{
    static const struct {
        LLVMIntPredicate from;
        enum cmp to;
    } known[] = {
        {LLVMIntEQ, CMP_EQ},   {LLVMIntNE, CMP_NE},   {LLVMIntSLT, CMP_LT},  {LLVMIntSLE, CMP_LE},
        {LLVMIntSGT, CMP_GT},  {LLVMIntSGE, CMP_GE},  {LLVMIntULT, CMP_ULT}, {LLVMIntULE, CMP_ULE},
        {LLVMIntUGT, CMP_UGT}, {LLVMIntUGE, CMP_UGE},
    };
    enum cmp cmp = CMP_OTHER;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].from == LLVMGetICmpPredicate(v))
            cmp = known[i].to;
    u32 a = value_of(r, LLVMGetOperand(v, 0)), b = value_of(r, LLVMGetOperand(v, 1));
    return value_new(r, V_CMP, a, b, 0, (u8)cmp);
}

/* A value that nothing stands for yet: a pure one, or an operand that is not an instruction. */
static u32 make(struct reader *r, LLVMValueRef v)
{
    int64_t n;
    u32 *known;
    if (value_fold(r, v, &n))
        return value_number_of(r, n);
    if (LLVMIsAFunction(v) && (known = map_get(&r->functions, (u64)(uintptr_t)v)))
        return value_new(r, V_FUNCTION, *known - 1, 0, 0, F_POINTER);
    if (LLVMIsAGlobalAlias(v))
        return value_of(r, LLVMAliasGetAliasee(v));
    if (LLVMIsAGlobalVariable(v) && (known = map_get(&r->globals, (u64)(uintptr_t)v)))
        return value_new(r, V_GLOBAL, *known - 1, 0, 0, F_POINTER);
    if (is_cast(v) || LLVMIsACallInst(v)) /* a call without a number stands for its first argument: llvm_code.c */
        return value_of(r, LLVMGetOperand(v, 0));
    if (is_expression(v, LLVMGetElementPtr) && LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMPointerTypeKind)
        return address(r, v);
    if (is_expression(v, LLVMICmp))
        return LLVMIsAInstruction(v) ? comparison(r, v) : value_new(r, V_UNKNOWN, 0, 0, 0, 0);
    bool instruction = LLVMIsAInstruction(v), expression = LLVMIsAConstantExpr(v);
    LLVMOpcode op = instruction ? LLVMGetInstructionOpcode(v) : expression ? LLVMGetConstOpcode(v) : LLVMRet;
    if (instruction && LLVMIsABinaryOperator(v))
        return binary(r, v, op);
    if (expression && (op == LLVMAdd || op == LLVMSub || op == LLVMAnd || op == LLVMXor))
        return binary(r, v, op);
    if (op == LLVMExtractValue && instruction)
        return value_new(r, V_EXTRACT, value_of(r, LLVMGetOperand(v, 0)), LLVMGetIndices(v)[0], 0, 0);
    if (op == LLVMInsertValue && instruction) /* its pointers are what matters */
        return value_of(r, LLVMGetOperand(v, 1));
    return value_new(r, V_UNKNOWN, 0, 0, 0, 0);
}

u32 value_of(struct reader *r, LLVMValueRef v)
{
    u32 *known = map_get(&r->values, (u64)(uintptr_t)v);
    if (known)
        return *known - 1;
    u32 made = make(r, v);
    *map_put(&r->values, (u64)(uintptr_t)v) = made + 1;
    return made;
}
