/* From bytes in a type to the smallest object that holds them all, and what that object is: for names of memory that is
 * no lock. Called by variable, types, stackvar. Takes no locks, allocates from the pool only. */
#include "internal.h"

#include <string.h>

#define BIT_FIELDS_NAMED 4

/* Inside these the reader knows his way; inside other types of the standard library nothing has a name of his. */
static bool transparent(const char *name)
{
    static const char *const known[] = {"std::array<", "std::pair<", "std::tuple<", "std::_Tuple_impl<",
                                        "std::_Head_base<"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strncmp(name, known[i], strlen(known[i])) == 0)
            return true;
    }
    return false;
}

/* A type that nobody wants to look into. On the way to the user's own type in a block of the library's making, the
 * library's types around it are passed. */
static bool closed(struct symbol_module *m, Dwarf_Die *type, const struct type_path *p)
{
    Dwarf_Die t = *type;
    for (unsigned i = 0; i < TYPE_DEPTH; i++) {
        if (lock_type_name(die_text(&t, DW_AT_name), LOCK_TYPE_ANY))
            return true;
        if (!die_unwrap(&t))
            break;
    }
    die_peel(&t);
    int tag = dwarf_tag(&t);
    if (tag != DW_TAG_structure_type && tag != DW_TAG_class_type)
        return false;
    const char *name = type_name(m, &t);
    bool searching = p->want_base && (!p->base || type_is_library(p->base));
    return name && type_is_library(name) && !transparent(name) && !searching;
}

/* The bits that a bit-field takes, from the start of its struct. */
static bool bit_field(Dwarf_Die *member, u64 *lo, u64 *hi)
{
    u64 width, at, before, unit;
    Dwarf_Die type;
    if (dwarf_tag(member) != DW_TAG_member || !die_uint(member, DW_AT_bit_size, &width) || width > 128)
        return false;
    if (die_uint(member, DW_AT_data_bit_offset, &at)) {
        *lo = at;
    } else { /* DWARF 3: counted from the most significant bit of its unit */
        if (!die_member_offset(member, &at) || !die_uint(member, DW_AT_bit_offset, &before) || !die_type(member, &type))
            return false;
        if (!die_uint(member, DW_AT_byte_size, &unit))
            unit = die_size(&type);
        if (at > UINT32_MAX || unit > 16 || before + width > 8 * unit)
            return false;
        *lo = 8 * (at + unit) - before - width;
    }
    *hi = *lo + width;
    return *lo < *hi;
}

/* Do all these bytes belong to bit-fields? Appends their names. */
static bool add_bit_fields(Dwarf_Die *type, u64 offset, u64 size, struct type_path *p)
{
    Dwarf_Die member, found[BIT_FIELDS_NAMED], unused;
    u64 lo, hi, inside;
    size_t n = 0;
    if (offset > UINT32_MAX || size > UINT32_MAX || !die_first_child(type, &member))
        return false;
    do {
        if (!p->budget)
            return false;
        p->budget--;
        if (!bit_field(&member, &lo, &hi)) {
            for (u64 i = 0; i < size && i < 16; i++) {
                if (type_holds(&member, offset + i, &unused, &inside))
                    return false; /* an ordinary member has some of them */
            }
        } else if (lo < 8 * (offset + size) && hi > 8 * offset) {
            if (n < BIT_FIELDS_NAMED)
                found[n] = member;
            n++;
        }
    } while (die_next(&member));
    if (!n)
        return false;
    text_add(&p->path, n > 1 ? ".{" : ".");
    for (size_t i = 0; i < n && i < BIT_FIELDS_NAMED; i++) {
        const char *name = die_text(&found[i], DW_AT_name);
        text_add(&p->path, i ? "," : "");
        text_add(&p->path, name ? name : "?");
    }
    text_add(&p->path, n > BIT_FIELDS_NAMED ? ",…}" : n > 1 ? "}" : "");
    p->member = found[0];
    p->object.addr = NULL;
    return true;
}

/* Of a class that is only declared here the size is not known: it ends where the next member begins. */
static bool only_declared(Dwarf_Die *type)
{
    Dwarf_Die t = *type;
    die_peel(&t);
    return die_flag(&t, DW_AT_declaration);
}

/* The member or base class that holds all the bytes; of several (a union's) the one of that very size. */
static bool choose_member(Dwarf_Die *type, u64 offset, u64 size, struct type_path *p, Dwarf_Die *member, u64 *inside)
{
    Dwarf_Die at, member_type, last = {0};
    u64 within, lo, hi, start, last_start = 0, best = 0;
    bool found = false;
    if (!die_first_child(type, &at))
        return false;
    do {
        if (!p->budget)
            return found;
        p->budget--;
        if (dwarf_tag(&at) == DW_TAG_member && die_member_offset(&at, &start) && start < offset + size &&
            (!last.addr || start >= last_start)) {
            last = at;
            last_start = start;
        }
        if (bit_field(&at, &lo, &hi) || !type_holds(&at, offset, &member_type, &within))
            continue;
        u64 length = die_size(&member_type); /* 0: an open array at the end */
        if ((length && (within >= length || size > length - within)) || (found && (best == size || length != size)))
            continue;
        found = true;
        best = length;
        *member = at;
        *inside = within;
    } while (die_next(&at));
    if (!found && last.addr && last_start <= offset && die_type(&last, &member_type) && only_declared(&member_type)) {
        *member = last;
        *inside = offset - last_start;
        return true;
    }
    return found;
}

/* One element, if it holds all the bytes. */
static bool choose_element(Dwarf_Die *array, u64 *offset, u64 size, struct type_path *p, Dwarf_Die *element)
{
    size_t before = p->path.len;
    u64 inside = *offset, length;
    if (type_enter_array(array, &inside, element, &p->path) && (length = die_size(element)) && inside < length &&
        size <= length - inside) {
        *offset = inside;
        return true;
    }
    p->path.len = before;
    p->path.at[before] = 0;
    return false;
}

void type_path_data(struct symbol_module *m, Dwarf_Die *type, u64 offset, u64 size, struct type_path *p)
{
    Dwarf_Die declared = *type, member, next;
    u64 inside = 0;
    p->budget = TYPE_BUDGET;
    p->object = declared;
    for (unsigned depth = 0; depth < TYPE_DEPTH && !closed(m, &declared, p); depth++) {
        Dwarf_Die t = declared;
        die_peel(&t);
        switch (dwarf_tag(&t)) {
        case DW_TAG_array_type:
            if (!choose_element(&t, &offset, size, p, &next))
                return;
            break;
        case DW_TAG_structure_type:
        case DW_TAG_class_type:
        case DW_TAG_union_type:
            if (type_storage(&t, &next))
                break;
            type_begin_base(m, &t, p);
            if (!choose_member(&t, offset, size, p, &member, &inside)) {
                add_bit_fields(&t, offset, size, p);
                return;
            }
            if (!die_type(&member, &next))
                return;
            type_add_member(&member, p);
            offset = inside;
            break;
        default:
            return;
        }
        p->object = declared = next;
    }
}

bool type_path_pointed(struct symbol_module *m, Dwarf_Die *type, u64 behind, u64 size, struct type_path *p)
{
    Dwarf_Die t = *type, to;
    die_peel(&t);
    if (dwarf_tag(&t) != DW_TAG_pointer_type || !die_type(&t, &to))
        return false;
    u64 one = die_size(&to);
    size_t start = p->path.len;
    if (!one)
        return false;
    type_path_data(m, &to, behind, size, p); /* behind its end an open array may lie */
    char *field = p->path.at + start;
    if (*field == '.' && p->path.len + 1 < p->path.size) {
        memmove(field + 2, field + 1, p->path.len - start);
        memcpy(field, "->", 2);
        p->path.len++;
    } else if (behind >= one) {
        p->path.len = start;
        *field = 0;
        text_format(&p->path, "[%llu]", (unsigned long long)(behind / one));
        type_path_data(m, &to, behind % one, size, p);
    }
    return true;
}

static void add_type(struct symbol_module *m, Dwarf_Die *type, struct text *out, unsigned depth);

/* "char *", "struct node *" */
static void add_pointer(struct symbol_module *m, Dwarf_Die *type, const char *sign, struct text *out, unsigned depth)
{
    Dwarf_Die to, peeled;
    bool known = die_type(type, &to);
    if (known) {
        peeled = to;
        die_peel(&peeled);
    }
    if (known && dwarf_tag(&peeled) == DW_TAG_subroutine_type) {
        text_add(out, "function pointer");
        return;
    }
    if (known)
        add_type(m, &to, out, depth + 1);
    else
        text_add(out, "void");
    if (!out->len || !strchr("*&", out->at[out->len - 1]))
        text_add(out, " ");
    text_add(out, sign);
}

/* As people write them; gcc and clang do not agree. */
static const char *base_type_name(const char *name)
{
    static const char *const words[][2] = {
        {"long int", "long"},
        {"long unsigned int", "unsigned long"},
        {"short int", "short"},
        {"short unsigned int", "unsigned short"},
        {"long long int", "long long"},
        {"long long unsigned int", "unsigned long long"},
        {"_Bool", "bool"},
    };
    for (size_t i = 0; name && i < ARRAY_LEN(words); i++) {
        if (strcmp(name, words[i][0]) == 0)
            return words[i][1];
    }
    return name;
}

static void add_named(struct symbol_module *m, Dwarf_Die *type, struct text *out)
{
    static const struct {
        int tag;
        const char *word;
    } tags[] = {{DW_TAG_structure_type, "struct "}, {DW_TAG_union_type, "union "}, {DW_TAG_enumeration_type, "enum "}};
    int tag = dwarf_tag(type);
    const char *own = die_text(type, DW_AT_name),
               *name = tag == DW_TAG_base_type ? base_type_name(own) : type_name(m, type);
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        if (tags[i].tag == tag && (!name || (own && !die_is_cxx(type))))
            text_add(out, tags[i].word);
    }
    text_add(out, name ? name : "{…}");
}

static void add_type(struct symbol_module *m, Dwarf_Die *type, struct text *out, unsigned depth)
{
    static const struct {
        int tag;
        const char *word;
    } qualifiers[] = {
        {DW_TAG_const_type, "const "}, {DW_TAG_volatile_type, "volatile "}, {DW_TAG_atomic_type, "_Atomic "}};
    Dwarf_Die inner, full = *type;
    int tag = dwarf_tag(type);
    if (depth > TYPE_DEPTH)
        return;
    for (size_t i = 0; i < ARRAY_LEN(qualifiers); i++) {
        if (tag == qualifiers[i].tag) {
            text_add(out, qualifiers[i].word);
            if (die_type(type, &inner))
                add_type(m, &inner, out, depth + 1);
            else
                text_add(out, "void");
            return;
        }
    }
    switch (tag) {
    case DW_TAG_pointer_type:
        add_pointer(m, type, "*", out, depth);
        break;
    case DW_TAG_reference_type:
        add_pointer(m, type, "&", out, depth);
        break;
    case DW_TAG_rvalue_reference_type:
        add_pointer(m, type, "&&", out, depth);
        break;
    case DW_TAG_array_type:
        if (die_type(type, &inner)) {
            u64 one = die_size(&inner), all = die_size(type);
            add_type(m, &inner, out, depth + 1);
            if (one && all)
                text_format(out, "[%llu]", (unsigned long long)(all / one));
            else
                text_add(out, "[]");
        }
        break;
    default:
        if (tag != DW_TAG_typedef)
            die_peel(&full);
        add_named(m, &full, out);
    }
}

static enum data_shape shape_of(Dwarf_Die *type)
{
    u64 encoding = 0;
    switch (dwarf_tag(type)) {
    case DW_TAG_base_type:
        die_uint(type, DW_AT_encoding, &encoding);
        return encoding == DW_ATE_boolean                                     ? DATA_BOOL
               : encoding == DW_ATE_float || encoding == DW_ATE_complex_float ? DATA_FLOAT
                                                                              : DATA_INTEGER;
    case DW_TAG_enumeration_type:
        return DATA_INTEGER;
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
        return DATA_POINTER;
    default:
        return DATA_AGGREGATE;
    }
}

void data_describe(struct symbol_module *m, const struct type_path *path, struct data_name *out)
{
    char buffer[NAME_MAX_LENGTH] = "";
    struct text text = {buffer, sizeof buffer, 0};
    Dwarf_Die t = path->object;
    if (!t.addr)
        return;
    add_type(m, &t, &text, 0);
    out->type = text.len ? pool_string(&m->owner->pool, buffer) : NULL;
    out->size = die_size(&t);
    for (unsigned i = 0; i < TYPE_DEPTH; i++) {
        int tag = dwarf_tag(&t);
        out->is_volatile |= tag == DW_TAG_volatile_type;
        out->is_atomic |= tag == DW_TAG_atomic_type;
        if (lock_type_name(die_text(&t, DW_AT_name), LOCK_TYPE_ANY))
            out->shape = DATA_LOCK;
        if (!die_unwrap(&t))
            break;
    }
    die_peel(&t);
    const char *name = dwarf_tag(&t) == DW_TAG_base_type ? NULL : type_name(m, &t);
    out->is_atomic |= name && (strncmp(name, "std::atomic", 11) == 0 || strncmp(name, "std::__atomic", 13) == 0);
    if (out->shape == DATA_UNKNOWN)
        out->shape = shape_of(&t);
}

void data_strip_indexes(char *path)
{
    char *to = path;
    for (const char *from = path; *from;) {
        *to++ = *from;
        if (*from++ != '[')
            continue;
        const char *end = from + strspn(from, "0123456789");
        if (*end == ']')
            from = end;
    }
    *to = 0;
}
