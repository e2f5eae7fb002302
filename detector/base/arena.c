/* The run's arena. Called by the engine inside watched programs, and by the CLI for reading.
 * Takes RANK_ARENA; allocates file pages only. */
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sys.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define PAGE 4096ULL
#define CHUNK_BYTES 65536ULL
#define BLOB_BYTES 131072ULL
#define MIN_ARENA (16ULL << 20)

char *arena_base;
static u64 mapped_size;

static u64 limit_of(int what)
{
    struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};
    sys_call6(SYS_prlimit64, 0, what, 0, (long)&r, 0, 0);
    return r.rlim_cur == RLIM_INFINITY ? ~0ULL : r.rlim_cur;
}

static int map_file(int fd, u64 size, int flags)
{
    long p = sys_call6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);
    if (p < 0 && p > -4096)
        return (int)p;
    arena_base = (char *)p;
    mapped_size = size;
    /* Huge pages would charge 2 MiB for the first touched byte. */
    sys_call3(SYS_madvise, p, size, MADV_NOHUGEPAGE);
    return 0;
}

int arena_create(const char *path, u64 size)
{
    u64 file_limit = limit_of(RLIMIT_FSIZE), as_limit = limit_of(RLIMIT_AS);
    if (as_limit != ~0ULL && size > as_limit / 8)
        size = as_limit / 8;
    if (size > file_limit)
        size = file_limit;
    size &= ~(PAGE - 1);
    if (size < MIN_ARENA)
        return -EFBIG;
    int fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fd;
    int err = (int)sys_call3(SYS_ftruncate, fd, size, 0);
    if (!err)
        err = map_file(fd, size, MAP_SHARED);
    sys_close(fd);
    if (err)
        return err;
    struct arena_header *h = arena_header();
    h->header_bytes = (u32)((sizeof *h + PAGE - 1) & ~(PAGE - 1));
    h->size = size;
    h->next = h->header_bytes;
    h->lock.rank = RANK_ARENA;
    h->version = ARENA_VERSION;
    __atomic_store_n(&h->magic, ARENA_MAGIC, __ATOMIC_RELEASE);
    return 0;
}

static int open_mapped(const char *path, int open_flags, int map_flags)
{
    struct stat st;
    int fd = sys_open(path, open_flags | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    int err = (int)sys_call3(SYS_fstat, fd, &st, 0);
    if (!err && (!S_ISREG(st.st_mode) || (u64)st.st_size < sizeof(struct arena_header)))
        err = -EPROTO;
    if (!err)
        err = map_file(fd, (u64)st.st_size, map_flags);
    sys_close(fd);
    if (err)
        return err;
    const struct arena_header *h = arena_header();
    if (h->magic != ARENA_MAGIC || h->version != ARENA_VERSION || h->size > mapped_size ||
        h->nchunks > ARENA_MAX_CHUNKS) {
        arena_close();
        return -EPROTO;
    }
    return 0;
}

int arena_open(const char *path)
{
    return open_mapped(path, O_RDWR, MAP_SHARED);
}

int arena_open_read(const char *path)
{
    return open_mapped(path, O_RDONLY, MAP_PRIVATE);
}

void arena_close(void)
{
    sys_unmap(arena_base, mapped_size);
    arena_base = NULL;
    mapped_size = 0;
}

/* Called with the arena lock held. Returns the byte offset of fresh zeroed pages, or 0. */
static u64 grow(struct arena_header *h, u64 bytes)
{
    bytes = (bytes + PAGE - 1) & ~(PAGE - 1);
    u64 at = h->next;
    if (at + bytes > h->size)
        return 0;
    long r = sys_call3(SYS_madvise, arena_base + at, bytes, MADV_POPULATE_WRITE);
    if (r == -EFAULT || r == -ENOMEM || r == -ENOSPC)
        return 0; /* disk or memory is full; kernels before 5.14 say EINVAL and fault lazily */
    h->next = at + bytes;
    return at;
}

static bool open_chunk(struct arena_header *h, enum arena_pool pool)
{
    struct arena_pool_state *p = &h->pools[pool];
    u64 bytes = CHUNK_BYTES;
    /* Large runs get large chunks: the table of chunks is finite. */
    while (bytes < 64 * CHUNK_BYTES && p->live > 4 * (bytes / p->item_size))
        bytes *= 2;
    if (h->nchunks >= ARENA_MAX_CHUNKS)
        return false;
    u64 at = grow(h, bytes);
    if (!at)
        return false;
    struct arena_chunk *c = &h->chunks[h->nchunks];
    c->first = (ref_t)(at >> 4);
    c->pool = (u16)pool;
    c->items = (u32)(bytes / p->item_size);
    c->used = 0;
    __atomic_store_n(&h->nchunks, h->nchunks + 1, __ATOMIC_RELEASE);
    p->open_chunk = h->nchunks;
    return true;
}

/* Called with the arena lock held, like the next one. */
static ref_t take_item(struct arena_header *h, enum arena_pool pool)
{
    struct arena_pool_state *p = &h->pools[pool];
    ref_t item = p->free_list;
    if (item) {
        p->free_list = *(ref_t *)arena_at(item);
        __builtin_memset(arena_at(item), 0, p->item_size);
    } else {
        struct arena_chunk *c = p->open_chunk ? &h->chunks[p->open_chunk - 1] : NULL;
        if ((c && c->used < c->items) || open_chunk(h, pool)) {
            c = &h->chunks[p->open_chunk - 1];
            item = c->first + c->used * (p->item_size >> 4);
            __atomic_store_n(&c->used, c->used + 1, __ATOMIC_RELEASE);
        }
    }
    if (item)
        p->live++;
    return item;
}

static void give_item(struct arena_pool_state *p, ref_t item)
{
    __builtin_memset(arena_at(item), 0, p->item_size);
    *(ref_t *)arena_at(item) = p->free_list;
    p->free_list = item;
    p->live--;
}

u32 arena_alloc_many(enum arena_pool pool, u32 item_size, ref_t *items, u32 n)
{
    struct arena_header *h = arena_header();
    u64 mask = ilock_acquire(&h->lock);
    if (!h->pools[pool].item_size)
        h->pools[pool].item_size = (item_size + 15) & ~15u;
    u32 got = 0;
    while (got < n && (items[got] = take_item(h, pool)))
        got++;
    if (!got)
        h->exhausted++;
    ilock_release(&h->lock, mask);
    return got;
}

ref_t arena_alloc(enum arena_pool pool, u32 item_size)
{
    ref_t item = 0;
    arena_alloc_many(pool, item_size, &item, 1);
    return item;
}

void arena_free_many(enum arena_pool pool, const ref_t *items, u32 n)
{
    struct arena_header *h = arena_header();
    u64 mask = ilock_acquire(&h->lock);
    for (u32 i = 0; i < n; i++)
        give_item(&h->pools[pool], items[i]);
    ilock_release(&h->lock, mask);
}

void arena_free(enum arena_pool pool, ref_t item)
{
    arena_free_many(pool, &item, 1);
}

ref_t arena_blob(u64 bytes)
{
    struct arena_header *h = arena_header();
    bytes = (bytes + 15) & ~15ULL;
    u64 mask = ilock_acquire(&h->lock);
    if (h->blob_end - h->blob_next < bytes) {
        u64 want = bytes > BLOB_BYTES ? bytes : BLOB_BYTES;
        u64 at = grow(h, want);
        if (at) {
            h->blob_next = at;
            h->blob_end = at + ((want + PAGE - 1) & ~(PAGE - 1));
        }
    }
    ref_t r = 0;
    if (h->blob_end - h->blob_next >= bytes) {
        r = (ref_t)(h->blob_next >> 4);
        h->blob_next += bytes;
    } else {
        h->exhausted++;
    }
    ilock_release(&h->lock, mask);
    return r;
}

ref_t arena_next(enum arena_pool pool, struct arena_cursor *c)
{
    const struct arena_header *h = arena_header();
    u32 nchunks = __atomic_load_n(&h->nchunks, __ATOMIC_ACQUIRE);
    u32 step = h->pools[pool].item_size >> 4;
    for (; c->chunk < nchunks && c->chunk < ARENA_MAX_CHUNKS; c->chunk++, c->item = 0) {
        const struct arena_chunk *k = &h->chunks[c->chunk];
        u32 used = __atomic_load_n(&k->used, __ATOMIC_ACQUIRE);
        if (k->pool == pool && step && c->item < used)
            return k->first + c->item++ * step;
    }
    return 0;
}

const void *arena_check(ref_t r, u64 bytes)
{
    u64 at = (u64)r << 4;
    if (!r || at < sizeof(struct arena_header) || at > mapped_size || bytes > mapped_size - at)
        return NULL;
    /* Pages that were never handed out lie beyond what the file's blocks cover; they read as zeroes, which is
     * harmless. */
    return arena_base + at;
}

u64 arena_used(void)
{
    return arena_header()->next;
}
