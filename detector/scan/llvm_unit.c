/* Reads one unit of LLVM bitcode. Called in the process that compiles the unit. Takes no locks; allocates with malloc.
 *
 * The code is as clang makes it without optimisation, with variables whose address is not taken put into registers
 * (sroa): names and lines are then still those of the source. */
#include <errno.h>
#include <llvm-c/Error.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdio.h>
#include <string.h>

#include "llvm_internal.h"
#include "unit.h"

static const char *name_of(LLVMValueRef v, size_t *n)
{
    const char *name = LLVMGetValueName2(v, n);
    if (*n && name[0] == 1) { /* "\01": exactly this name */
        name++;
        --*n;
    }
    return name;
}

static bool is_local(LLVMValueRef v)
{
    LLVMLinkage linkage = LLVMGetLinkage(v);
    return linkage == LLVMInternalLinkage || linkage == LLVMPrivateLinkage;
}

static void global_debug(struct reader *r, LLVMValueRef v, struct global *g)
{
    size_t n;
    LLVMValueMetadataEntry *entries = LLVMGlobalCopyAllMetadata(v, &n);
    for (unsigned i = 0; i < n; i++) {
        LLVMMetadataRef m = LLVMValueMetadataEntriesGetMetadata(entries, i);
        if (LLVMGetMetadataKind(m) != LLVMDIGlobalVariableExpressionMetadataKind)
            continue;
        LLVMMetadataRef variable = LLVMDIGlobalVariableExpressionGetVariable(m), scope;
        g->shown = debug_string(r, variable, 1);
        g->line = LLVMDIVariableGetLine(variable);
        g->file = debug_file(r, LLVMDIVariableGetFile(variable));
        g->type = debug_type(r, debug_operand(r, variable, 3));
        scope = debug_operand(r, variable, 0);
        for (int depth = 0; scope && depth < 50; depth++) {
            if (LLVMGetMetadataKind(scope) == LLVMDISubprogramMetadataKind) {
                g->within = debug_string(r, scope, 2);
                break;
            }
            if (LLVMGetMetadataKind(scope) != LLVMDILexicalBlockMetadataKind)
                break;
            scope = debug_operand(r, scope, 1);
        }
    }
    LLVMDisposeValueMetadataEntries(entries);
}

static void read_global(struct reader *r, LLVMValueRef v)
{
    size_t n;
    const char *name = name_of(v, &n);
    struct global g = {.name = texts_add(&r->p->texts, name, n)};
    LLVMTypeRef t = LLVMGlobalGetValueType(v);
    g.flags = (LLVMIsDeclaration(v) ? 0 : GL_DEFINED) | (is_local(v) ? GL_STATIC : 0) |
              (LLVMIsThreadLocal(v) ? GL_TLS : 0) | (LLVMIsGlobalConstant(v) ? GL_CONSTANT : 0);
    g.size = LLVMTypeIsSized(t) ? (u32)LLVMABISizeOfType(r->layout, t) : 0;
    g.shown = g.name;
    if (r->types_known)
        global_debug(r, v, &g);
    if (!g.type && LLVMGetTypeKind(t) == LLVMStructTypeKind)
        g.type = debug_structure(r, t);
    LIST_ADD(&r->p->globals, g);
    *map_put(&r->globals, (u64)(uintptr_t)v) = r->p->globals.n;
}

static u32 kind_of(LLVMTypeRef t)
{
    LLVMTypeKind kind = LLVMGetTypeKind(t);
    return kind == LLVMPointerTypeKind ? 1 : kind == LLVMIntegerTypeKind ? 2 : kind == LLVMVoidTypeKind ? 3 : 4;
}

/* What is called through a prototype with another size of integer is called all the same. */
u32 function_shape(LLVMTypeRef t)
{
    LLVMTypeRef params[64];
    unsigned n = LLVMCountParamTypes(t);
    u64 h = hash_combine(kind_of(LLVMGetReturnType(t)) == 3, n);
    if (n <= ARRAY_LEN(params))
        LLVMGetParamTypes(t, params);
    for (unsigned i = 0; i < n && n <= ARRAY_LEN(params); i++)
        h = hash_combine(h, kind_of(params[i]));
    return (u32)h;
}

static void read_function(struct reader *r, LLVMValueRef v)
{
    size_t n;
    const char *name = name_of(v, &n);
    struct function f = {.name = texts_add(&r->p->texts, name, n), .nargs = LLVMCountParams(v)};
    LLVMTypeRef t = LLVMGlobalGetValueType(v);
    unsigned noreturn = LLVMGetEnumAttributeKindForName("noreturn", 8);
    LLVMMetadataRef m = LLVMGetSubprogram(v);
    bool defined = !LLVMIsDeclaration(v) && LLVMGetLinkage(v) != LLVMAvailableExternallyLinkage;
    f.flags = (defined ? FN_DEFINED : 0) | (is_local(v) ? FN_STATIC : 0) | (LLVMIsFunctionVarArg(t) ? FN_VARARG : 0) |
              (LLVMGetEnumAttributeAtIndex(v, LLVMAttributeFunctionIndex, noreturn) ? FN_NORETURN : 0) |
              (LLVMGetTypeKind(LLVMGetReturnType(t)) == LLVMPointerTypeKind ? FN_POINTER_RESULT : 0);
    f.shape = function_shape(t);
    f.shown = f.name;
    if (m) {
        u32 shown = debug_string(r, m, 2);
        f.shown = shown ? shown : f.name;
        f.line = LLVMDISubprogramGetLine(m);
        f.file = debug_file(r, LLVMDIScopeGetFile(m));
    }
    LIST_ADD(&r->p->functions, f);
    *map_put(&r->functions, (u64)(uintptr_t)v) = r->p->functions.n;
}

/* A pointer in an initial value: what it points to. */
static bool init_target(struct reader *r, LLVMValueRef v, struct init *out)
{
    out->function = out->global = NONE;
    r->function = NONE;
    map_free(&r->values);
    map_free(&r->pure);
    u32 value = value_of(r, v);
    const struct value *at = &r->p->values.at[value];
    while (at->op == V_FIELD) {
        out->target += (u32)r->p->steps.at[at->b].offset;
        at = &r->p->values.at[at->a];
    }
    if (at->op == V_FUNCTION)
        out->function = at->a;
    else if (at->op == V_GLOBAL)
        out->global = at->a;
    return out->function != NONE || out->global != NONE;
}

/* Arrays count as their first element, as in steps. */
static void read_init(struct reader *r, LLVMValueRef v, u32 offset, u32 global, int depth)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    if (depth > 20 || LLVMIsAConstantAggregateZero(v) || LLVMIsAConstantInt(v))
        return;
    if (LLVMIsAConstantStruct(v)) {
        const char *name = LLVMGetStructName(t);
        int n = LLVMGetNumOperands(v);
        if (name && strncmp(name, "struct.__pthread_mutex_s", 24) == 0 && n > 4 &&
            LLVMIsAConstantInt(LLVMGetOperand(v, 4)) && (LLVMConstIntGetZExtValue(LLVMGetOperand(v, 4)) & 3) == 1)
            r->p->globals.at[global].flags |= GL_RECURSIVE;
        for (int i = 0; i < n; i++)
            read_init(r, LLVMGetOperand(v, (unsigned)i), offset + (u32)LLVMOffsetOfElement(r->layout, t, (unsigned)i),
                      global, depth + 1);
    } else if (LLVMIsAConstantArray(v)) {
        for (int i = 0, n = LLVMGetNumOperands(v); i < n; i++)
            read_init(r, LLVMGetOperand(v, (unsigned)i), offset, global, depth + 1);
    } else if (LLVMGetTypeKind(t) == LLVMPointerTypeKind && !LLVMIsAConstantPointerNull(v)) {
        struct init init = {.offset = offset};
        u32 values = r->p->values.n;
        if (init_target(r, v, &init))
            LIST_ADD(&r->p->inits, init);
        r->p->values.n = values; /* they were only needed for a moment */
    }
}

static void read_inits(struct reader *r)
{
    u32 number = 0;
    for (LLVMValueRef v = LLVMGetFirstGlobal(r->module); v; v = LLVMGetNextGlobal(v), number++) {
        LLVMValueRef init = LLVMGetInitializer(v);
        u32 before = r->p->inits.n;
        if (init)
            read_init(r, init, 0, number, 0);
        r->p->globals.at[number].init = before;
        r->p->globals.at[number].ninit = r->p->inits.n - before;
    }
}

static void count_lines(struct program *p)
{
    struct map seen = {0};
    for (u32 i = 1; i < p->locs.n; i++) {
        u32 *known = map_put(&seen, (u64)p->locs.at[i].file << 32 | p->locs.at[i].line);
        p->lines += !*known;
        *known = 1;
    }
    map_free(&seen);
}

static void read_module(struct reader *r)
{
    struct program *p = r->p;
    LIST_ADD(&p->locs, (struct loc){0});
    texts_add(&p->texts, "", 0);
    debug_types(r);
    for (LLVMValueRef v = LLVMGetFirstGlobal(r->module); v; v = LLVMGetNextGlobal(v))
        read_global(r, v);
    for (LLVMValueRef v = LLVMGetFirstFunction(r->module); v; v = LLVMGetNextFunction(v))
        read_function(r, v);
    read_inits(r);
    u32 number = 0;
    for (LLVMValueRef v = LLVMGetFirstFunction(r->module); v; v = LLVMGetNextFunction(v), number++) {
        r->function = number;
        if (p->functions.at[number].flags & FN_DEFINED)
            code_read(r, v);
    }
    count_lines(p);
}

static void quiet(LLVMDiagnosticInfoRef info, void *arg)
{
    (void)info;
    (void)arg;
}

int unit_read_llvm(struct program *p, const char *path, char *err, size_t errlen)
{
    LLVMMemoryBufferRef buffer;
    char *message = NULL;
    struct reader r = {.p = p, .context = LLVMContextCreate()};
    LLVMContextSetDiagnosticHandler(r.context, quiet, NULL);
    if (LLVMCreateMemoryBufferWithContentsOfFile(path, &buffer, &message) ||
        LLVMParseIRInContext(r.context, buffer, &r.module, &message)) {
        snprintf(err, errlen, "%s", message ? message : "no LLVM bitcode");
        LLVMDisposeMessage(message);
        LLVMContextDispose(r.context);
        return -EINVAL;
    }
#if SNARL_LLVM >= 19
    LLVMSetIsNewDbgInfoFormat(r.module, 0);
#endif
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef failed = LLVMRunPasses(r.module, "function(sroa)", NULL, options);
    if (failed)
        LLVMConsumeError(failed);
    LLVMDisposePassBuilderOptions(options);
    r.layout = LLVMGetModuleDataLayout(r.module);
    read_module(&r);
    LLVMDisposeModule(r.module);
    LLVMContextDispose(r.context);
    return 0;
}
