/* Between modules.c (the list), modules_record.c (records in the arena), modules_elf.c (reading a loaded module) and
 * modules_hook.c (the loader's notifications). */
#ifndef SNARL_PRELOAD_MODULES_INTERNAL_H
#define SNARL_PRELOAD_MODULES_INTERNAL_H

#include <link.h>

#include "modules.h"

struct elf_identity {
    const char *soname; /* inside the module, or NULL */
    u32 soname_length;
    const u8 *build_id;
    u32 build_id_len; /* at most 32 */
    bool has_python;  /* defines _PyRuntime */
};

/* Fills lo, hi, bias, headers, dynamic, eh_* from what the loader says of it. False when that is no loaded ELF
 * module. */
bool elf_describe(struct module *m, bool is_main, u64 bias, u64 dynamic) __attribute__((visibility("hidden")));
void elf_identify(const struct module *m, struct elf_identity *out) __attribute__((visibility("hidden")));
/* Each slot that the loader fills with the address of a symbol, for calls (jump: perhaps at the first call only) or as a
 * value. The module must stay mapped (modules_read_enter). */
typedef void elf_import_fn(void *arg, const struct module *m, const char *name, u64 *slot, bool jump);
void elf_each_import(const struct module *m, elf_import_fn *fn, void *arg) __attribute__((visibility("hidden")));
/* The loader makes this address read-only when it has relocated the module. */
bool elf_is_relro(const struct module *m, u64 addr) __attribute__((visibility("hidden")));
/* The loader's r_debug as the main program's DT_DEBUG gives it, or NULL. */
struct r_debug *elf_r_debug(void) __attribute__((visibility("hidden")));

/* Gives the module its record and number; and the records to a forked child's process. modules_record.c */
void record_register(struct module *m, bool is_main) __attribute__((visibility("hidden")));
void record_after_fork(void) __attribute__((visibility("hidden")));

/* Makes the loader call modules_loader_event; false when that cannot be had. */
bool hook_install(u64 r_brk) __attribute__((visibility("hidden")));
/* The loader has changed, or is about to change, its lists. Runs on the thread that loads, with the loader's lock
 * held. */
void modules_loader_event(void) __attribute__((visibility("hidden")));

#endif
