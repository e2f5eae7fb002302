/* The run's arena: one file in the run folder, mapped by every process of the run and, afterwards, by the command line
 * tool.
 *
 * All that snarl knows lives here: threads, locks, orders, stacks, findings. So it survives SIGKILL and _exit, several
 * processes see each other's waits, and nothing has to be written out at the end. References are ref_t (offset / 16),
 * never pointers: each process maps the file where it likes.
 *
 * The file is created sparse with its final size; memory is used as it is touched. New chunks are populated with
 * MADV_POPULATE_WRITE first, so that a full disk is an allocation failure and not a SIGBUS in the watched program.
 *
 * Readers of a finished arena (the CLI) must treat it as hostile: a stray write of the watched program may have hit it.
 * They use arena_check, never arena_at, on a ref that came out of the file. */
#ifndef SNARL_BASE_ARENA_H
#define SNARL_BASE_ARENA_H

#include "ilock.h"
#include "types.h"

#define ARENA_MAGIC 0x314e4552414c4e53ULL /* "SNLAREN1" */
#define ARENA_VERSION 1u
#define ARENA_MAX_CHUNKS 16384u

/* Record pools. item size comes from the record's type at the first allocation; all items of a pool are equally large
 * and each pool can be walked (arena_next). X(name) */
#define ARENA_POOLS(X)                                                                                                 \
    X(PROCESS)                                                                                                         \
    X(THREAD)                                                                                                          \
    X(LOCK)                                                                                                            \
    X(SYNC)                                                                                                            \
    X(NODE)                                                                                                            \
    X(WITNESS)                                                                                                         \
    X(HOLD)                                                                                                            \
    X(SEGMENT)                                                                                                         \
    X(EDGE)                                                                                                            \
    X(MODULE)                                                                                                          \
    X(CLOCK_LEAF)                                                                                                      \
    X(CLOCK_SMALL)                                                                                                     \
    X(CLOCK_MIDDLE)                                                                                                    \
    X(CLOCK_LARGE)                                                                                                     \
    X(CLOCK_HUGE)                                                                                                      \
    X(SHARED_OBJECT)                                                                                                   \
    X(SHARED_USER)                                                                                                     \
    X(SHARED_PAGE)                                                                                                     \
    X(SHARED_RECORD)                                                                                                   \
    X(RELEASE)                                                                                                         \
    X(MEASURE)
enum arena_pool {
#define X(name) POOL_##name,
    ARENA_POOLS(X)
#undef X
        POOL_COUNT
};

struct arena_chunk {
    ref_t first; /* its first item */
    u16 pool;
    u16 used_pad;
    u32 used; /* items handed out so far (freed ones included) */
    u32 items;
};

struct arena_pool_state {
    u32 item_size;   /* bytes, multiple of 16 */
    u32 open_chunk;  /* index + 1 of the chunk being filled */
    ref_t free_list; /* first word of a free item: next free one */
    u32 live;
};

struct arena_header {
    u64 magic;
    u32 version;
    u32 header_bytes;
    u64 size; /* of the file */
    u64 next; /* first byte not yet given to a chunk or blob region */
    u64 blob_next, blob_end;
    struct ilock lock; /* RANK_ARENA */
    u32 exhausted;     /* allocations that failed */
    u32 nchunks;
    ref_t run; /* struct run_state (model/run.h) */
    u32 reserved;
    struct arena_pool_state pools[POOL_COUNT];
    struct arena_chunk chunks[ARENA_MAX_CHUNKS];
};

/* Base of the mapping in this process; NULL before arena_create/arena_open. Written once. */
extern char *arena_base __attribute__((visibility("hidden")));

static inline void *arena_at(ref_t r)
{
    return arena_base + ((u64)r << 4);
}
static inline ref_t arena_ref(const void *p)
{
    return p ? (ref_t)((u64)((const char *)p - arena_base) >> 4) : 0;
}
static inline struct arena_header *arena_header(void)
{
    return (struct arena_header *)arena_base;
}

/* Creates the file (O_EXCL, 0600) with at most `size` bytes, less where limits ask for it, and maps it. 0 or -errno. */
int arena_create(const char *path, u64 size);
/* Maps an existing one for writing (watched process). Refuses other versions. 0 or -errno. */
int arena_open(const char *path);
/* Maps a private copy-on-write view for reading (CLI). 0 or -errno; -EPROTO when it is no arena of this version. */
int arena_open_read(const char *path);
void arena_close(void);

/* A zeroed item of the pool, or 0 when the arena is exhausted (counted). Takes RANK_ARENA. */
ref_t arena_alloc(enum arena_pool pool, u32 item_size);
/* Gives an item back; the caller guarantees that nothing refers to it. */
void arena_free(enum arena_pool pool, ref_t item);
/* The same for up to n at once; arena_alloc_many returns how many there were. */
u32 arena_alloc_many(enum arena_pool pool, u32 item_size, ref_t *items, u32 n);
void arena_free_many(enum arena_pool pool, const ref_t *items, u32 n);
/* A zeroed variable-size piece that is never freed (stacks, strings, findings), or 0. */
ref_t arena_blob(u64 bytes);

/* Walks a pool: start with cursor {0}; returns 0 at the end. Freed items are included: records carry their own
 * liveness. */
struct arena_cursor {
    u32 chunk, item;
};
ref_t arena_next(enum arena_pool pool, struct arena_cursor *c);

/* For readers: a pointer to `bytes` readable bytes at r, or NULL when that is not inside the file. */
const void *arena_check(ref_t r, u64 bytes);

/* Bytes handed out so far. */
u64 arena_used(void);

#endif
