/* What annotations say about accesses: each with the twin that does not say it.
 *
 * A hand-over that nothing but the annotation shows.
 * @case order_told order told
 * @clean
 * @case order_untold order
 * @finding data-race memory=payload side=writes side=reads
 * @case order_dynamic order dynamic
 * @clean
 * Only what came before the release, and only at the same address.
 * @case order_too_late order too_late
 * @finding data-race memory=payload side=writes side=reads
 * @case order_elsewhere order elsewhere
 * @finding data-race memory=payload side=writes side=reads
 * @case queue_told queue told
 * @clean
 * @case queue_untold queue
 * @finding data-race memory=payload side=writes side=reads
 *
 * Locks of the program's own making.
 * @case lock_told lock told
 * @clean
 * @case lock_untold lock
 * @finding data-race memory=payload side=adds
 * @case lock_dynamic lock dynamic
 * @clean
 * Two locks guard nothing together.
 * @case lock_two lock told two
 * @finding data-race memory=payload side=adds
 * Readers beside each other, a writer alone.
 * @case lock_readers readers told
 * @clean
 * A reader that writes.
 * @case lock_reader_writes readers told writes
 * @finding data-race memory=payload side=adds_as_reader
 *
 * @case intended intended told
 * @clean
 * @case intended_not intended
 * @finding data-race memory=payload
 * @case intended_dynamic intended dynamic
 * @clean
 * What lies beside it is not meant.
 * @case intended_beside beside told
 * @finding data-race memory=other
 *
 * @case ignored_writes ignored_writes told
 * @clean
 * @case ignored_reads ignored_reads told
 * @clean
 * @case ignored_not ignored_reads
 * @finding data-race memory=payload
 * Only reads are ignored, or the section has ended.
 * @case ignored_others ignored_others told
 * @finding data-race memory=payload
 * @case ignored_before ignored_before told
 * @finding data-race memory=payload
 *
 * Blocks of an allocator that the compiler's runtime does not know.
 * @case block_told block told
 * @clean
 * @case block_untold block
 * @finding data-race
 * @case block_dynamic block dynamic
 * @clean
 * @case block_used_after used_after told
 * @finding data-race side=takes_back side=reads_late
 */
#include "case.h"

#include <snarl/snarl.h>

#define WHERE const char *file, int line
typedef const volatile void *address;
extern void AnnotateHappensBefore(WHERE, address object) __attribute__((weak));
extern void AnnotateHappensAfter(WHERE, address object) __attribute__((weak));
extern void AnnotatePCQPut(WHERE, address queue) __attribute__((weak));
extern void AnnotatePCQGet(WHERE, address queue) __attribute__((weak));
extern void AnnotateRWLockAcquired(WHERE, address rwlock, long is_w) __attribute__((weak));
extern void AnnotateRWLockReleased(WHERE, address rwlock, long is_w) __attribute__((weak));
extern void AnnotateBenignRaceSized(WHERE, address memory, long size, const char *what) __attribute__((weak));
extern void AnnotateNewMemory(WHERE, address memory, long size) __attribute__((weak));
#define TELL(function, ...)                                                                                            \
    do {                                                                                                               \
        if (function)                                                                                                  \
            function(__FILE__, __LINE__, __VA_ARGS__);                                                                 \
    } while (0)

static int payload, other, flag, elsewhere;
static char **words;

static int said(const char *word)
{
    for (int i = 2; words[i - 1] && words[i]; i++)
        if (!strcmp(words[i], word))
            return 1;
    return 0;
}

static NOINLINE void put(int *p)
{
    *p += 1;
}

static NOINLINE void set(int *p)
{
    *(volatile int *)p = 1;
}

static NOINLINE int look(const int *p)
{
    return *(const volatile int *)p;
}

/* ---- order ---- */

static NOINLINE void *writes(void *unused)
{
    put(&payload);
    if (said("told"))
        snarl_happens_before(&flag);
    if (said("dynamic"))
        TELL(AnnotateHappensBefore, &flag);
    if (said("elsewhere"))
        snarl_happens_before(&elsewhere);
    if (said("too_late")) {
        snarl_happens_before(&flag);
        put(&payload);
    }
    if (shape_is(words, "queue") && said("told"))
        TELL(AnnotatePCQPut, &flag);
    step_done(1);
    return unused;
}

static NOINLINE void *reads(void *unused)
{
    step_wait(1);
    if (shape_is(words, "queue") && said("told"))
        TELL(AnnotatePCQGet, &flag);
    else if (said("told") || said("too_late") || said("elsewhere"))
        snarl_happens_after(&flag);
    if (said("dynamic"))
        TELL(AnnotateHappensAfter, &flag);
    look(&payload);
    return unused;
}

/* ---- locks ---- */

static int locks[2];

static void take(int *l, unsigned how)
{
    if (said("told"))
        snarl_lock_acquiring(l, how);
    while (word_swap(l, 1))
        nap_ms(1);
    if (how == SNARL_SHARED)
        word_swap(l, 0); /* a lock for readers is this one's moment of entering */
    if (said("told"))
        snarl_lock_acquired(l, how);
    if (said("dynamic"))
        TELL(AnnotateRWLockAcquired, l, how == SNARL_EXCLUSIVE);
}

static void give(int *l)
{
    if (said("told"))
        snarl_lock_released(l);
    if (said("dynamic"))
        TELL(AnnotateRWLockReleased, l, 1);
    word_swap(l, 0);
}

static NOINLINE void *adds(void *second)
{
    int *l = &locks[said("two") && second];
    if (second)
        step_wait(1);
    for (int i = 0; i < 3; i++) {
        take(l, SNARL_EXCLUSIVE);
        put(&payload);
        give(l);
    }
    step_done(1);
    return second;
}

static NOINLINE void *adds_as_reader(void *second)
{
    if (second)
        step_wait(1);
    take(&locks[0], SNARL_SHARED);
    if (said("writes"))
        put(&payload);
    else
        look(&payload);
    give(&locks[0]);
    step_done(second ? 2 : 1);
    return second;
}

static NOINLINE void *adds_as_writer(void *unused)
{
    step_wait(2);
    take(&locks[0], SNARL_EXCLUSIVE);
    put(&payload);
    give(&locks[0]);
    return unused;
}

/* ---- what is not to be reported ---- */

static NOINLINE void *touches(void *second)
{
    int reading = shape_is(words, "ignored_reads") || shape_is(words, "ignored_others"), told = said("told");
    if (second)
        step_wait(1);
    if (second && told && reading)
        snarl_ignore_reads_begin();
    if (second && told && (shape_is(words, "ignored_writes") || shape_is(words, "ignored_before")))
        snarl_ignore_writes_begin();
    if (shape_is(words, "ignored_before") && second)
        snarl_ignore_writes_end();
    if (second && shape_is(words, "ignored_reads"))
        look(&payload);
    else
        set(shape_is(words, "beside") ? &other : &payload);
    if (second && told && reading)
        snarl_ignore_reads_end();
    if (second && told && shape_is(words, "ignored_writes"))
        snarl_ignore_writes_end();
    step_done(1);
    return second;
}

/* ---- blocks ---- */

static int block[16];

static NOINLINE void *owns(void *second)
{
    if (second)
        step_wait(1);
    if (said("told"))
        snarl_block_new(block, sizeof block);
    if (said("dynamic"))
        TELL(AnnotateNewMemory, block, sizeof block);
    for (int i = 0; i < 16; i++)
        put(&block[i]);
    step_done(1);
    return second;
}

static NOINLINE void *takes_back(void *unused)
{
    snarl_block_new(block, sizeof block);
    snarl_block_gone(block, sizeof block);
    step_done(1);
    return unused;
}

static NOINLINE void *reads_late(void *unused)
{
    step_wait(1);
    look(&block[3]);
    return unused;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        case_routine routine[3];
    } shapes[] = {{"order", {writes, reads}}, {"queue", {writes, reads}},
                  {"lock", {adds, adds}},     {"readers", {adds_as_reader, adds_as_reader, adds_as_writer}},
                  {"block", {owns, owns}},    {"used_after", {takes_back, reads_late}},
                  {"", {touches, touches}}};
    static int second;
    size_t i = 0;
    pthread_t t[3];
    words = argv;
    if (argc > 2 && said("told") && !strcmp(argv[1], "intended"))
        snarl_intended_race(&payload, sizeof payload, "a case");
    if (argc > 2 && said("told") && !strcmp(argv[1], "beside"))
        snarl_intended_race(&payload, sizeof payload, "a case");
    if (argc > 2 && said("dynamic") && !strcmp(argv[1], "intended"))
        TELL(AnnotateBenignRaceSized, &payload, sizeof payload, "a case");
    while (*shapes[i].name && strcmp(argv[1], shapes[i].name))
        i++;
    for (int k = 0; k < 3 && shapes[i].routine[k]; k++)
        t[k] = start(shapes[i].routine[k], k ? &second : NULL);
    for (int k = 0; k < 3 && shapes[i].routine[k]; k++)
        join(t[k]);
    return 0;
}
