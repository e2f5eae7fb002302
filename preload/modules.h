/* The process's loaded modules, known without the loader's lock.
 *
 * The list is read from the loader's own (r_debug) once at start and again whenever the loader says that it has
 * changed: its notification function (r_brk) is made to jump to us, which happens before any constructor of the new
 * module runs and also for libc's own loads. Where that is refused (see modules_tracking) every look-up asks
 * _dl_find_object instead.
 *
 * Readers take no lock and never wait, not even for a stalled writer; safe in signal handlers. */
#ifndef SNARL_PRELOAD_MODULES_H
#define SNARL_PRELOAD_MODULES_H

#include "base/types.h"
#include "model/thread.h"

/* What a look-up yields: a copy, good for as long as the module stays loaded. */
struct module {
    u64 lo, hi;  /* mapped range */
    u64 bias;    /* address - bias = address in the ELF file */
    u64 headers; /* address of its program headers, and their number */
    u32 nheaders;
    u32 order;        /* the loader's order */
    u64 eh_hdr;       /* .eh_frame_hdr, 0: none */
    u64 eh_lo, eh_hi; /* the loaded segment around it */
    u64 dynamic;      /* PT_DYNAMIC, 0: none */
    u64 map;          /* the loader's struct link_map */
    u64 build_id_at;  /* address of the build id's bytes, 0: none */
    ref_t rec;        /* struct module_rec */
    u32 id;           /* its run-wide number, 0 when there are too many */
    u32 seen;         /* writer's mark */
    bool is_snarl;
    u8 build_id_len;
    u8 reserved[2];
};

/* Once per process, after engine_start, while there is one thread. */
void modules_start(void) __attribute__((visibility("hidden")));
/* In a forked child, after engine_fork_child: gives the modules to the new process record. */
void modules_after_fork(void) __attribute__((visibility("hidden")));

/* The module around an address, or false/NULL. The record stays readable for ever, also after dlclose. */
bool modules_lookup(u64 addr, struct module *out) __attribute__((visibility("hidden")));
const struct module_rec *modules_find(u64 addr) __attribute__((visibility("hidden")));
/* The frame of model/stack.h for an address in code; exact: the instruction itself, not a return address. */
u64 modules_frame(u64 pc, bool exact) __attribute__((visibility("hidden")));
/* Calls fn for each module, which stays mapped meanwhile; no handler runs. False: the list has changed underway, or
 * a module is being unmapped. */
bool modules_each(void (*fn)(void *arg, const struct module *m), void *arg) __attribute__((visibility("hidden")));
/* Address of the dynamic symbol (default version) as a dlsym(RTLD_NEXT) called by libsnarl would find it, except that
 * modules opened without RTLD_GLOBAL and those loaded before libsnarl count too; NULL when no module defines it. Never
 * takes the loader's lock. */
void *modules_symbol(const char *name) __attribute__((visibility("hidden")));
/* The same in one module. */
void *modules_symbol_in(const struct module *m, const char *name) __attribute__((visibility("hidden")));

/* True when the loader tells us of its changes, so that what was learnt of a module may be kept until modules_epoch
 * changes. */
extern bool modules_tracking __attribute__((visibility("hidden")));
/* From now on every look-up asks the loader. For a loader that cannot be hooked; for tests. */
void modules_without_tracking(void) __attribute__((visibility("hidden")));
/* Number of times that modules went away. */
extern u32 modules_epoch __attribute__((visibility("hidden")));
/* Called for the address range of each module that went away, before another one can be mapped there. Set by
 * unwind_start. */
extern void (*modules_on_gone)(u64 lo, u64 hi) __attribute__((visibility("hidden")));
/* The same for each module that has come, too, before its relocation. Set by watched.c. */
extern void (*modules_on_change)(u64 lo, u64 hi) __attribute__((visibility("hidden")));

/* Called after each change of the list, on the loader's thread with its lock held: new modules are mapped, and not yet
 * relocated. Set by rewrite_start.c. */
extern void (*modules_on_loaded)(void) __attribute__((visibility("hidden")));

/* Brackets code that reads a module's memory and keeps what it found: no module is unmapped in between. Handlers are
 * kept out, so keep it short. Waits, at most some 10 ms, while one is being unmapped; false: that took longer (a signal
 * handler that runs in the midst of it, for one), read nothing. Without modules_tracking only the frames on the stack
 * keep a module loaded, and nothing may be kept. Call leave in all cases. */
bool modules_read_enter(u64 *mask) __attribute__((visibility("hidden")));
void modules_read_leave(bool entered, u64 mask) __attribute__((visibility("hidden")));

#endif
