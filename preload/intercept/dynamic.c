/* The "dynamic annotations" that many code bases carry already (dynamic_annotations.h of Google's, and what grew from
 * it), as functions Annotate* with the caller's file and line. Called by the watched program. Takes the engine's locks
 * through custom_lock.c and the engine only.
 *
 * Only programs whose own copy of these functions is not linked in firmly reach these here: an executable that defines
 * them itself (weakly, as dynamic_annotations.c does) binds to its own. See snarl.h(3). */
#include "annotate.h"

#include "analyze/access.h"
#include "blocking.h"
#include "start.h"

/* What the interfaces say the lock may do: a writer may take it again. */
#define RWLOCK_ATTRS ATTR_RECURSIVE

#define DYNAMIC(name, parameters, body)                                                                                \
    EXPORT void name parameters;                                                                                       \
    EXPORT void name parameters                                                                                        \
    {                                                                                                                  \
        (void)file, (void)line;                                                                                        \
        const u64 *fp = INTERCEPTOR_FP();                                                                              \
        struct thread *t = interceptor_enter(fp);                                                                      \
        if (!t)                                                                                                        \
            return;                                                                                                    \
        body;                                                                                                          \
        interceptor_leave(t);                                                                                          \
    }
#define WHERE const char *file, int line
typedef const volatile void *address;

/* ---- order ---- */

#define BEFORE(what) hb_release(t, hb_key(HB_ADDRESS, (u64)(what)))
#define AFTER(what) hb_acquire(t, hb_key(HB_ADDRESS, (u64)(what)))

DYNAMIC(AnnotateHappensBefore, (WHERE, address obj), BEFORE(obj))
DYNAMIC(AnnotateHappensAfter, (WHERE, address obj), AFTER(obj))
DYNAMIC(WTFAnnotateHappensBefore, (WHERE, address obj), BEFORE(obj))
DYNAMIC(WTFAnnotateHappensAfter, (WHERE, address obj), AFTER(obj))
DYNAMIC(AnnotateCondVarSignal, (WHERE, address cv), BEFORE(cv))
DYNAMIC(AnnotateCondVarSignalAll, (WHERE, address cv), BEFORE(cv))
DYNAMIC(AnnotateCondVarWait, (WHERE, address cv, address lock), ((void)lock, AFTER(cv)))
/* A queue: what was done before any put counts for every get; which of them it was is not followed. */
DYNAMIC(AnnotatePCQPut, (WHERE, address pcq), BEFORE(pcq))
DYNAMIC(AnnotatePCQGet, (WHERE, address pcq), AFTER(pcq))
DYNAMIC(AnnotatePCQCreate, (WHERE, address pcq), hb_forget(t, hb_key(HB_ADDRESS, (u64)pcq)))
DYNAMIC(AnnotatePCQDestroy, (WHERE, address pcq), hb_forget(t, hb_key(HB_ADDRESS, (u64)pcq)))

/* ---- locks ---- */

DYNAMIC(AnnotateRWLockCreate, (WHERE, address lock), custom_lock_created(t, (u64)lock, RWLOCK_ATTRS, fp))
DYNAMIC(AnnotateRWLockCreateStatic, (WHERE, address lock), custom_lock_seen(t, (u64)lock, RWLOCK_ATTRS, fp))
DYNAMIC(AnnotateRWLockDestroy, (WHERE, address lock), custom_lock_destroyed(t, (u64)lock, fp))
DYNAMIC(AnnotateRWLockAcquired, (WHERE, address lock, long is_w),
        custom_lock_acquired(t, (u64)lock, is_w ? MODE_EXCLUSIVE : MODE_SHARED, how_here(t, HOW_BLOCK), fp))
DYNAMIC(AnnotateRWLockReleased, (WHERE, address lock, long is_w),
        ((void)is_w, custom_lock_released(t, (u64)lock, false, fp)))

/* ---- accesses and memory ---- */

DYNAMIC(AnnotateBenignRaceSized, (WHERE, address mem, long size, const char *description),
        intended_race(t, (u64)mem, size > 0 ? (u64)size : 0, description))
DYNAMIC(WTFAnnotateBenignRaceSized, (WHERE, address mem, long size, const char *description),
        intended_race(t, (u64)mem, size > 0 ? (u64)size : 0, description))
/* Of the size it says nothing: a race that touches the first byte. */
DYNAMIC(AnnotateBenignRace, (WHERE, address mem, const char *description), intended_race(t, (u64)mem, 1, description))
DYNAMIC(AnnotateIgnoreReadsBegin, (WHERE), access_ignore(t, ACCESS_IGNORE_READS, true))
DYNAMIC(AnnotateIgnoreReadsEnd, (WHERE), access_ignore(t, ACCESS_IGNORE_READS, false))
DYNAMIC(AnnotateIgnoreWritesBegin, (WHERE), access_ignore(t, ACCESS_IGNORE_WRITES, true))
DYNAMIC(AnnotateIgnoreWritesEnd, (WHERE), access_ignore(t, ACCESS_IGNORE_WRITES, false))
DYNAMIC(AnnotateNewMemory, (WHERE, address mem, long size), own_block_new(t, (u64)mem, size > 0 ? (u64)size : 0, fp))
DYNAMIC(AnnotateThreadName, (WHERE, const char *name), name ? thread_set_name(t->rec, name) : (void)0)

/* ---- what means nothing to snarl ----
 *
 * Ignored synchronisation: less order would only add races that are none. A mutex always orders, so it need not be
 * told. Tests' expectations, states to be flushed, traces: of the tool that these were made for. */

#define NOTHING(name, parameters)                                                                                      \
    EXPORT void name parameters;                                                                                       \
    EXPORT void name parameters                                                                                        \
    {                                                                                                                  \
        (void)file, (void)line;                                                                                        \
    }

NOTHING(AnnotateIgnoreSyncBegin, (WHERE))
NOTHING(AnnotateIgnoreSyncEnd, (WHERE))
NOTHING(AnnotateMutexIsUsedAsCondVar, (WHERE, address mu __attribute__((unused))))
NOTHING(AnnotateMutexIsNotPHB, (WHERE, address mu __attribute__((unused))))
NOTHING(AnnotatePublishMemoryRange, (WHERE, address a __attribute__((unused)), long size __attribute__((unused))))
NOTHING(AnnotateUnpublishMemoryRange, (WHERE, address a __attribute__((unused)), long size __attribute__((unused))))
NOTHING(AnnotateMemoryIsInitialized, (WHERE, address a __attribute__((unused)), long size __attribute__((unused))))
NOTHING(AnnotateMemoryIsUninitialized, (WHERE, address a __attribute__((unused)), long size __attribute__((unused))))
NOTHING(AnnotateExpectRace, (WHERE, address a __attribute__((unused)), const char *what __attribute__((unused))))
NOTHING(AnnotateFlushExpectedRaces, (WHERE))
NOTHING(AnnotateFlushState, (WHERE))
NOTHING(AnnotateTraceMemory, (WHERE, address a __attribute__((unused))))
NOTHING(AnnotateNoOp, (WHERE, address a __attribute__((unused))))
NOTHING(AnnotateEnableRaceDetection, (WHERE, int enable __attribute__((unused))))

/* ---- questions ---- */

EXPORT int RunningOnValgrind(void);
EXPORT int RunningOnValgrind(void)
{
    return 0;
}

/* By how much a program should stretch its time limits. */
EXPORT double ValgrindSlowdown(void);
EXPORT double ValgrindSlowdown(void)
{
    return access_on ? 10.0 : 1.0;
}

EXPORT const char *ThreadSanitizerQuery(const char *query);
EXPORT const char *ThreadSanitizerQuery(const char *query)
{
    return query && __builtin_strcmp(query, "pure_happens_before") == 0 ? "1" : "0";
}
