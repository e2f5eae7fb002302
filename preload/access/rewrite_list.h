/* Growing arrays for the time in which a module is prepared. Memory comes from the system; no lock. */
#ifndef SNARL_ACCESS_REWRITE_LIST_H
#define SNARL_ACCESS_REWRITE_LIST_H

#include <sys/mman.h>

#include "base/sys.h"
#include "base/types.h"

struct list_memory {
    u64 bytes;
};

/* A list of T: item[0] to item[n - 1]. All zero is an empty one. */
#define LIST(T)                                                                                                        \
    struct {                                                                                                           \
        T *item;                                                                                                       \
        u32 n;                                                                                                         \
        struct list_memory memory;                                                                                     \
    }

/* Makes room for `bytes`; NULL when the system refuses, and p stays as it is. */
static inline void *list_room(void *p, struct list_memory *m, u64 bytes)
{
    if (bytes <= m->bytes)
        return p;
    u64 want = m->bytes * 2 > 65536 ? m->bytes * 2 : 65536;
    if (want < bytes)
        want = (bytes + 4095) & ~4095ULL;
    long r = p ? sys_call6(SYS_mremap, (long)p, (long)m->bytes, (long)want, MREMAP_MAYMOVE, 0, 0) : (long)sys_map(want);
    if (!r || (r < 0 && r > -4096))
        return NULL;
    m->bytes = want;
    return (void *)r;
}

/* Room for one item more; false when there is no memory. Then list_add(l) = value. */
#define LIST_GROW(l) LIST_HOLD(l, (l)->n + 1ULL)
#define LIST_HOLD(l, count)                                                                                            \
    __extension__({                                                                                                    \
        void *list_p_ = list_room((l)->item, &(l)->memory, (count) * sizeof *(l)->item);                               \
        if (list_p_)                                                                                                   \
            (l)->item = list_p_;                                                                                       \
        list_p_ != NULL;                                                                                               \
    })
#define LIST_FREE(l)                                                                                                   \
    do {                                                                                                               \
        sys_unmap((l)->item, (l)->memory.bytes);                                                                       \
        (l)->item = NULL;                                                                                              \
        (l)->n = 0;                                                                                                    \
        (l)->memory.bytes = 0;                                                                                         \
    } while (0)

#endif
