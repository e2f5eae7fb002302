/* What the files of detector/symbol share. Not for others: they include symbol.h and variable.h. */
#ifndef SNARL_SYMBOL_INTERNAL_H
#define SNARL_SYMBOL_INTERNAL_H

#include "symbol.h"
#include "variable.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>

/* Limits against hostile files. Real programs stay far below them. */
#define DIE_DEPTH 64u              /* nesting of debug entries that is followed */
#define DIE_BUDGET (64u * 1000000) /* entries visited per module, over its life */
#define TYPE_DEPTH 32u             /* typedefs, members, array levels followed for one path */
#define TYPE_BUDGET 20000u         /* members looked at for one path */
#define NAME_MAX_LENGTH 4096u      /* longer names stay mangled and are cut */
#define CODE_MAX (4u << 20)        /* bytes of one function searched for calls */

/* --- pool.c: memory that lives as long as the symbolizer, interned strings, maps --- */

struct pool_chunk;
struct pool {
    struct pool_chunk *chunks;
    size_t used, size; /* of the first chunk */
    const char **strings;
    size_t nstrings, string_slots;
};

void *pool_alloc(struct pool *p, size_t size); /* zeroed, NULL when out of memory */
void pool_free(struct pool *p);
/* One copy per text; "" when out of memory, NULL for NULL. */
const char *pool_string(struct pool *p, const char *text);
const char *pool_string_n(struct pool *p, const char *text, size_t n);
const char *pool_format(struct pool *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* u64 -> pointer, open addressing. Zero-initialised is empty. */
struct map_slot {
    u64 key;
    void *value;
};
struct map {
    struct map_slot *slots;
    size_t n, size;
};
void *map_get(const struct map *m, u64 key);
bool map_put(struct map *m, u64 key, void *value); /* false when out of memory */
void map_free(struct map *m);

/* Makes room for one more element of a growing array. */
bool grow(void **array, size_t *cap, size_t n, size_t item);

/* Bounded text. */
struct text {
    char *at;
    size_t size, len;
};
void text_add(struct text *t, const char *s);
void text_add_n(struct text *t, const char *s, size_t n);
void text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- names.c --- */

struct function_name {
    const char *function, *name, *linkage; /* as in struct symbol_frame */
};
/* From a symbol as the linker knows it, mangled or not. */
void name_from_linkage(struct pool *p, const char *linkage, struct function_name *out);
/* Demangled name without parameters, return type and clone suffix. false if it does not fit or parse. */
bool name_plain(const char *demangled, char *out, size_t size);
/* Is this the plain name of a function whose business is to allocate for its caller? */
bool name_is_allocator(const char *name);
/* Is this a call that marks a place of birth: allocation or initialisation? Takes linkage names. */
bool name_makes_object(const char *linkage);
const char *base_name(const char *path);
const char *language_name(int dwarf_language);

/* --- module.c, elfsym.c --- */

struct elf_symbol {
    u64 address, size;
    const char *name;
    const char *file; /* local ones: main source file of their unit; else NULL */
    u8 rank;          /* which of several at one address: lower is better */
    bool local;
};
struct elf_symbols {
    struct elf_symbol *at;
    size_t n, cap;
};

struct range {
    u64 lo, hi;
    u32 unit;
};
struct function_range {
    u64 lo, hi;
    Dwarf_Die die;
};
struct data_variable {
    u64 lo, hi; /* link-time addresses, or TLS offsets */
    Dwarf_Die die;
    bool tls;
};
/* An entry that names what is in it: namespace, class, function, block. */
struct scope {
    const void *begin, *end; /* its entry, and the end of its children */
    Dwarf_Die die;
    u32 parent; /* index + 1 of the scope around it, 0 for the unit */
};
struct scopes {
    struct scope *at; /* in order of begin */
    size_t n, cap;
};
struct type_entry {
    u64 size;
    Dwarf_Die die;
    bool flexible; /* ends with an array of no fixed length */
};

/* A compilation unit. `die` has the contents (the split unit's where there is one), `skeleton` the addresses and
 * lines. */
struct unit {
    Dwarf_Die die, skeleton;
    struct function_range *functions;
    size_t nfunctions, functions_cap;
    struct type_entry *types;
    size_t ntypes, types_cap;
    bool no_ranges, functions_known, shallow_known, deep_known, types_known;
    bool is_cxx;
    int language;
};

struct symbol_module {
    struct symbol_module *next;
    struct symbolizer *owner;
    const char *path, *soname, *name;
    bool is_main, opened, stubs_known;
    u32 die_budget;
    u8 build_id[64];
    size_t build_id_len;
    struct symbol_status status;
    const char *advice;
    const char *build_id_found; /* hex of the file at `path`, when it is another one */

    Dwfl *dwfl;
    Dwfl_Module *mod;
    Elf *elf;
    u64 elf_bias; /* address here - address in the main ELF file */
    Dwarf *dwarf;
    u64 dwarf_bias;        /* the same for DWARF */
    struct range code[16]; /* executable segments */
    size_t ncode;
    struct range tls_segment;

    struct elf_symbols functions, data, tls;
    struct elf_symbols stubs; /* PLT entries, named after what they jump to */
    struct elf_symbols slots; /* GOT entries with a symbol */

    struct unit *units;
    size_t nunits, units_cap;
    struct range *ranges;
    size_t nranges, ranges_cap;
    struct data_variable *variables;
    size_t nvariables, variables_cap, variables_sorted; /* the first so many are in order */
    struct map imported;                                /* partial units whose variables are known */
    struct map unit_by_die;                             /* address of a unit's entry -> the unit */
    struct map typedefs;   /* address of an anonymous struct's entry -> name of its typedef */
    struct map scopes;     /* address of a unit's entry -> struct scopes */
    struct map type_names; /* address of a type's entry -> its qualified name */
    struct map names;      /* address of a function's entry -> struct function_name */
    struct map frames;     /* address and call_site -> struct symbol_frames */
};

struct symbolizer {
    struct pool pool;
    struct symbol_module *modules;
    struct map by_hash;
    struct map heap;  /* answers of heap_class */
    struct map data;  /* answers of data_heap */
    char *debug_path; /* in libdwfl's form */
    bool ask_debuginfod;
    u64 waited_for_nothing; /* seconds */
    Dwfl_Callbacks callbacks;
};

/* Opens the module's files at the first call. False if nothing can be said of it at all. */
bool module_open(struct symbol_module *m);
/* Sets m->advice. */
void module_advise(struct symbol_module *m);

/* Next section and its header, within bounds; NULL at the end. */
Elf_Scn *section_next(Elf *elf, Elf_Scn *scn, GElf_Shdr *header);
void symbols_load(struct symbol_module *m);
void symbols_sort(struct elf_symbols *set);
/* The symbol whose extent contains the address, else, with nearest, the last one before it in its section. */
const struct elf_symbol *symbols_at(const struct elf_symbols *set, u64 address, bool nearest);
bool symbols_add(struct elf_symbols *set, const struct elf_symbol *symbol);
/* What a call to `target` reaches, by name, through PLT stubs too; NULL if unknown. */
const char *symbols_call_target(struct symbol_module *m, u64 target);
const char *symbols_slot(struct symbol_module *m, u64 slot);
/* Bytes of the file at an address, and how many follow in the section. */
const u8 *module_bytes(struct symbol_module *m, u64 address, size_t *available);

/* --- die.c, scope.c: walking debug entries with bounds --- */

enum walk { WALK_INTO, WALK_OVER, WALK_STOP };
typedef enum walk (*walk_fn)(Dwarf_Die *die, void *context);
/* Visits the descendants of root in order. */
void die_walk(struct symbol_module *m, Dwarf_Die *root, walk_fn fn, void *context);
bool die_first_child(Dwarf_Die *die, Dwarf_Die *child);
bool die_next(Dwarf_Die *die); /* to its next sibling; always forward */
bool die_ref(Dwarf_Die *die, unsigned attribute, Dwarf_Die *out);
bool die_uint(Dwarf_Die *die, unsigned attribute, u64 *out);
bool die_flag(Dwarf_Die *die, unsigned attribute);
const char *die_text(Dwarf_Die *die, unsigned attribute); /* follows origins */
/* To the entry that says most: abstract origin, specification. */
void die_origin(Dwarf_Die *die, Dwarf_Die *out);
bool die_type(Dwarf_Die *die, Dwarf_Die *out);
/* One layer off: typedef or qualifier. False if it is none, or broken. */
bool die_unwrap(Dwarf_Die *type);
/* All layers off, and a declaration replaced by its type unit's definition. */
void die_peel(Dwarf_Die *type);
u64 die_size(Dwarf_Die *type); /* 0 if unknown */
bool die_member_offset(Dwarf_Die *member, u64 *out);
/* Entries around `die`, innermost first, without the unit. */
size_t die_scopes(struct symbol_module *m, Dwarf_Die *die, Dwarf_Die *out, size_t max);
void die_scopes_free(struct symbol_module *m);
/* ns::Class::name of a type or variable. */
void die_qualified(struct symbol_module *m, Dwarf_Die *die, struct text *out);
/* Was the unit it is in written in C++ or a language like it? */
bool die_is_cxx(Dwarf_Die *die);
/* Names of a subprogram or inlined subroutine; symbol: ELF symbol at its entry, or NULL. */
const struct function_name *die_function(struct symbol_module *m, Dwarf_Die *die, const char *symbol);
/* The file that an attribute (declaration, call) names, and the unit it is relative to. libdw's own function takes file
 * 0 for none, which in DWARF 5 is the unit's main file. */
const char *die_file(Dwarf_Die *die, unsigned attribute, Dwarf_Die *unit);
/* Where it was declared. */
void die_declared(struct symbol_module *m, Dwarf_Die *die, struct variable_name *out);
/* As recorded -> path with the compilation folder, and relative to it. */
void source_path(struct symbol_module *m, Dwarf_Die *unit, const char *recorded, const char **path, const char **file);
/* Base name of the main source file of the unit in which `die` was written; NULL if unknown. */
const char *die_unit_file(Dwarf_Die *die);

/* --- unit.c --- */

void units_load(struct symbol_module *m);
/* Unit and function that contain the address (bias-free). unit NULL: none. function may be missing though the unit is
 * known. */
struct unit *unit_at(struct symbol_module *m, u64 address, Dwarf_Die **function);
/* Functions at the address: chain[0] the one in the code, then what was inlined, innermost last. */
size_t inline_chain(Dwarf_Die *function, u64 address, Dwarf_Die *chain, size_t max);
/* The unit in which an entry was written; NULL for partial and type units. */
struct unit *unit_of(struct symbol_module *m, Dwarf_Die *die);
/* die_walk over a unit and the partial units (dwz) that it imports, but for those in `seen`, to which they are
 * added. */
void unit_walk(struct symbol_module *m, struct unit *u, walk_fn fn, void *context, struct map *seen);
/* Fills u->types. */
void unit_types(struct symbol_module *m, struct unit *u);

/* --- typepath.c, datapath.c --- */

/* What is looked for at a place: a lock of a kind, or, with `data`, the object that the `size` bytes there belong to. */
struct target {
    enum lock_type lock;
    u64 size;
    struct data_name *data;
    bool pointed; /* not there, but `behind` bytes behind where the pointer there leads to */
    u64 behind;
};

struct type_path {
    struct text path; /* .field[3] */
    bool want_base;
    const char *base; /* with want_base: the innermost type around the lock that is not the standard library's */
    size_t start;     /* with want_base: where the path from there begins in `path` */
    Dwarf_Die member; /* last member on the path, for its declaration; addr NULL if none */
    Dwarf_Die object; /* type_path_data: type of the object found, as declared; addr NULL if it is several bit-fields */
    u32 budget;
};
/* Is this the name of a type that is a lock of that kind? */
bool lock_type_name(const char *name, enum lock_type type);
/* Finds a lock of that kind exactly at `offset` in `type`, appends its path. */
bool type_path_lock(struct symbol_module *m, Dwarf_Die *type, u64 offset, enum lock_type want, struct type_path *out);
/* Path to whatever is at `offset`, for types that are not known as locks. */
void type_path_any(struct symbol_module *m, Dwarf_Die *type, u64 offset, struct type_path *out);
/* Path to the smallest object that holds all `size` bytes at `offset`; nothing when that is `type` itself. */
void type_path_data(struct symbol_module *m, Dwarf_Die *type, u64 offset, u64 size, struct type_path *out);
/* type_path_data for data; for locks type_path_lock, else type_path_any. */
void type_path(struct symbol_module *m, Dwarf_Die *type, u64 offset, const struct target *want, struct type_path *out);
/* From a pointer of this type to what lies `behind` bytes behind where it leads to: "->field", "[3].field"; nothing for the
 * object itself (*pointer). False: it is no pointer, or not to anything of a known size. */
bool type_path_pointed(struct symbol_module *m, Dwarf_Die *type, u64 behind, u64 size, struct type_path *out);
/* What a path of type_path_data says of the object, into *out: its type, size and shape. */
void data_describe(struct symbol_module *m, const struct type_path *path, struct data_name *out);
/* "table[3].count" -> "table[].count", in place: what stays the same in every run. */
void data_strip_indexes(char *path);

/* One step down. */
/* Appends [i][j] for the element that holds the offset; the element's type and the offset in it come back. */
bool type_enter_array(Dwarf_Die *array, u64 *offset, Dwarf_Die *element, struct text *path);
/* A member or base class that may hold the offset; its type and the offset in it. */
bool type_holds(Dwarf_Die *member, u64 offset, Dwarf_Die *type, u64 *inside);
void type_add_member(Dwarf_Die *member, struct type_path *out);
/* Raw storage of the standard library that knows what it stores. */
bool type_storage(Dwarf_Die *type, Dwarf_Die *element);
bool type_is_library(const char *name);
void type_begin_base(struct symbol_module *m, Dwarf_Die *type, struct type_path *out);
/* Name of a struct: its own or its typedef's, qualified; NULL if it has none. */
const char *type_name(struct symbol_module *m, Dwarf_Die *type);

/* --- evidence.c --- */

#define EVIDENCE_MAX 128
struct evidence {
    const char *type[EVIDENCE_MAX];
    bool near[EVIDENCE_MAX];   /* declared in the line of the call: T *p = malloc(…) */
    bool direct[EVIDENCE_MAX]; /* a pointer to it, not to pointers to it */
    size_t n, line;
    bool now_near, known;
    /* Pointers to what is no struct: the block may be an array of those. */
    bool other;           /* but char * and char **, which everybody has */
    Dwarf_Die near_other; /* its type */
};

/* Fills *e, once: what the functions at the address have pointers to. function may be NULL. */
void evidence_gather(struct symbol_module *m, Dwarf_Die *function, u64 address, struct evidence *e);
/* What the variables are that a unit declares outside functions. */
void evidence_of_variables(struct symbol_module *m, struct unit *u, struct evidence *e);
/* Is there a pointer to this type? near: in the line of the call; direct: not to pointers to it. */
bool evidence_of(const struct evidence *e, const char *type, bool near, bool direct);

/* --- sites.c --- */

/* function#n into *out; false if the site is of no use. */
void site_class(struct symbolizer *s, const struct symbol_site *alloc, size_t nalloc, const struct symbol_site *init,
                size_t ninit, bool init_seen, struct variable_name *out);

/* Class from the module's name and the rest; separator may be 0. */
void variable_finish(struct symbolizer *s, struct symbol_module *m, const char *local, char separator,
                     struct variable_name *out);

#endif
