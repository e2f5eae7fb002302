/* Which file locks this process holds: what the kernel knows and does not tell. Pure bookkeeping for
 * intercept/filelock.c.
 *
 * A POSIX record lock belongs to the process and ends with any close of the file. The others belong to an open file
 * description: every descriptor that is a duplicate of `fd`, in this process or a forked one. Not thread-safe: the
 * caller holds its lock. */
#ifndef SNARL_PRELOAD_FILE_HOLDS_H
#define SNARL_PRELOAD_FILE_HOLDS_H

#include "base/types.h"

enum file_lock_type { FILE_POSIX, FILE_OFD, FILE_FLOCK };

#define FILE_END ~0ULL

/* Bytes start..end, end included; FILE_END: however long the file becomes. */
struct file_range {
    u64 start, end;
};

struct file_hold {
    u64 dev, ino;
    struct file_range range; /* of it, what is still locked; for flock all */
    struct file_range asked; /* as it was asked for: the lock's identity */
    int fd;
    u8 type, mode;  /* enum lock_mode */
    bool inherited; /* over a fork: the parent may hold it still */
};

struct file_holds {
    struct file_hold *item;
    u32 n, cap;
};

/* 0 or -ENOMEM. */
int file_holds_add(struct file_holds *h, const struct file_hold *hold) __attribute__((visibility("hidden")));
void file_holds_remove(struct file_holds *h, u32 index) __attribute__((visibility("hidden")));
/* Takes `range` away from the hold; true when nothing of it is left. A hole in the middle leaves it as it is. */
bool file_hold_cut(struct file_hold *hold, struct file_range range) __attribute__((visibility("hidden")));
/* In a forked child: record locks stayed with the parent. */
void file_holds_after_fork(struct file_holds *h) __attribute__((visibility("hidden")));

/* The bytes that l_start (already counted from the file's begin) and l_len mean; false where the kernel refuses them.
 */
bool file_range_of(int64_t start, int64_t len, struct file_range *out) __attribute__((visibility("hidden")));

static inline bool file_ranges_meet(struct file_range a, struct file_range b)
{
    return a.start <= b.end && b.start <= a.end;
}

#endif
