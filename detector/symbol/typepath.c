/* From an offset in a type to the member there: .field, [n].
 * Called by variable, types, stackvar, and datapath, which goes to what is no lock. Takes no locks, allocates from the
 * pool only.
 *
 * Two ways: down to a type that is known to be a lock (so that a mutex at offset 0 of a struct is found, not the
 * struct), and for locks without a known type to the outermost object that begins at the place. */
#include "internal.h"

#include <ctype.h>
#include <string.h>

bool lock_type_name(const char *name, enum lock_type want)
{
    static const struct {
        enum lock_type type;
        const char *name;
    } known[] = {
        {LOCK_TYPE_MUTEX, "pthread_mutex_t"},
        {LOCK_TYPE_MUTEX, "mtx_t"},
        {LOCK_TYPE_MUTEX, "GMutex"},
        {LOCK_TYPE_MUTEX, "_GMutex"},
        {LOCK_TYPE_MUTEX, "GRecMutex"},
        {LOCK_TYPE_MUTEX, "_GRecMutex"},
        {LOCK_TYPE_MUTEX, "omp_lock_t"},
        {LOCK_TYPE_MUTEX, "omp_nest_lock_t"},
        {LOCK_TYPE_RWLOCK, "pthread_rwlock_t"},
        {LOCK_TYPE_RWLOCK, "GRWLock"},
        {LOCK_TYPE_RWLOCK, "_GRWLock"},
        {LOCK_TYPE_SPIN, "pthread_spinlock_t"},
        {LOCK_TYPE_SEM, "sem_t"},
        {LOCK_TYPE_COND, "pthread_cond_t"},
        {LOCK_TYPE_COND, "cnd_t"},
        {LOCK_TYPE_COND, "GCond"},
        {LOCK_TYPE_COND, "_GCond"},
        {LOCK_TYPE_BARRIER, "pthread_barrier_t"},
        {LOCK_TYPE_ONCE, "pthread_once_t"},
        {LOCK_TYPE_ONCE, "once_flag"},
        {LOCK_TYPE_ONCE, "GOnce"},
        {LOCK_TYPE_ONCE, "_GOnce"},
    };
    for (size_t i = 0; name && i < ARRAY_LEN(known); i++) {
        if (strcmp(name, known[i].name) == 0)
            return want == LOCK_TYPE_ANY || want == known[i].type;
    }
    return false;
}

const char *type_name(struct symbol_module *m, Dwarf_Die *type)
{
    const char *name = map_get(&m->type_names, (u64)(uintptr_t)type->addr);
    char buffer[NAME_MAX_LENGTH] = "";
    struct text t = {buffer, sizeof buffer, 0};
    if (name)
        return name;
    if (die_text(type, DW_AT_name))
        die_qualified(m, type, &t);
    else if ((name = map_get(&m->typedefs, (u64)(uintptr_t)type->addr)))
        text_add(&t, name);
    if (!t.len)
        return NULL; /* not kept: its typedef may be in a unit that was not read yet */
    name = pool_string(&m->owner->pool, buffer);
    map_put(&m->type_names, (u64)(uintptr_t)type->addr, (void *)(uintptr_t)name);
    return name;
}

/* clang leaves classes with constructors elsewhere as declarations: std::condition_variable is libstdc++'s own. */
static bool declared_lock(struct symbol_module *m, Dwarf_Die *type, enum lock_type want)
{
    static const struct {
        enum lock_type type;
        const char *name;
    } known[] = {
        {LOCK_TYPE_COND, "std::condition_variable"},
        {LOCK_TYPE_COND, "std::_V2::condition_variable_any"},
        {LOCK_TYPE_MUTEX, "std::mutex"},
        {LOCK_TYPE_MUTEX, "std::recursive_mutex"},
        {LOCK_TYPE_MUTEX, "std::timed_mutex"},
        {LOCK_TYPE_MUTEX, "std::recursive_timed_mutex"},
        {LOCK_TYPE_RWLOCK, "std::shared_mutex"},
        {LOCK_TYPE_RWLOCK, "std::shared_timed_mutex"},
        {LOCK_TYPE_ONCE, "std::once_flag"},
    };
    const char *name = die_flag(type, DW_AT_declaration) ? type_name(m, type) : NULL;
    for (size_t i = 0; name && i < ARRAY_LEN(known); i++) {
        if (strcmp(name, known[i].name) == 0)
            return want == LOCK_TYPE_ANY || want == known[i].type;
    }
    return false;
}

/* Members that the standard library reserves for itself say nothing to its user: _M_mutex, __m_. */
static bool internal_name(const char *name)
{
    return strncmp(name, "_M_", 3) == 0 ||
           (name[0] == '_' && name[1] == '_' && isalpha((unsigned char)name[2]) && name[strlen(name) - 1] == '_');
}

/* libstdc++ stores elements of nodes, control blocks and the like in raw storage that knows its type as template
 * argument. */
bool type_storage(Dwarf_Die *type, Dwarf_Die *element)
{
    const char *name = die_text(type, DW_AT_name);
    Dwarf_Die child;
    if (!name || (strncmp(name, "__aligned_membuf<", 17) != 0 && strncmp(name, "__aligned_buffer<", 17) != 0) ||
        !die_first_child(type, &child))
        return false;
    do {
        if (dwarf_tag(&child) == DW_TAG_template_type_parameter)
            return die_type(&child, element);
    } while (die_next(&child));
    return false;
}

bool type_is_library(const char *name)
{
    return strncmp(name, "std::", 5) == 0 || strncmp(name, "__gnu_cxx::", 11) == 0;
}

/* The class is named after the innermost type around the lock that is not the standard library's, from the outermost
 * such on: Session.lock for a lock in a node of map<int, Session>, not std::_Rb_tree_node<…>._M_storage.second.lock. */
void type_begin_base(struct symbol_module *m, Dwarf_Die *type, struct type_path *out)
{
    if (!out->want_base || (out->base && !type_is_library(out->base)))
        return;
    const char *name = type_name(m, type);
    if (!name || (out->base && type_is_library(name)))
        return;
    out->base = name;
    out->start = out->path.len;
}

static bool find_lock(struct symbol_module *m, Dwarf_Die *type, u64 offset, enum lock_type want, struct type_path *out,
                      unsigned depth);

/* Dimensions of an array, outermost first; 0 for an open one. */
static size_t dimensions(Dwarf_Die *array, u64 *counts, size_t max)
{
    Dwarf_Die d;
    size_t n = 0;
    if (!die_first_child(array, &d))
        return 0;
    do {
        u64 count = 0, upper = 0;
        if (dwarf_tag(&d) != DW_TAG_subrange_type || n == max)
            continue;
        if (!die_uint(&d, DW_AT_count, &count) && die_uint(&d, DW_AT_upper_bound, &upper) && upper < UINT32_MAX)
            count = upper + 1;
        counts[n++] = count;
    } while (die_next(&d));
    return n;
}

/* Appends [i][j] for the element that holds the offset; the element's type and the offset in it come back. */
bool type_enter_array(Dwarf_Die *array, u64 *offset, Dwarf_Die *element, struct text *path)
{
    u64 counts[8], size, index, inner = 1;
    size_t n = dimensions(array, counts, ARRAY_LEN(counts));
    if (!n || !die_type(array, element) || !(size = die_size(element)))
        return false;
    index = *offset / size;
    *offset %= size;
    for (size_t i = 1; i < n; i++) {
        if (!counts[i] || __builtin_mul_overflow(inner, counts[i], &inner))
            return false;
    }
    for (size_t i = 0; i < n; i++) {
        u64 at = index / inner;
        if (counts[i] && at >= counts[i])
            return false;
        text_format(path, "[%llu]", (unsigned long long)at);
        index %= inner;
        if (i + 1 < n)
            inner /= counts[i + 1];
    }
    return true;
}

/* A member or base class that may hold the offset; its type and the offset in it. */
bool type_holds(Dwarf_Die *member, u64 offset, Dwarf_Die *type, u64 *inside)
{
    u64 at;
    int tag = dwarf_tag(member);
    if ((tag != DW_TAG_member && tag != DW_TAG_inheritance) || die_flag(member, DW_AT_external) ||
        die_flag(member, DW_AT_declaration) || !die_member_offset(member, &at) || offset < at ||
        !die_type(member, type))
        return false;
    u64 size = die_size(type);
    *inside = offset - at;
    if (size)
        return *inside < size;
    Dwarf_Die peeled = *type; /* an open array at the end, or a class that is only declared here */
    die_peel(&peeled);
    return *inside == 0 || dwarf_tag(&peeled) == DW_TAG_array_type;
}

void type_add_member(Dwarf_Die *member, struct type_path *out)
{
    const char *name = dwarf_tag(member) == DW_TAG_member ? die_text(member, DW_AT_name) : NULL;
    if (!name)
        return;
    if (!internal_name(name)) {
        text_add(&out->path, ".");
        text_add(&out->path, name);
        out->member = *member;
    }
}

static bool lock_in_members(struct symbol_module *m, Dwarf_Die *type, u64 offset, enum lock_type want,
                            struct type_path *out, unsigned depth)
{
    Dwarf_Die member, member_type;
    u64 inside;
    if (!die_first_child(type, &member))
        return false;
    do {
        if (!out->budget)
            return false;
        out->budget--;
        if (!type_holds(&member, offset, &member_type, &inside))
            continue;
        struct type_path before = *out;
        type_add_member(&member, out);
        if (find_lock(m, &member_type, inside, want, out, depth + 1))
            return true;
        u32 budget = out->budget;
        *out = before;
        out->budget = budget;
        out->path.at[out->path.len] = 0;
    } while (die_next(&member));
    return false;
}

static bool find_lock(struct symbol_module *m, Dwarf_Die *type, u64 offset, enum lock_type want, struct type_path *out,
                      unsigned depth)
{
    Dwarf_Die t = *type, element;
    if (depth > TYPE_DEPTH)
        return false;
    for (unsigned i = 0; i < TYPE_DEPTH; i++) {
        if (offset == 0 && lock_type_name(die_text(&t, DW_AT_name), want))
            return true;
        if (!die_unwrap(&t))
            break;
    }
    die_peel(&t);
    switch (dwarf_tag(&t)) {
    case DW_TAG_array_type:
        return type_enter_array(&t, &offset, &element, &out->path) &&
               find_lock(m, &element, offset, want, out, depth + 1);
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
        if (type_storage(&t, &element)) {
            if (out->base && type_is_library(out->base)) {
                out->base = NULL; /* the element names it */
                out->start = out->path.len;
            }
            return find_lock(m, &element, offset, want, out, depth + 1);
        }
        if (offset == 0 && declared_lock(m, &t, want))
            return true;
        type_begin_base(m, &t, out);
        return lock_in_members(m, &t, offset, want, out, depth);
    default:
        return false;
    }
}

bool type_path_lock(struct symbol_module *m, Dwarf_Die *type, u64 offset, enum lock_type want, struct type_path *out)
{
    size_t before = out->path.len;
    out->budget = TYPE_BUDGET;
    if (want != LOCK_TYPE_CUSTOM && find_lock(m, type, offset, want, out, 0))
        return true;
    out->path.len = before;
    out->path.at[before] = 0;
    out->member.addr = NULL;
    return false;
}

void type_path_any(struct symbol_module *m, Dwarf_Die *type, u64 offset, struct type_path *out)
{
    Dwarf_Die t = *type, member, next;
    u64 inside;
    for (unsigned depth = 0; offset && depth < TYPE_DEPTH; depth++) {
        bool found = false, lock = false;
        for (unsigned i = 0; i < TYPE_DEPTH && !lock; i++) { /* what is inside a lock is nobody's business */
            lock = lock_type_name(die_text(&t, DW_AT_name), LOCK_TYPE_ANY);
            if (lock || !die_unwrap(&t))
                break;
        }
        if (lock)
            break;
        die_peel(&t);
        if (dwarf_tag(&t) == DW_TAG_array_type) {
            found = type_enter_array(&t, &offset, &next, &out->path);
        } else if (type_storage(&t, &next)) {
            found = true;
        } else if (die_first_child(&t, &member)) {
            type_begin_base(m, &t, out);
            do {
                found = type_holds(&member, offset, &next, &inside);
            } while (!found && die_next(&member));
            if (found) {
                type_add_member(&member, out);
                offset = inside;
            }
        }
        if (!found)
            break;
        t = next;
    }
    if (offset)
        text_format(&out->path, "+0x%llx", (unsigned long long)offset);
}

void type_path(struct symbol_module *m, Dwarf_Die *type, u64 offset, const struct target *want, struct type_path *out)
{
    if (want->data)
        type_path_data(m, type, offset, want->size, out);
    else if (!type_path_lock(m, type, offset, want->lock, out))
        type_path_any(m, type, offset, out);
}
