/* The table of what releases have left, by key: between hb.c, hb_hold.c and hb_locks.c. */
#ifndef SNARL_ANALYZE_HB_TABLE_H
#define SNARL_ANALYZE_HB_TABLE_H

#include "analyze/accesses.h"
#include "analyze/shared.h"
#include "analyze/weak.h"

/* Keys beside the spaces of enum hb_space. */
#define HB_READERS (8ULL << 60)
#define HB_BARRIER (9ULL << 60)
#define HB_THREAD (10ULL << 60)
#define HB_SEMAPHORE (11ULL << 60)

struct hb_entry {
    u64 key;
    struct sync_clock clock, weak; /* in both orders (weak.h) */
    u32 next;
    u32 reserved;
};

extern struct hb_entry *hb_entries __attribute__((visibility("hidden")));

static inline struct hb_entry *hb_entry_find(const struct hb_bucket *b, u64 key)
{
    for (u32 i = b->first; i; i = hb_entries[i].next)
        if (hb_entries[i].key == key)
            return &hb_entries[i];
    return NULL;
}
/* Under the bucket's guard. NULL: there are no more. */
struct hb_entry *hb_entry_make(struct hb_bucket *b, u64 key);

/* The guard, for a few loads and stores. */
void hb_bucket_take(struct hb_bucket *b);
static inline struct hb_bucket *hb_bucket_enter(u64 key)
{
    struct hb_bucket *b = hb_bucket(key);
    hb_bucket_take(b);
    return b;
}
static inline void hb_bucket_leave(struct hb_bucket *b)
{
    __atomic_store_n(&b->word, b->word + (HB_STEP - HB_HELD), __ATOMIC_RELEASE);
}

/* The state of a thread whose accesses are watched, ready for its clock to change; else NULL. */
static inline struct accesses *hb_watched(struct thread *t)
{
    struct accesses *a = access_on ? accesses_of(t) : NULL;
    if (a)
        accesses_flush(t, a);
    return a;
}
/* The same; NULL also while it ignores what this key tells (access_ignore). The engine's own keys always count. */
struct accesses *hb_listening(struct thread *t, u64 key);
/* Without an entry: joined to what all acquires take over. */
SNARL_COLD void hb_leave_spilled(struct accesses *a);
SNARL_COLD void hb_acquire_spilled(struct accesses *a);
void hb_note_read(struct accesses *a, u64 key);
/* A release without the tick that has to follow; replace: of what was left before. */
void hb_leave(struct accesses *a, u64 key, bool replace);
/* An acquire. True: there was something that the thread did not know. */
bool hb_take(struct accesses *a, u64 key);

/* ---- in both orders ---- */

static inline void hb_tick(struct accesses *a)
{
    clock_tick(&a->clock);
    lives_tick(a);
    if (a->weak)
        clock_tick(&a->weak->clock);
    accesses_new_epoch(a, true);
}
static inline void hb_join_left(struct accesses *a, struct hb_entry *e)
{
    clock_release_join(&a->clock, &e->clock);
    if (a->weak)
        clock_release_join(weak_clock(a), &e->weak);
}
static inline void hb_replace_left(struct accesses *a, struct sync_clock *s, struct sync_clock *weak)
{
    clock_release(&a->clock, s);
    if (a->weak)
        weak_leave(a, weak);
}
/* True: in the strong order there was something that the thread did not know. */
static inline bool hb_take_left(struct accesses *a, const struct hb_entry *e)
{
    if (a->weak)
        weak_learn(a, &e->weak);
    if (!clock_acquire(&a->clock, &e->clock))
        return false;
    accesses_learned(a);
    return true;
}
/* What the last release fence has seen, as the first thing that is left in e. */
static inline void hb_copy_fence(struct accesses *a, struct hb_entry *e)
{
    sync_clock_copy(&a->clock, &e->clock, &a->fence);
    if (a->weak)
        sync_clock_copy(&a->weak->clock, &e->weak, &a->weak->fence);
}
static inline void hb_leave_and_tick(struct accesses *a, u64 key, bool replace)
{
    hb_leave(a, key, replace);
    hb_tick(a);
}

#endif
