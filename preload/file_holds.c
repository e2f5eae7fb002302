/* Bookkeeping of the file locks that this process holds. Called by intercept/filelock.c with its lock held. Memory by
 * mmap. */
#include "file_holds.h"

#include <errno.h>

#include "base/sys.h"

int file_holds_add(struct file_holds *h, const struct file_hold *hold)
{
    if (h->n == h->cap) {
        u32 cap = h->cap ? h->cap * 2 : 4096 / sizeof *h->item;
        struct file_hold *more = sys_map(cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        if (h->cap) {
            __builtin_memcpy(more, h->item, h->n * sizeof *more);
            sys_unmap(h->item, h->cap * sizeof *more);
        }
        h->item = more;
        h->cap = cap;
    }
    h->item[h->n] = *hold;
    h->n++;
    return 0;
}

void file_holds_remove(struct file_holds *h, u32 index)
{
    h->item[index] = h->item[h->n - 1];
    h->n--;
}

bool file_hold_cut(struct file_hold *hold, struct file_range range)
{
    struct file_range *r = &hold->range;
    if (!file_ranges_meet(*r, range))
        return false;
    if (range.start <= r->start && range.end >= r->end)
        return true;
    if (range.start <= r->start)
        r->start = range.end + 1;
    else if (range.end >= r->end)
        r->end = range.start - 1;
    return false;
}

void file_holds_after_fork(struct file_holds *h)
{
    for (u32 i = h->n; i-- > 0;) {
        if (h->item[i].type == FILE_POSIX)
            file_holds_remove(h, i);
        else
            h->item[i].inherited = true;
    }
}

bool file_range_of(int64_t start, int64_t len, struct file_range *out)
{
    int64_t end;
    if (len < 0) {
        end = start;
        if (__builtin_add_overflow(start, len, &start))
            return false;
    } else if (__builtin_add_overflow(start, len, &end)) {
        return false;
    }
    if (start < 0)
        return false;
    out->start = (u64)start;
    out->end = len ? (u64)end - 1 : FILE_END;
    return true;
}
