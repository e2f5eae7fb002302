/* The table of what releases have left, by key: between hb.c and hb_hold.c. */
#ifndef SNARL_ANALYZE_HB_TABLE_H
#define SNARL_ANALYZE_HB_TABLE_H

#include "analyze/accesses.h"

struct hb_entry {
    u64 key;
    struct sync_clock clock;
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

/* The state of a thread whose accesses are watched, ready for its clock to change; NULL also while it ignores what this
 * key tells. */
struct accesses *hb_listening(struct thread *t, u64 key);
/* Without an entry: joined to what all acquires take over. */
SNARL_COLD void hb_leave_spilled(struct accesses *a);
SNARL_COLD void hb_acquire_spilled(struct accesses *a);
void hb_note_read(struct accesses *a, u64 key);

#endif
