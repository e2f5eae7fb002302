/* The weak order: what would still be in order if critical sections had come in another order. An access that is before
 * another one only because a lock happened to be taken in this order is as unprotected as one that races
 * (unprotected.c). It is WDC of SmartTrack (Roemer, Genc, Bond 2020), without its rule (b):
 *
 *   - what a thread does is in order, and whatever is no lock orders as it does in the strong order (creation, join,
 *     atomics, semaphores, barriers, once, pipes, annotations);
 *   - a release of a lock is before an access in a later section of that lock if the two sections touch the same data.
 *
 * More is taken to be in order than WDC says, never less, so that what is reported has no explanation in the program:
 *
 *   - To touch the same data is enough, no write is needed.
 *   - A section in which the thread writes nothing that snarl sees, its own stack left aside, and meets nothing of
 *     another section of the lock, may be about data that snarl does not see (a queue in a library): after it, the
 *     thread knows all that came before it, and what it leaves is known to all who take the lock. So is an empty section,
 *     and one that begins with the return from a condition wait.
 *   - What releases for readers leave is known to all who take the lock for writing.
 *   - Locks of the libraries (FILE, once, static guards, file locks), of other processes, and those too many to keep
 *     order always.
 *
 * A thread that is made inside a section, and its creator still there, is in the section, too.
 *
 * Each thread has a second clock for it, a twin of the first (model/clock.h), which never knows more. That two sections
 * touch the same data shows in the shadow: an access meets another thread's slot whose epoch has a lock that is held now.
 * The release of that section is found in the lock's list of last releases; when it has been forgotten, the thread takes
 * over all that the lock's last holder knew. A slot goes away when a later access says more than it does, and what it
 * said of its sections with it. So whoever knows of an access in a section has to know of the section's end, too: of the
 * release, if the section is over, else the next release of the lock leaves all it knows to all.
 *
 * What is lost from the shadow (too many epochs, memory) would be missed here: then every thread takes over its strong
 * clock, and all locks order once more all that was before (weak_forget). */
#ifndef SNARL_ANALYZE_WEAK_H
#define SNARL_ANALYZE_WEAK_H

#include "analyze/accesses.h"

#define WEAK_SECTIONS 32u /* held at a time; those beyond order always */

#define WEAK_AROUND 8u

/* A lock that is held. */
struct weak_section {
    ref_t lock;
    u32 writes; /* of the thread (accesses.writes), when it was taken */
    bool met;   /* data of another section */
};

struct weak {
    struct clock clock;
    struct sync_clock fence; /* what the last release fence has seen */
    u32 forgotten;           /* how much was, when the thread last looked */
    u32 nsections;
    bool unmet; /* of some of them no data of another section was met */
    struct weak_section sections[WEAK_SECTIONS];
    u64 found; /* accesses in lucky order only, told or not */
    /* Sections that the thread was made in, or its creator was. While their holder has not left them, it is in them. */
    u32 naround;
    struct weak_around {
        ref_t lock, holder;
        u32 section; /* lock_rec.section */
    } around[WEAK_AROUND];
};

extern bool weak_off __attribute__((visibility("hidden")));      /* tests turn it off */
extern u32 weak_limit __attribute__((visibility("hidden")));     /* locks with a list; tests lower it */
extern u32 weak_releases __attribute__((visibility("hidden")));  /* kept for each; tests lower it */
extern u32 weak_forgotten __attribute__((visibility("hidden"))); /* how often something was */

int weak_start(void);
/* The thread's state for its next life, NULL when races are not looked for. */
struct weak *weak_state(struct accesses *a);
/* `a` has made the thread of `child`. */
void weak_created(const struct accesses *a, struct accesses *child);
void weak_end(struct accesses *a);
void weak_forked(void);
void weak_forked_thread(struct accesses *a);
/* Something is no longer in the shadow that was done there. */
static inline void weak_forget(void)
{
    __atomic_add_fetch(&weak_forgotten, 1, __ATOMIC_SEQ_CST);
}

static inline void accesses_lost(void)
{
    run_lost(LOSS_epochs_reused);
    weak_forget();
}

/* ---- the thread's clock; only with a->weak ---- */
/* Before it is used. */
SNARL_COLD void weak_forgets(struct accesses *a);
static inline struct clock *weak_clock(struct accesses *a)
{
    if (snarl_unlikely(a->weak->forgotten != __atomic_load_n(&weak_forgotten, __ATOMIC_RELAXED)))
        weak_forgets(a);
    return &a->weak->clock;
}
static inline void weak_learn(struct accesses *a, const struct sync_clock *s)
{
    if (clock_acquire(weak_clock(a), s))
        accesses_learned(a);
}
/* What the strong order has left: who knows its time in the weak one need not know the rest. */
static inline void weak_learn_strong(struct accesses *a, const struct sync_clock *s)
{
    if (s->time && clock_acquire_slow(weak_clock(a), s))
        accesses_learned(a);
}
static inline void weak_leave(struct accesses *a, struct sync_clock *s)
{
    struct clock *c = weak_clock(a);
    clock_share(c, &a->clock);
    clock_release(c, s);
}

/* ---- locks ---- */
/* Soon: what is kept of it has mostly been another processor's. */
void weak_prefetch(const struct lock_rec *l);
/* After the strong clock has learned what l's last holder left. */
void weak_acquired(struct accesses *a, struct lock_rec *l, enum lock_mode mode);
/* Before l->clock changes. */
void weak_release(struct thread *t, struct accesses *a, struct lock_rec *l, enum lock_mode mode);
void weak_lock_gone(struct accesses *a, struct lock_rec *l);
static inline bool access_writes_plainly(u32 kind)
{
    return (kind & (ACCESS_WRITE | ACCESS_ATOMIC)) == ACCESS_WRITE;
}
static inline u64 weak_write_key(u64 addr, u64 pc)
{
    return addr ^ pc * 0x9e3779b97f4a7c15ULL;
}
/* t writes at addr, by the instruction at pc, with LOCKED_UNWRITTEN; or makes any access, with LOCKED_WRITTEN. */
void weak_write(const struct thread *t, struct accesses *a, u64 addr, u64 pc);
/* The write that was made just now counts. */
static inline void weak_written(struct accesses *a)
{
    if (!(a->locked & LOCKED_WRITTEN))
        return;
    a->locked &= ~(u32)LOCKED_WRITTEN;
    a->writes++;
}

/* ---- accesses ---- */
/* e is before, in the strong order. And in the weak one, and nothing of its sections is unknown? Learns what the locks
 * held now order. */
bool weak_before(struct accesses *a, const struct epoch *e);
/* The same for an access that conflicts: the sections that have shown nothing yet may have been taken for it, and of
 * others something may have been lost from the shadow since they began. */
bool weak_before_all(struct accesses *a, const struct epoch *e);

/* An access races with another one. What that thread did before, in a section of a lock that is held now, it may have
 * done again outside of it, and only that is left in the shadow: the locks order all that came before. */
void weak_meets_race(struct accesses *a);
/* The same; and the access takes the place of e in the shadow. */
void weak_raced(struct accesses *a, const struct epoch *e);

/* ---- unprotected.c ---- */
/* As race_found; the two are in order by luck only. After it they are in order. */
found_fn unprotected_found;

#endif
