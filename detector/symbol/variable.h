/* Names of locks: the class grammar of docs (module:symbol, type.field, function#n, function:variable) from link-time
 * addresses, allocation sites and stack frames. Same rules as symbol.h: outside the watched program, plain values,
 * nothing crashes on what a file contains, strings live until symbolizer_free.
 *
 * Forms:
 *   global, exported      module:symbol                       app:cache.lock   libfoo:table[3].mutex   app:ns::Pool::guard
 *   global, file-local    module:file.c:symbol                app:cache.c:lock   app:a.cc:(anonymous namespace)::m
 *   static in a function  module:file.c:function.variable     app:cache.c:cache_get.once   app:a.cc:ns::instance.guard
 *       file.c is the base name of the unit's main source file, also for what a header declares static; C++ functions are
 *       written qualified, without parameters. Statics of inline functions are one for all units: no file.
 *   thread-local          as the above
 *   only ELF symbols      module:symbol, module:symbol+0x10, module:file.c:symbol (C function statics then lack the function)
 *   no symbol             module+0x4010
 *   heap                  type.field   type[].field for arrays   ns::Session.lock
 *   heap, type not found  function#n   (see heap_class)
 *   stack                 function:variable   worker:ctx.lock   main:locks[2]
 *   stack, no variable    function:stack-0x58 (distance below the frame's CFA)
 * Members of base classes and of anonymous structs add nothing to a path; nor do reserved members of the standard
 * library (std::array<std::mutex, 4> a: "a[1]"). A path ends at the lock itself, never inside pthread_mutex_t and its
 * like. */
#ifndef SNARL_SYMBOL_VARIABLE_H
#define SNARL_SYMBOL_VARIABLE_H

#include "symbol.h"

/* What is looked for at the place: decides which types count as the lock in a path, and which struct fits an
 * allocation. */
enum lock_type {
    LOCK_TYPE_ANY = 0, /* any of those below */
    LOCK_TYPE_MUTEX,   /* pthread_mutex_t, mtx_t, std::mutex and friends, GMutex, GRecMutex, omp_lock_t */
    LOCK_TYPE_RWLOCK,  /* pthread_rwlock_t, std::shared_mutex, GRWLock */
    LOCK_TYPE_SPIN,    /* pthread_spinlock_t */
    LOCK_TYPE_SEM,     /* sem_t, std::counting_semaphore */
    LOCK_TYPE_COND,    /* pthread_cond_t, cnd_t, std::condition_variable, GCond */
    LOCK_TYPE_BARRIER, /* pthread_barrier_t, std::barrier, std::latch */
    LOCK_TYPE_ONCE,    /* pthread_once_t, once_flag, std::once_flag, GOnce */
    LOCK_TYPE_CUSTOM, /* a lock of the program's own, known by annotation: no type is known, paths end at the outermost object
                          that begins at the address */
};

enum name_source {
    NAME_NONE = 0, /* nothing: out of memory */
    NAME_ADDRESS,  /* module+0x…, function:stack-0x…: changes with every build */
    NAME_SYMBOL,   /* ELF symbol: no fields */
    NAME_SITE,     /* function#n */
    NAME_TYPED,    /* from debug information */
};

struct variable_name {
    const char *class_name; /* whole, never NULL */
    const char
        *local; /* behind "module:"; the same as class_name for heap and stack. What ids and comparisons use for the
                               main program. */
    const char *module; /* the "module" of the class, "" for heap and stack */
    const char *path; /* file and line of the declaration (variable; field's struct for heap), NULL and 0 if unknown */
    const char *file; /* the same, relative to the compilation folder */
    u32 line;
    enum name_source source;
};

/* What is at a link-time data address. Always fills *out. */
void variable_global(struct symbolizer *s, struct symbol_module *m, u64 address, enum lock_type type,
                     struct variable_name *out);

/* The same for an offset in the module's TLS segment (offset from the start of PT_TLS). */
void variable_tls(struct symbolizer *s, struct symbol_module *m, u64 tls_offset, enum lock_type type,
                  struct variable_name *out);

/* A frame of a native stack. */
struct symbol_site {
    struct symbol_module *module;
    u64 address;
    bool call_site; /* a return address */
};

/* A lock inside an allocated block.
 *   alloc: stack of the allocation, innermost first (one site is enough), init: stack of the initialisation (init_seen) or of the
 *   first use
 *   alloc_size: as asked for; 0 if unknown (then the class is a site); HEAP_MAPPED: the lock lies in memory that processes
 *   share, and the block is what the mapping begins with. offset: of the lock in the block.
 *
 * type.field: the structs and classes that the units of these frames know, of that size (or the size's n-th part, or
 * with a trailing array) with such a lock at that offset. If several fit, those that the frame's function has a pointer
 * to (variable, parameter, result, template argument) are preferred; if still not one, the site names the class. Blocks
 * that are nothing but a lock are named by site, too. C++: new, std::make_shared, std::make_unique, containers; the
 * class is the innermost user type.
 *
 * function#n: the first function outwards that is not an allocator (malloc, operator new, std::, g_malloc, …), else
 * that of the initialisation, else the allocator itself, else the first use, which differs between runs. n counts, from
 * 1, the calls in that function that allocate or initialise (calls to functions with such names, and to the one called
 * here), in source order: line, column; by address without line information. Edits elsewhere do not change it. Without
 * a symbol: module+0x…. */
#define HEAP_MAPPED (~0ull)
void heap_class(struct symbolizer *s, const struct symbol_site *alloc, size_t nalloc, const struct symbol_site *init,
                size_t ninit, bool init_seen, u64 alloc_size, u64 offset, enum lock_type type,
                struct variable_name *out);

/* A lock in a stack frame. cfa_offset: its address - the frame's CFA (negative). site: that frame's pc. */
void stack_class(struct symbolizer *s, struct symbol_site site, int64_t cfa_offset, enum lock_type type,
                 struct variable_name *out);

/* ---- memory that is no lock ----
 *
 * The same places, and the smallest object that holds all the bytes in question: a field, an element, or what is around
 * them when they are several. Class names are as above but without indexes: a loop that goes wrong at every element
 * goes wrong once. A path ends at a lock, at the standard library's types (but for array, pair and tuple), and at
 * bit-fields: "flags.{a,b}" are those that share the bytes. */
enum data_shape { DATA_UNKNOWN = 0, DATA_INTEGER, DATA_BOOL, DATA_POINTER, DATA_FLOAT, DATA_AGGREGATE, DATA_LOCK };

struct data_name {
    struct variable_name name;
    const char *shown; /* for people: without module, file and function, with indexes; NULL for NAME_SITE and below */
    const char *type;  /* of the object, as people write it; NULL if unknown */
    u64 size;          /* of the object, 0 if unknown */
    enum data_shape shape;
    bool is_volatile, is_atomic; /* declared so, or std::atomic */
};

void data_global(struct symbolizer *s, struct symbol_module *m, u64 address, u64 size, struct data_name *out);
/* What lies `behind` bytes behind the place that the pointer at this link-time address leads to: app:file.c:*counter,
 * app:shared->field, app:table[].field. */
void data_pointed(struct symbolizer *s, struct symbol_module *m, u64 pointer, u64 behind, u64 size,
                  struct data_name *out);
void data_tls(struct symbolizer *s, struct symbol_module *m, u64 tls_offset, u64 size, struct data_name *out);
/* use: frames of the functions that touch the bytes; the first few count. Frames of system libraries are to be left out
 * of both: their functions know the types of much that is not theirs. The type of the block is taken from pointers that these functions,
 * or those that allocate, have to a struct of that size; no struct is chosen for its size alone. */
void data_heap(struct symbolizer *s, const struct symbol_site *alloc, size_t nalloc, const struct symbol_site *use,
               size_t nuse, u64 alloc_size, u64 offset, u64 size, struct data_name *out);
void data_stack(struct symbolizer *s, struct symbol_site site, int64_t cfa_offset, u64 size, struct data_name *out);

#endif
