/* Module + address -> functions, files, lines, inlined calls. Outside the watched program only: uses malloc, files and
 * libdw.
 *
 * Addresses are those of the ELF file (link-time, "bias-free"): absolute address - load bias, as struct module_rec and
 * the stack frames of model/stack.h have them. Takes plain values, knows nothing of the arena. Not for several threads
 * at once.
 *
 * Everything handed out (strings, frames, status) lives until symbolizer_free. Whatever the files contain, calls
 * return: what is unreadable, hostile or missing gives frames without names, and a status that says why. Names are as
 * the files have them: they may contain control characters, which the renderers have to escape. */
#ifndef SNARL_SYMBOL_SYMBOL_H
#define SNARL_SYMBOL_SYMBOL_H

#include "base/types.h"

struct symbolizer;
struct symbol_module;

/* debug_path: further folders for separate debug files, separated by ':' (NULL: $SNARL_DEBUG_PATH), searched before
 * .debug beside the module and /usr/lib/debug. Debug files are found by build id (FOLDER/.build-id/xx/yyyy.debug), then
 * by .gnu_debuglink. debuginfod is asked only if $DEBUGINFOD_URLS is set, for 15 s per file unless $DEBUGINFOD_TIMEOUT
 * says otherwise, and no more once 30 s have passed in vain (the variable is unset then). NULL when out of memory. */
struct symbolizer *symbolizer_new(const char *debug_path);
void symbolizer_free(struct symbolizer *s);

/* Registers a module; cheap, files are opened at the first lookup. The same path and build id give the same module
 * again.
 *   soname: as the loader saw it, or NULL (then the file's own is taken)
 *   build_id: of what ran. If the file at `path` has another one it was rebuilt since and is not used.
 * NULL only when out of memory; every call below takes NULL as "a module of which nothing is known". */
struct symbol_module *symbol_module(struct symbolizer *s, const char *path, const char *soname, bool is_main,
                                    const u8 *build_id, size_t build_id_len);

struct symbol_frame {
    const char
        *function;       /* for people: demangled, with parameters: "ns::queue<int>::push(int)"; "main"; with `nearest`:
                             "symbol+0x12". NULL if nothing is known. */
    const char *name;    /* for ids, suppressions by name, titles: demangled without parameters and return type:
                             "ns::queue<int>::push". Never has an offset. NULL like function. */
    const char *linkage; /* mangled: "_ZN2ns5queueIiE4pushEi"; equal to name in C */
    const char *path;    /* file, with the compilation folder in front: "/home/u/app/src/queue.c"; NULL if unknown */
    const char *file;    /* the same relative to the compilation folder where it lies below it: "src/queue.c" */
    u32 line, column;    /* 0 if unknown */
    u64 nearest_offset;  /* with nearest: distance from the symbol */
    bool inlined;        /* this function was inlined into that of the next frame */
    bool nearest;        /* only a symbol somewhere before the address is known: the function may be another one */
    const char *language; /* "c", "c++", "rust", "go", "d", "fortran", "ada", "assembler", … ; NULL if unknown */
};

struct symbol_frames {
    u32 n; /* at least 1 */
    const struct symbol_frame *frame;
};

/* Frames at an address, innermost first: inlined functions, and last the function that contains the address. call_site:
 * the address is a return address; the call before it is looked up. Repeated lookups are answered from a cache. */
const struct symbol_frames *symbol_lookup(struct symbolizer *s, struct symbol_module *m, u64 address, bool call_site);

/* The module's name in lock classes: SONAME without version ("libfoo.so.1.2" -> "libfoo"), the file's base name for the
 * main program. "?" for NULL. */
const char *symbol_module_name(struct symbol_module *m);

/* The same without a file: never empty, always terminated, cut if `size` is too small. soname may be NULL. */
void module_name(const char *path, const char *soname, bool is_main, char *out, size_t size);

enum symbol_file {
    SYMBOL_FILE_OK = 0,
    SYMBOL_FILE_MISSING,    /* no such file (any more) */
    SYMBOL_FILE_UNREADABLE, /* no permission, not a regular file, read error */
    SYMBOL_FILE_NOT_ELF,    /* not an ELF file, or a broken one */
    SYMBOL_FILE_REBUILT,    /* another build id than what ran */
};

/* What a module offers. */
struct symbol_status {
    enum symbol_file file;  /* when not OK, names may still come from a debug file found by build id */
    bool has_dwarf;         /* functions, lines, variables, types */
    bool has_symtab;        /* full symbol table (.symtab, or the compressed one in .gnu_debugdata) */
    bool has_dynsym;        /* exported symbols */
    bool dwo_missing;       /* split DWARF: some .dwo files were not found */
    bool stripped;          /* neither DWARF nor full symbol table */
    const char *path;       /* as registered */
    const char *build_id;   /* hex of what ran, else of the file; "" if there is none */
    const char *debug_file; /* separate debug file in use, NULL if none */
    const char *
        /* debug file that the module names (.gnu_debuglink, .gnu_debugaltlink) and that was not found, or NULL */
        missing_file;
};
/* Opens the module's files. Never NULL. */
const struct symbol_status *symbol_module_status(struct symbolizer *s, struct symbol_module *m);

/* One or two sentences for the report: why names or lines of this module are missing and how to get them. NULL if there
 * is nothing to say. */
const char *symbol_module_advice(struct symbolizer *s, struct symbol_module *m);

#endif
