/* Identity of locks that processes share. */
#ifndef SNARL_INTERCEPT_MAPPING_H
#define SNARL_INTERCEPT_MAPPING_H

#include "base/types.h"

/* The engine's shared_key hook: what names the memory at addr in all processes of the run, (device, inode, offset) of
 * its shared mapping; false when it is not shared. Addresses with the top bit set stand for file locks
 * (mapping_file_lock) and are their own name. */
bool mapping_shared_key(u64 addr, u64 key[3]) __attribute__((visibility("hidden")));

/* Memory that processes share has come to be there by other ways than mmap. */
void mapping_segment(void *addr, size_t n, bool writes, const u64 *fp) __attribute__((visibility("hidden")));

#define MAPPING_FILE_LOCK (1ULL << 63)
static inline bool mapping_is_file_lock(u64 addr)
{
    return addr >> 63;
}

#endif
