/* The guards of the table of releases, and atomic operations done under them. Called by hb.c and by the sensor of
 * atomics. Waits for a guard, takes no other lock but that of what is spilled. */
#include "analyze/hb_table.h"

#define SPINS 128u
#define PATIENCE_NS 300000000ULL /* a holder that only waits for a processor is back by then */

static SNARL_HOT bool bucket_try(struct hb_bucket *b, u32 from, u32 *word)
{
    *word = ((from | HB_HELD | HB_OPEN) ^ HB_OPEN) + HB_STEP * (from & HB_HELD);
    return __atomic_compare_exchange_n(&b->word, &from, *word, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* True: somebody has held it open for so long that he must have left it. */
static SNARL_COLD bool bucket_wait(struct hb_bucket *b, u32 *word)
{
    u64 since = 0;
    u32 last = 0;
    for (u32 n = 0;; n++) {
        u32 now = __atomic_load_n(&b->word, __ATOMIC_RELAXED);
        if (!(now & HB_HELD) && bucket_try(b, now, word))
            return false;
        if (now != last || !(now & HB_OPEN) || n < SPINS)
            since = 0;
        else if (!since)
            since = sys_now();
        else if (sys_now() - since > PATIENCE_NS && bucket_try(b, now, word))
            return true;
        last = now;
        if (n < SPINS)
            __builtin_ia32_pause();
        else
            sys_call3(SYS_sched_yield, 0, 0, 0);
    }
}

void hb_bucket_take(struct hb_bucket *b)
{
    u32 word;
    if (snarl_unlikely(!bucket_try(b, __atomic_load_n(&b->word, __ATOMIC_RELAXED) & ~(HB_HELD | HB_OPEN), &word)))
        bucket_wait(b, &word);
}

/* ---- of memory that processes share (wide.c) ---- */

static struct hb_bucket wide; /* stands for all */

static SNARL_COLD void wide_tell(struct hb_hold *h, u32 what)
{
    struct accesses *a = h->state;
    h->word = what & (HB_ACQUIRE | HB_READ);
    if (!(what & HB_RELEASE) && !((what & HB_WRITE) && a->fence.time))
        return;
    wide_leave(a, h->key, false);
    hb_tick(a);
}

/* After the operation. */
static SNARL_COLD void wide_give(struct hb_hold *h)
{
    if (h->word & HB_ACQUIRE)
        wide_take(h->state, h->key);
    else if (h->word & HB_READ)
        hb_note_read(h->state, h->key);
}

/* ---- atomic operations ---- */

void hb_hold_take(struct hb_hold *h, struct thread *t, u64 key)
{
    h->bucket = NULL;
    h->state = hb_listening(t, key);
    if (!h->state)
        return;
    h->key = key = hb_widen(key);
    h->overruled = false;
    if (hb_is_wide(key)) {
        h->bucket = &wide;
        return;
    }
    struct hb_bucket *b = hb_bucket(key);
    if (snarl_unlikely(!bucket_try(b, __atomic_load_n(&b->word, __ATOMIC_RELAXED) & ~(HB_HELD | HB_OPEN), &h->word)))
        h->overruled = bucket_wait(b, &h->word);
    h->bucket = b;
}

static void leave(const struct hb_hold *h, struct hb_entry *e, bool replace)
{
    struct accesses *a = h->state;
    if (!e && !(e = hb_entry_make(h->bucket, h->key)))
        hb_leave_spilled(a);
    else if (replace && snarl_likely(!h->overruled))
        hb_replace_left(a, &e->clock, &e->weak);
    else
        hb_join_left(a, e);
    hb_tick(a);
}

/* What the fence has seen; what another thread left there before is kept, by leaving somewhat more. */
static SNARL_COLD void leave_fence(const struct hb_hold *h, struct hb_entry *e)
{
    struct accesses *a = h->state;
    if (!e)
        e = hb_entry_make(h->bucket, h->key);
    if (e && !e->clock.time)
        hb_copy_fence(a, e);
    else
        leave(h, e, false);
}

void hb_hold_tell(struct hb_hold *h, u32 what)
{
    struct accesses *a = h->state;
    struct hb_bucket *b = h->bucket;
    if (!b)
        return;
    if (snarl_unlikely(b == &wide)) {
        wide_tell(h, what);
        return;
    }
    struct hb_entry *e = hb_entry_find(b, h->key);
    if ((what & HB_ACQUIRE) && snarl_unlikely(__atomic_load_n(&hb_spilled, __ATOMIC_RELAXED)))
        hb_acquire_spilled(a);
    if ((what & HB_ACQUIRE) && e)
        hb_take_left(a, e);
    else if ((what & HB_READ) && e)
        hb_note_read(a, h->key);
    if (what & HB_RELEASE)
        leave(h, e, what & HB_REPLACE);
    else if ((what & HB_WRITE) && a->fence.time)
        leave_fence(h, e);
    h->word |= HB_OPEN;
    __atomic_store_n(&b->word, h->word, __ATOMIC_RELEASE);
}

void hb_hold_give(struct hb_hold *h)
{
    struct hb_bucket *b = h->bucket;
    if (snarl_unlikely(b == &wide))
        wide_give(h);
    else if (b && snarl_likely(__atomic_load_n(&b->word, __ATOMIC_RELAXED) == h->word))
        __atomic_store_n(&b->word, (h->word & ~(HB_HELD | HB_OPEN)) + HB_STEP, __ATOMIC_RELEASE);
}

/* ---- loads ---- */

#define CHAIN_MOST 64u

/* The guard may be another thread's meanwhile. */
static SNARL_HOT bool knew(const struct clock *c, const struct sync_clock *s)
{
    u32 lane = __atomic_load_n(&s->lane, __ATOMIC_RELAXED);
    return lane <= CLOCK_LANES && __atomic_load_n(&s->time, __ATOMIC_RELAXED) <= c->times[lane];
}

bool hb_knew(struct thread *t, u64 key, u32 word)
{
    struct hb_bucket *b = hb_bucket(key);
    struct accesses *a = hb_listening(t, key);
    u32 i = __atomic_load_n(&b->first, __ATOMIC_RELAXED), n = 0;
    if ((word & HB_HELD) || hb_is_wide(hb_widen(key)) || __atomic_load_n(&hb_spilled, __ATOMIC_RELAXED))
        return false;
    for (; a && i && hb_entries[i].key != key; i = __atomic_load_n(&hb_entries[i].next, __ATOMIC_RELAXED))
        if (++n > CHAIN_MOST)
            return false;
    if (a && i && !(knew(&a->clock, &hb_entries[i].clock) && (!a->weak || knew(&a->weak->clock, &hb_entries[i].weak))))
        return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&b->word, __ATOMIC_RELAXED) == word;
}
