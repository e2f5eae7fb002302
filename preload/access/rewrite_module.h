/* One module, from the first look to the last patch. */
#ifndef SNARL_ACCESS_REWRITE_MODULE_H
#define SNARL_ACCESS_REWRITE_MODULE_H

#include "access/rewrite_check.h"
#include "access/rewrite_map.h"
#include "access/rewrite_masked.h"

/* What the slow path must know of an access: check i of the module is number first + i. */
struct access_site {
    u64 pc;                     /* its instruction */
    u64 disp;                   /* the operand's displacement, or its address when there is no base */
    u16 size;                   /* bytes each time, 0 not known */
    u8 memory;                  /* MEM_* */
    u8 how;                     /* SITE_* */
    u8 base, index, shift, rep; /* rep: 0, F3, F2 */
};
enum {
    SITE_WRITE = 1,
    SITE_READ = 2, /* with SITE_WRITE: before it */
    SITE_ATOMIC = 4,
    SITE_INLINE = 8, /* the check has left the address in TLS */
    SITE_SOME_BYTES = 16,
    SITE_ADDRESS_32 = 32,
    SITE_SEGMENT = 64,
    SITE_TAKEN = 128, /* for an atomic operation (analyze/moves.c) */
};

struct rewritten {
    struct arena arena;
    struct rewrite_map map;
    struct access_site *sites;
    u32 nsites;
    LIST(struct masked_site) masked;
    struct rewrite_counts counts;
    struct coverage coverage;
    bool here;  /* and still loaded. Atomic. */
    bool taken; /* its slot is, by a module that is about to be rewritten */
    u64 module; /* the loader's */
    u64 text;   /* its address */
    u64 text_bytes, copy_bytes, cold_bytes;
};

#define SITE_RIP (REG_NONE + 1) /* the base of an operand that is relative to where it stands: disp is its address */

enum rewrite_result {
    REWRITTEN,
    REWRITE_NOTHING, /* no access to be checked */
    REWRITE_NO_MEMORY,
    REWRITE_NO_ROOM, /* near the module */
    REWRITE_REFUSED  /* code may not be written or made executable */
};

/* Prepares and patches the module. to: TLS offsets; slow: what call_slow goes to; cells: shadow_cells; first: number of
 * its first check. functions: its code, NULL: as .eh_frame tells. */
enum rewrite_result rewrite_module(struct rewritten *out, const struct image *image, struct check_target *to, u64 slow,
                                   u64 cells, u32 first, const struct code_range *functions, u32 nfunctions)
    __attribute__((visibility("hidden")));
/* Told when a module is prepared, and its text still as it was. Set by rewrite_watch.c. */
extern void (*rewrite_made)(const struct rewritten *m, const struct rewrite *r) __attribute__((visibility("hidden")));
/* Gives back what it takes, the arena too. Nothing may run in it any more. */
void rewritten_drop(struct rewritten *m) __attribute__((visibility("hidden")));
/* Of a check that stands for one: its instruction; NULL: there is none. */
const struct masked_site *rewritten_masked(const struct rewritten *m, u32 site) __attribute__((visibility("hidden")));

#endif
