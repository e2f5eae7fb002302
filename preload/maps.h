/* /proc/self/maps: which mapping lies around an address. Raw system calls; no allocation, no locks. */
#ifndef SNARL_PRELOAD_MAPS_H
#define SNARL_PRELOAD_MAPS_H

#include "base/types.h"

struct maps_entry {
    u64 lo, hi;
    u64 offset, device, inode; /* of what is mapped; device as major << 32 | minor */
    bool shared, writable;
};

/* One line of the file, without its path: "7f12a000-7f12b000 rw-s 00001000 fd:01 4711". False when it is none. */
bool maps_parse(const char *line, u32 length, struct maps_entry *out) __attribute__((visibility("hidden")));
/* The same for the mapping around addr in a file of that form. False when there is none, or the file cannot be read. */
bool maps_find_in(const char *path, u64 addr, struct maps_entry *out) __attribute__((visibility("hidden")));
static inline bool maps_find(u64 addr, struct maps_entry *out)
{
    return maps_find_in("/proc/self/maps", addr, out);
}
/* The same, with the last part of the path of what is mapped; "" if it has none, or one that does not fit. */
bool maps_find_named(u64 addr, struct maps_entry *out, char *name, u32 room) __attribute__((visibility("hidden")));

#endif
