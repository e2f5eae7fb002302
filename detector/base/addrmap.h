/* Address -> object record, for one process. Readers take no lock; writers hold the table lock (RANK_TABLE).
 *
 * Open addressing, linear probing. An entry's address is written last and never changes inside one table; removal
 * clears the ref. A full table is replaced; the old one's address range stays for readers that still look at it and
 * find it empty. A reader may see a removed record, or miss one, for a moment: it checks the record's own address and
 * uid, and looks again under the lock. */
#ifndef SNARL_BASE_ADDRMAP_H
#define SNARL_BASE_ADDRMAP_H

#include "types.h"

struct addrmap_entry {
    u64 addr;
    ref_t ref;
    u32 reserved;
};

struct addrmap_table {
    u64 mask;
    u64 used; /* entries with an address, removed ones included */
    struct addrmap_entry entry[];
};

struct addrmap {
    struct addrmap_table *table;
    u64 live;
};

/* The ref stored for addr, or 0. Lock-free. */
ref_t addrmap_get(const struct addrmap *m, u64 addr);
/* Sets or (ref 0) removes. Writer's lock held. 0 or -ENOMEM. */
int addrmap_set(struct addrmap *m, u64 addr, ref_t ref);
/* Forgets everything; for a forked child, where no reader can exist. */
void addrmap_reset(struct addrmap *m);
/* Calls fn for each entry with lo <= addr < hi until it returns false. Writer's lock held. */
void addrmap_each(const struct addrmap *m, u64 lo, u64 hi, bool (*fn)(u64 addr, ref_t ref, void *arg), void *arg);

#endif
