/* The annotations that code bases carry already: functions Annotate*, here found in libsnarl and nowhere else.
 *
 * @case dynamic_inversion inversion
 * @finding lock-order verdict=possible locks=first,second side=one side=two counts=yes
 * @status 66
 * @case dynamic_same_order same_order
 * @clean
 * A writer may take such a lock again.
 * @case dynamic_again again
 * @clean
 * @case dynamic_readers readers
 * @clean
 * @case dynamic_static static
 * @finding lock-order locks=first,second
 * @case dynamic_not_locked not_locked
 * @finding lock-misuse:unlock-not-locked locks=first
 * @case dynamic_destroy_locked destroy_locked
 * @finding lock-misuse:destroy-locked locks=first
 * @case dynamic_others others
 * @clean
 * @case dynamic_questions questions
 * @clean
 */
#include "case.h"

#define WHERE const char *file, int line
typedef const volatile void *address;
#define WEAK __attribute__((weak))

WEAK void AnnotateRWLockCreate(WHERE, address lock);
WEAK void AnnotateRWLockCreateStatic(WHERE, address lock);
WEAK void AnnotateRWLockDestroy(WHERE, address lock);
WEAK void AnnotateRWLockAcquired(WHERE, address lock, long is_w);
WEAK void AnnotateRWLockReleased(WHERE, address lock, long is_w);
WEAK void AnnotateHappensBefore(WHERE, address object);
WEAK void AnnotateHappensAfter(WHERE, address object);
WEAK void AnnotatePCQCreate(WHERE, address queue);
WEAK void AnnotatePCQPut(WHERE, address queue);
WEAK void AnnotatePCQGet(WHERE, address queue);
WEAK void AnnotatePCQDestroy(WHERE, address queue);
WEAK void AnnotateNewMemory(WHERE, address memory, long size);
WEAK void AnnotateBenignRace(WHERE, address memory, const char *what);
WEAK void AnnotateBenignRaceSized(WHERE, address memory, long size, const char *what);
WEAK void AnnotateThreadName(WHERE, const char *name);
WEAK void AnnotateIgnoreSyncBegin(WHERE);
WEAK void AnnotateIgnoreSyncEnd(WHERE);
WEAK void WTFAnnotateHappensBefore(WHERE, address object);
WEAK int RunningOnValgrind(void);
WEAK double ValgrindSlowdown(void);

/* As the macros of dynamic_annotations.h do, where the tool is not linked in. */
#define TELL(function, ...)                                                                                            \
    do {                                                                                                               \
        if (function)                                                                                                  \
            function(__FILE__, __LINE__, ##__VA_ARGS__);                                                               \
    } while (0)

static int first, second;
static long writer = 1;

static int *word(int i)
{
    return i ? &second : &first;
}

static void take(int i)
{
    while (writer && __atomic_exchange_n(word(i), 1, __ATOMIC_ACQUIRE))
        nap_ms(1);
    TELL(AnnotateRWLockAcquired, word(i), writer);
}

static void give(int i)
{
    TELL(AnnotateRWLockReleased, word(i), writer);
    __atomic_store_n(word(i), 0, __ATOMIC_RELEASE);
}

static NOINLINE void nest(int outer)
{
    take(outer);
    take(!outer);
    give(!outer);
    give(outer);
}

static NOINLINE void *one(void *unused)
{
    nest(0);
    step_done(1);
    return unused;
}

static NOINLINE void *two(void *shape)
{
    step_wait(1);
    nest(strcmp(shape, "same_order") != 0);
    __asm__ volatile("");
    return NULL;
}

static void orders(char **argv)
{
    for (int i = 0; i < 2; i++) {
        if (shape_is(argv, "static"))
            TELL(AnnotateRWLockCreateStatic, word(i));
        else
            TELL(AnnotateRWLockCreate, word(i));
    }
    writer = !shape_is(argv, "readers");
    pthread_t a = start(one, NULL), b = start(two, argv[1]);
    join(a);
    join(b);
    for (int i = 0; i < 2; i++)
        TELL(AnnotateRWLockDestroy, word(i));
}

static void others(void)
{
    static char memory[64];
    TELL(AnnotateHappensBefore, memory);
    TELL(AnnotateHappensAfter, memory);
    TELL(WTFAnnotateHappensBefore, memory);
    TELL(AnnotatePCQCreate, memory);
    TELL(AnnotatePCQPut, memory);
    TELL(AnnotatePCQGet, memory);
    TELL(AnnotatePCQDestroy, memory);
    TELL(AnnotateNewMemory, memory, sizeof memory);
    TELL(AnnotateNewMemory, memory, -1);
    TELL(AnnotateBenignRace, memory, "meant");
    TELL(AnnotateBenignRaceSized, memory, sizeof memory, "meant");
    TELL(AnnotateThreadName, "a name that is longer than a thread's can be");
    TELL(AnnotateIgnoreSyncBegin);
    TELL(AnnotateIgnoreSyncEnd);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (shape_is(argv, "again")) {
        take(0);
        TELL(AnnotateRWLockAcquired, &first, 1);
        TELL(AnnotateRWLockReleased, &first, 1);
        give(0);
    } else if (shape_is(argv, "not_locked")) {
        TELL(AnnotateRWLockCreate, &first);
        give(0);
    } else if (shape_is(argv, "destroy_locked")) {
        take(0);
        TELL(AnnotateRWLockDestroy, &first);
    } else if (shape_is(argv, "others")) {
        others();
    } else if (shape_is(argv, "questions")) {
        CHECK(!RunningOnValgrind || RunningOnValgrind() == 0);
        CHECK(!ValgrindSlowdown || ValgrindSlowdown() >= 1);
    } else {
        orders(argv);
    }
    return 0;
}
