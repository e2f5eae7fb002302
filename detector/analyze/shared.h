/* Memory that several processes of the run have mapped: what is kept of its accesses, and of releases that reach other
 * processes. Nothing outside detector/analyze includes this.
 *
 * The shadow of a process is its own, and so are the numbers in it. So the cells of such memory all say one thing only,
 * CELL_SHARED, which sends every access to the full way; and what that finds and leaves lies in the run's arena, by object
 * (what is mapped: device and inode), page and granule. Private memory is not looked at in any other way than before.
 *
 * A process begins with this when it is about to have a relative: at a fork, or when it maps something shared while
 * another process of the run is there. Until then the mapping is memory like any other. */
#ifndef SNARL_ANALYZE_SHARED_H
#define SNARL_ANALYZE_SHARED_H

#include "analyze/accesses.h"
#include "analyze/shadow.h"
#include "base/ilock.h"

/* All of the bytes behind this cell are in the arena. A crowd's cell to who does not look closer. */
#define CELL_SHARED (CELL_CROWD | 1ULL << 58)
static SNARL_HOT bool cell_is_shared(u64 cell)
{
    return cell == CELL_SHARED;
}

/* ---- in the arena ---- */

#define SHARED_PAGE_BYTES 4096u
#define SHARED_GRANULES (SHARED_PAGE_BYTES / GRANULE)
#define SHARED_BUCKETS 4096u
#define SHARED_GUARDS 1024u
#define WIDE_BUCKETS 4096u

/* One access. What a killed process leaves half done has no bytes. */
struct shared_record {
    u64 time; /* on `lane` */
    u32 number;
    ref_t thread;
    u16 lane;
    u8 mask; /* 0: none */
    u8 kind; /* of enum access_kind */
    ref_t hold, stack;
    ref_t next;
};

/* A page's granules: of each one record, and a list of more. */
struct shared_page {
    ref_t link;
    ref_t next; /* in the bucket */
    ref_t object;
    u32 reserved;
    u64 number; /* offset in the object / SHARED_PAGE_BYTES */
    u64 reserved2;
    struct shared_record granule[SHARED_GRANULES];
};

/* What is mapped. It lives as long as a living process has it mapped; then its accesses are forgotten. */
struct shared_object {
    ref_t link;
    ref_t next;
    u64 device, inode;
    u32 number;  /* never used again; fewer than 1 << SHARED_NUMBER_BITS */
    u32 forks;   /* children that are being made have it, too */
    u32 writers; /* somebody has mapped it for writing */
    ref_t users;
};

struct shared_user {
    ref_t link;
    ref_t next;
    ref_t process;
    u32 mappings;
};

struct shared_bucket {
    struct ilock lock; /* RANK_SHARED */
    ref_t first;
    u32 reserved;
};

struct shared_run {
    struct shared_bucket objects;
    u32 next_number;
    ref_t written; /* shared_written.c */
    u32 reserved[2];
    struct shared_bucket pages[SHARED_BUCKETS];
    struct shared_bucket guards[SHARED_GUARDS];
    struct shared_bucket releases[WIDE_BUCKETS];
};

/* Made at the first call; NULL when the arena is full. */
struct shared_run *shared_run(void);

/* ---- objects (shared_object.c) ---- */

/* This process maps it, from now on, once more. 0: there is no memory. */
ref_t shared_attach(u64 device, u64 inode, bool writes);
void shared_detach(ref_t object);
/* This process is about to fork: the child will attach to it. */
void shared_forks(ref_t object);
/* In the child. */
void shared_forked(ref_t object, u32 mappings);
/* The page with this offset of the object; NULL: there is no memory. */
struct shared_page *shared_page(ref_t object, u64 offset);
/* What guards one of its granules. */
struct shared_bucket *shared_guard(const struct shared_page *page, u32 granule);
/* What was done to these bytes of the object does not count any more. */
void shared_forget_bytes(ref_t object, u64 offset, u64 size);

/* ---- mappings of this process (shared_map.c) ---- */

extern bool shared_active __attribute__((visibility("hidden"))); /* some of them are looked at here */
/* What lies at addr: its object and the offset in it. False: it is not looked at here. */
bool shared_at(u64 addr, ref_t *object, u64 *offset);
/* Grows whenever that changes. */
extern u32 shared_changes __attribute__((visibility("hidden")));
/* Before a fork; in the child. */
void shared_fork_prepare(struct thread *t);
void shared_fork_parent(struct thread *t);
void shared_fork_child(void);
void shared_fork_uses(void); /* when its record is made */
void shared_fork_watch(struct thread *t);
void shared_process_end(void);
/* What is known of [addr, addr + size) is forgotten. False: it is none of that memory. */
bool shared_forget(u64 addr, u64 size);

/* ---- accesses (shared_cell.c) ---- */

/* t's access of these bytes of the granule at addr. */
void shared_access(struct thread *t, struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack);

/* A record of a granule, made elsewhere. */
void shared_adopt_record(ref_t object, u64 offset, const struct shared_record *record);
/* What the shadow has of this memory, but for what `a` (or NULL) knows (shared_adopt.c). */
void shared_adopt(const struct accesses *a, u64 addr, u64 size, ref_t object, u64 offset);

/* ---- lost updates (shared_written.c); key as in atomicity.c ---- */

struct writer;
void shared_wrote(struct accesses *a, u64 key, ref_t stack);
/* By another thread than that of this number. */
bool shared_written_by_others(u64 key, u32 number);
bool shared_written_last(u64 key, u32 number, u32 uid, struct writer *out);

/* ---- releases that reach other processes (wide.c) ---- */

/* Of an address, widened: in its place the object's number and the offset. */
#define SHARED_NUMBER_BITS 20
#define SHARED_OFFSET_BITS 40
static inline bool hb_is_wide(u64 key)
{
    return key & HB_WIDE;
}
/* The key by which other processes know it, too, if there are such. */
u64 hb_widen_slow(u64 key);
static inline u64 hb_widen(u64 key)
{
    if (snarl_unlikely(shared_active && key >> 60 == HB_ADDRESS))
        return hb_widen_slow(key);
    return key >> 60 == HB_PIPE ? key | HB_WIDE : key;
}
/* Of something in the arena: it is one of several processes, or of this one only. */
static inline u64 hb_object_key(u64 space, const struct object_head *o, u64 number)
{
    return space | number | (o->process ? 0 : HB_WIDE);
}
void wide_leave(struct accesses *a, u64 key, bool replace);
/* True: there was something that the thread did not know. */
bool wide_take(struct accesses *a, u64 key);
bool wide_has(u64 key);
void wide_forget(struct accesses *a, u64 key);

#endif
