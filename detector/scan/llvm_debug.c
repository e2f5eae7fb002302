/* Files, lines, names and types from LLVM's debug information. Called while a unit is read. Takes no locks; allocates with
 * malloc.
 *
 * The C interface tells neither tags nor members, so nodes are read by the position of their operands: 2 is the name, 3
 * the base type, 4 the elements of composite types; the same in LLVM 14, 16 and 19. What they are follows from their
 * shape: derived types with a size and no name are pointers, those without a size are names or qualifiers. The first
 * composite type that has a name shows whether the positions are right; when they are not, fields go without names. */
#include <string.h>

#include "llvm_internal.h"

enum { OPERAND_SCOPE = 1, OPERAND_NAME = 2, OPERAND_BASE = 3, OPERAND_ELEMENTS = 4 };

LLVMMetadataRef debug_operand(struct reader *r, LLVMMetadataRef node, unsigned i)
{
    LLVMValueRef value = LLVMMetadataAsValue(r->context, node), local[24], *operands = local;
    if (!LLVMIsAMDNode(value))
        return NULL;
    unsigned n = LLVMGetMDNodeNumOperands(value);
    if (i >= n)
        return NULL;
    if (n > ARRAY_LEN(local))
        operands = store_alloc(n * sizeof(void *));
    LLVMGetMDNodeOperands(value, operands);
    LLVMValueRef found = operands[i];
    return found ? LLVMValueAsMetadata(found) : NULL;
}

u32 debug_string(struct reader *r, LLVMMetadataRef node, unsigned i)
{
    LLVMMetadataRef m = debug_operand(r, node, i);
    if (!m || LLVMGetMetadataKind(m) != LLVMMDStringMetadataKind)
        return 0;
    unsigned n;
    const char *text = LLVMGetMDString(LLVMMetadataAsValue(r->context, m), &n);
    return texts_add(&r->p->texts, text, n);
}

u32 debug_file(struct reader *r, LLVMMetadataRef file)
{
    if (!file)
        return 0;
    u32 *known = map_put(&r->files, (u64)(uintptr_t)file);
    if (*known)
        return *known;
    unsigned ndir, nname;
    const char *dir = LLVMDIFileGetDirectory(file, &ndir), *name = LLVMDIFileGetFilename(file, &nname);
    char path[4096];
    size_t n = 0;
    if (nname && name[0] != '/' && ndir && ndir < sizeof path / 2) {
        memcpy(path, dir, ndir);
        path[ndir] = '/';
        n = ndir + 1;
        while (nname > 2 && name[0] == '.' && name[1] == '/') {
            name += 2;
            nname -= 2;
        }
    }
    if (nname > sizeof path - n - 1)
        nname = (unsigned)(sizeof path - n - 1);
    memcpy(path + n, name, nname);
    return *known = texts_add(&r->p->texts, path, n + nname);
}

/* Name of the function that a scope lies in. */
static u32 scope_function(struct reader *r, LLVMMetadataRef scope)
{
    for (int depth = 0; scope && depth < 100; depth++) {
        if (LLVMGetMetadataKind(scope) == LLVMDISubprogramMetadataKind)
            return debug_string(r, scope, OPERAND_NAME);
        scope = debug_operand(r, scope, OPERAND_SCOPE);
    }
    return 0;
}

static u32 loc_of(struct reader *r, LLVMMetadataRef at, int depth)
{
    if (!at || depth > 50)
        return 0;
    u32 *known = map_get(&r->locs, (u64)(uintptr_t)at);
    if (known)
        return *known - 1;
    LLVMMetadataRef scope = LLVMDILocationGetScope(at), outer = LLVMDILocationGetInlinedAt(at);
    struct loc l = {.line = LLVMDILocationGetLine(at), .column = LLVMDILocationGetColumn(at)};
    l.file = scope ? debug_file(r, LLVMDIScopeGetFile(scope)) : 0;
    if (outer) {
        l.function = scope_function(r, scope);
        l.outer = loc_of(r, outer, depth + 1);
    }
    LIST_ADD(&r->p->locs, l);
    *map_put(&r->locs, (u64)(uintptr_t)at) = r->p->locs.n;
    return r->p->locs.n - 1;
}

u32 debug_loc(struct reader *r, LLVMValueRef instruction)
{
    return loc_of(r, LLVMInstructionGetDebugLoc(instruction), 0);
}

static u32 new_type(struct reader *r, u32 kind, u32 name, u64 bits)
{
    LIST_ADD(&r->p->types, (struct type){.kind = kind, .name = name, .size = (u32)(bits / 8)});
    return r->p->types.n - 1;
}

/* The members of a structure, bases of a C++ class among them (without a name). */
static void add_fields(struct reader *r, u32 type, LLVMMetadataRef elements)
{
    LLVMValueRef value = LLVMMetadataAsValue(r->context, elements);
    unsigned n = LLVMIsAMDNode(value) ? LLVMGetMDNodeNumOperands(value) : 0;
    LLVMValueRef *operands = store_alloc(n * sizeof(void *));
    LIST(struct field) found = {0};
    if (n)
        LLVMGetMDNodeOperands(value, operands);
    for (unsigned i = 0; i < n; i++) {
        LLVMMetadataRef m = operands[i] ? LLVMValueAsMetadata(operands[i]) : NULL;
        if (!m || LLVMGetMetadataKind(m) != LLVMDIDerivedTypeMetadataKind)
            continue;
        struct field f = {.offset = (u32)(LLVMDITypeGetOffsetInBits(m) / 8), .name = debug_string(r, m, OPERAND_NAME)};
        f.type = debug_type(r, debug_operand(r, m, OPERAND_BASE));
        LIST_ADD(&found, f);
    }
    r->p->types.at[type].field = r->p->fields.n;
    r->p->types.at[type].nfields = found.n;
    for (u32 i = 0; i < found.n; i++)
        LIST_ADD(&r->p->fields, found.at[i]);
}

static u32 composite(struct reader *r, LLVMMetadataRef m)
{
    LLVMMetadataRef elements = debug_operand(r, m, OPERAND_ELEMENTS), first = NULL;
    size_t n;
    const char *shown = LLVMDITypeGetName(m, &n);
    u32 name = debug_string(r, m, OPERAND_NAME);
    if (n && (strlen(text_of(r->p, name)) != n || strncmp(text_of(r->p, name), shown, n) != 0))
        r->types_known = false;
    if (!r->types_known)
        return new_type(r, T_OTHER, 0, 0);
    if (elements)
        first = debug_operand(r, elements, 0);
    LLVMMetadataKind kind = first ? LLVMGetMetadataKind(first) : LLVMDIDerivedTypeMetadataKind;
    u32 type = new_type(r, T_OTHER, name, LLVMDITypeGetSizeInBits(m));
    *map_put(&r->types, (u64)(uintptr_t)m) = type + 1;
    if (kind == LLVMDISubrangeMetadataKind) {
        u32 element = debug_type(r, debug_operand(r, m, OPERAND_BASE));
        r->p->types.at[type].kind = T_ARRAY;
        r->p->types.at[type].element = element;
    } else if (kind != LLVMDIEnumeratorMetadataKind) {
        r->p->types.at[type].kind = T_STRUCT;
        if (elements)
            add_fields(r, type, elements);
        u32 *named = name && r->p->types.at[type].nfields ? map_put(&r->named, name) : NULL;
        if (named && !*named)
            *named = type + 1;
    }
    return type;
}

u32 debug_type(struct reader *r, LLVMMetadataRef m)
{
    u32 alias = 0;
    for (int depth = 0; m && depth < 60; depth++) {
        u32 *known = map_get(&r->types, (u64)(uintptr_t)m);
        LLVMMetadataKind kind = LLVMGetMetadataKind(m);
        u32 type = 0;
        if (known) {
            type = *known - 1;
        } else if (kind == LLVMDICompositeTypeMetadataKind) {
            type = composite(r, m);
        } else if (kind == LLVMDIDerivedTypeMetadataKind) {
            u32 name = debug_string(r, m, OPERAND_NAME);
            LLVMMetadataRef base = debug_operand(r, m, OPERAND_BASE);
            if (LLVMDITypeGetSizeInBits(m) && !name) {
                type = new_type(r, T_POINTER, 0, LLVMDITypeGetSizeInBits(m));
                *map_put(&r->types, (u64)(uintptr_t)m) = type + 1;
                u32 to = debug_type(r, base);
                r->p->types.at[type].element = to;
                return type;
            }
            alias = name ? name : alias;
            m = base;
            continue;
        } else {
            type = new_type(r, T_OTHER, 0, LLVMDITypeGetSizeInBits(m));
            *map_put(&r->types, (u64)(uintptr_t)m) = type + 1;
        }
        struct type *t = &r->p->types.at[type];
        if (alias && t->kind == T_STRUCT && !t->name) {
            t->name = alias; /* typedef struct { … } alias */
            u32 *named = map_put(&r->named, alias);
            *named = *named ? *named : type + 1;
        }
        return type;
    }
    return 0;
}

/* "struct.foo.12" -> "foo"; of a C++ name the part after the last "::". */
static u32 plain_name(struct reader *r, const char *name)
{
    static const char *const prefixes[] = {"struct.", "class.", "union."};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            name += strlen(prefixes[i]);
    size_t n = strlen(name), start = 0;
    while (n && name[n - 1] >= '0' && name[n - 1] <= '9')
        n--;
    if (!n || name[n - 1] != '.' || !name[n])
        n = strlen(name);
    else
        n--;
    for (size_t i = 0; i + 1 < n && name[i] != '<'; i++)
        if (name[i] == ':' && name[i + 1] == ':')
            start = i + 2;
    if (n > 5 && strncmp(name + n - 5, ".base", 5) == 0)
        n -= 5;
    return texts_add(&r->p->texts, name + start, n - start);
}

u32 debug_structure(struct reader *r, LLVMTypeRef type)
{
    u32 *known = map_put(&r->llvm_types, (u64)(uintptr_t)type);
    if (*known)
        return *known - 1;
    const char *name = LLVMGetTypeKind(type) == LLVMStructTypeKind ? LLVMGetStructName(type) : NULL;
    u32 found = 0;
    if (name && (strncmp(name, "struct.anon", 11) == 0 || strncmp(name, "union.anon", 10) == 0)) {
        found = new_type(r, T_STRUCT, 0, 0); /* one of its own: names say nothing here */
    } else if (name) {
        u32 text = plain_name(r, name), *named = map_put(&r->named, text);
        if (!*named)
            *named = new_type(r, T_STRUCT, text, 0) + 1;
        found = *named - 1;
    }
    *map_put(&r->llvm_types, (u64)(uintptr_t)type) = found + 1;
    return found;
}

static void types_of_variables(struct reader *r, LLVMValueRef function)
{
    LLVMMetadataRef m = LLVMGetSubprogram(function);
    LLVMMetadataRef signature = m ? debug_operand(r, m, OPERAND_ELEMENTS) : NULL;
    LLVMMetadataRef list = signature ? debug_operand(r, signature, 3) : NULL;
    for (unsigned i = 0; list && i < 40; i++) {
        LLVMMetadataRef type = debug_operand(r, list, i);
        if (type)
            debug_type(r, type);
    }
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(function); b; b = LLVMGetNextBasicBlock(b))
        for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i)) {
            size_t n;
            LLVMValueRef callee = LLVMIsACallInst(i) ? LLVMGetCalledValue(i) : NULL;
            if (!callee || !LLVMIsAFunction(callee) ||
                strncmp(LLVMGetValueName2(callee, &n), "llvm.dbg.declare", 16) != 0)
                continue;
            LLVMMetadataRef variable = LLVMValueAsMetadata(LLVMGetOperand(i, 1));
            debug_type(r, debug_operand(r, variable, OPERAND_BASE));
        }
}

void debug_types(struct reader *r)
{
    r->types_known = true;
    new_type(r, T_OTHER, 0, 0);
    for (LLVMValueRef f = LLVMGetFirstFunction(r->module); f; f = LLVMGetNextFunction(f))
        if (!LLVMIsDeclaration(f))
            types_of_variables(r, f);
}
