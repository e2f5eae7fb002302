/* Values that are read in one critical section and written back in another. What puts the threads in order is
 * unseen, and orders nothing else: the two updates of a case meet in every run, or in none.
 *
 * Another thread's update comes in between.
 * @case lost inline
 * @finding atomicity verdict=observed memory=shared.value locks=shared.lock side=updates marks=read,write
 * @case lost_accessors accessors
 * @finding atomicity verdict=observed memory=shared.value locks=shared.lock side=updates_by_accessors+get+set side=updates_by_accessors+set
 * The other one is right, by itself.
 * @case lost_one_sided one_sided
 * @finding atomicity verdict=observed memory=shared.value locks=shared.lock side=updates side=increments
 * @case lost_lazily lazily
 * @finding atomicity verdict=observed memory=shared.pointer locks=shared.lock side=makes_once
 * @case lost_readers readers
 * @finding atomicity verdict=observed memory=shared.value locks=shared.readers side=updates_as_reader
 * @case lost_on_heap heap
 * @finding atomicity verdict=observed memory=account.balance side=withdraws
 *
 * It could have come in between: a finding, but none that counts.
 * @case lost_possibly possibly
 * @finding atomicity verdict=possible memory=shared.value locks=shared.lock side=updates counts=no
 *
 * The second section looks again, at the value or at its version; or it makes its own value of what is there.
 * @case looks_again again
 * @clean
 * @case looks_at_version version
 * @clean
 * @case increments_then increments
 * @clean
 *
 * @case one_section whole
 * @clean
 * @case outer_lock outer
 * @clean
 * @case only_read statistics
 * @clean
 *
 * The value does not come from the read.
 * @case constant constant
 * @clean
 * @case another_call another_call
 * @clean
 * @case after_wait wait
 * @clean
 * Taken out and put in elsewhere.
 * @case ring ring
 * @clean
 * @case pool pool
 * @clean
 * @case reused reused
 * @clean
 *
 * The other thread's update has been handed over, or comes when it may.
 * @case handed_over handed
 * @clean
 * @case claimed claimed
 * @clean
 * @case in_turns turns
 * @clean
 */
#include <stdbool.h>

#include "case.h"

static struct {
    pthread_mutex_t lock, other;
    pthread_rwlock_t readers;
    pthread_cond_t changed;
    long value, version, busy;
    long *pointer;
    int stop;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .other = PTHREAD_MUTEX_INITIALIZER,
            .readers = PTHREAD_RWLOCK_INITIALIZER,
            .changed = PTHREAD_COND_INITIALIZER};

/* ---- which step is next ---- */

/* Between the two halves of the first thread's update the second thread makes its own; not more than once. */
static __thread int first;
static void halfway(void)
{
    if (!first || word_get(case_words))
        return;
    step_done(1);
    step_wait(2);
}
static void *second_thread(void *f)
{
    step_wait(1);
    ((void (*)(void))f)();
    step_done(2);
    return NULL;
}
static void *first_thread(void *f)
{
    first = 1;
    ((void (*)(void))f)();
    return NULL;
}
static void *after_the_first(void *f)
{
    step_wait(1);
    ((void (*)(void))f)();
    return NULL;
}
static void *and_go(void *f)
{
    ((void (*)(void))f)();
    step_done(1);
    return NULL;
}

static void run_both(void *(*a)(void *), void (*f)(void), void *(*b)(void *), void (*g)(void))
{
    pthread_t t[2];
    pthread_create(&t[0], NULL, a, (void *)f);
    pthread_create(&t[1], NULL, b, (void *)g);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
}

#define LOCK() pthread_mutex_lock(&shared.lock)
#define UNLOCK() pthread_mutex_unlock(&shared.lock)

/* ---- lost ---- */

NOINLINE static void updates(void)
{
    LOCK();
    long v = shared.value; /* mark: read */
    UNLOCK();
    halfway();
    LOCK();
    shared.value = v + 1; /* mark: write */
    UNLOCK();
}
NOINLINE static void increments(void)
{
    LOCK();
    shared.value++;
    shared.version++;
    UNLOCK();
}

NOINLINE static long get(void)
{
    LOCK();
    long v = shared.value;
    UNLOCK();
    return v;
}
NOINLINE static void set(long v)
{
    LOCK();
    shared.value = v;
    UNLOCK();
}
NOINLINE static void updates_by_accessors(void)
{
    long v = get();
    halfway();
    set(v + 1);
}

NOINLINE static void makes_once(void)
{
    LOCK();
    long *p = shared.pointer;
    UNLOCK();
    halfway();
    if (p)
        return;
    p = malloc(sizeof *p);
    LOCK();
    shared.pointer = p;
    UNLOCK();
}

NOINLINE static void updates_as_reader(void)
{
    pthread_rwlock_rdlock(&shared.readers);
    long v = shared.value;
    pthread_rwlock_unlock(&shared.readers);
    halfway();
    pthread_rwlock_wrlock(&shared.readers);
    shared.value = v + 1;
    pthread_rwlock_unlock(&shared.readers);
}

struct account {
    pthread_mutex_t lock;
    long balance;
};
static struct account *account;
NOINLINE static struct account *make_account(void)
{
    struct account *a = malloc(sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    a->balance = 100;
    return a;
}
NOINLINE static void withdraws(void)
{
    pthread_mutex_lock(&account->lock);
    long have = account->balance;
    pthread_mutex_unlock(&account->lock);
    halfway();
    if (have < 70)
        return;
    pthread_mutex_lock(&account->lock);
    account->balance = have - 70;
    pthread_mutex_unlock(&account->lock);
}

/* ---- not lost ---- */

NOINLINE static void looks_again(void)
{
    for (;;) {
        LOCK();
        long v = shared.value;
        UNLOCK();
        halfway();
        LOCK();
        bool same = shared.value == v;
        if (same)
            shared.value = v + 1;
        UNLOCK();
        if (same)
            return;
    }
}

NOINLINE static void looks_at_version(void)
{
    for (;;) {
        LOCK();
        long v = shared.value, version = shared.version;
        UNLOCK();
        halfway();
        LOCK();
        bool same = shared.version == version;
        if (same) {
            shared.value = v + 1;
            shared.version = version + 1;
        }
        UNLOCK();
        if (same)
            return;
    }
}

NOINLINE static void reads_then_increments(void)
{
    long v = get();
    halfway();
    if (v < 10)
        increments();
}

NOINLINE static void updates_whole(void)
{
    halfway();
    LOCK();
    long v = shared.value;
    shared.value = v + 1;
    UNLOCK();
}

NOINLINE static void updates_inside(void)
{
    pthread_mutex_lock(&shared.other);
    updates();
    pthread_mutex_unlock(&shared.other);
}

NOINLINE static void only_reads(void)
{
    long v = get();
    halfway();
    if (get() < v)
        abort();
}

NOINLINE static void stops(void)
{
    LOCK();
    int stop = shared.stop;
    UNLOCK();
    halfway();
    if (stop)
        return;
    LOCK();
    shared.stop = 1;
    UNLOCK();
}

/* What is written has nothing to do with what a function that has returned, called by another one, has read. */
NOINLINE static long looks_in(void)
{
    return get() > 5;
}
NOINLINE static void looks_and_sets(void)
{
    volatile long fresh = looks_in() * 0 + 7 + first;
    halfway();
    set(fresh);
}

static bool waiting, woken;
NOINLINE static void waits(void)
{
    LOCK();
    long v = shared.value;
    if (first) {
        __atomic_store_n(&waiting, true, __ATOMIC_RELAXED);
        step_done(1);
    }
    while (first && !woken)
        pthread_cond_wait(&shared.changed, &shared.lock);
    shared.value = v + 2;
    UNLOCK();
}
NOINLINE static void wakes(void)
{
    LOCK();
    shared.value++;
    woken = true;
    pthread_cond_signal(&shared.changed);
    UNLOCK();
}

#define SLOTS 2
static struct {
    long slot[SLOTS];
    unsigned head, tail;
} ring = {.tail = 1, .slot = {5, 6}};
NOINLINE static void forwards(void)
{
    LOCK();
    long v = ring.slot[ring.head++ % SLOTS];
    UNLOCK();
    halfway();
    LOCK();
    ring.slot[ring.tail % SLOTS] = v * 3 + ring.tail;
    ring.tail++;
    UNLOCK();
}
NOINLINE static void forwards_often(void)
{
    for (int i = 0; i < 5; i++)
        forwards();
}

static struct node {
    struct node *next;
} nodes[3] = {{&nodes[1]}, {&nodes[2]}, {NULL}}, *unused = nodes;
NOINLINE static void takes_and_gives(void)
{
    LOCK();
    struct node *n = unused;
    unused = n->next;
    UNLOCK();
    halfway();
    LOCK();
    n->next = unused;
    unused = n;
    UNLOCK();
}

static long *volatile block;
NOINLINE static void uses_block(void)
{
    LOCK();
    long v = *block;
    UNLOCK();
    halfway();
    LOCK();
    long *b = block;
    *b = v + 1;
    UNLOCK();
}
NOINLINE static void replaces_block(void)
{
    LOCK();
    free(block);
    long *b = malloc(sizeof *b);
    *b = 10 + word_get(case_words);
    block = b;
    UNLOCK();
}

static sem_t mine, theirs;
NOINLINE static void hands_over(void)
{
    LOCK();
    long v = shared.value;
    UNLOCK();
    sem_post(&theirs);
    sem_wait(&mine);
    LOCK();
    shared.value = v + 2;
    UNLOCK();
}
NOINLINE static void is_handed(void)
{
    sem_wait(&theirs);
    increments();
    sem_post(&mine);
}

/* Whoever has set `busy` may write. */
NOINLINE static void claims(void)
{
    long v;
    for (bool done = false; !done; sched_yield()) {
        LOCK();
        done = !shared.busy;
        if (done)
            shared.busy = 1 + first;
        v = shared.value;
        UNLOCK();
    }
    LOCK();
    shared.value = v + 1 + first;
    shared.busy = 0;
    UNLOCK();
}
NOINLINE static void claims_often(void)
{
    for (int i = 0; i < 20; i++)
        claims();
}

/* `busy` says whose turn it is; nobody else writes. */
NOINLINE static void in_turns(void)
{
    long v, mine = first;
    for (int i = 0; i < 20; i++) {
        for (bool turn = false; !turn; sched_yield()) {
            LOCK();
            turn = shared.busy == mine;
            v = shared.value;
            UNLOCK();
        }
        LOCK();
        shared.value = v + 1 + mine;
        shared.busy = !mine;
        UNLOCK();
    }
}

static const struct {
    const char *name;
    void *(*a)(void *);
    void (*f)(void);
    void *(*b)(void *);
    void (*g)(void);
} modes[] = {
    {"inline", first_thread, updates, second_thread, updates},
    {"accessors", first_thread, updates_by_accessors, second_thread, updates_by_accessors},
    {"one_sided", first_thread, updates, second_thread, increments},
    {"lazily", first_thread, makes_once, second_thread, makes_once},
    {"readers", first_thread, updates_as_reader, second_thread, updates_as_reader},
    {"heap", first_thread, withdraws, second_thread, withdraws},
    {"possibly", and_go, updates, after_the_first, updates},
    {"again", first_thread, looks_again, second_thread, looks_again},
    {"version", first_thread, looks_at_version, second_thread, looks_at_version},
    {"increments", first_thread, reads_then_increments, second_thread, increments},
    {"whole", first_thread, updates_whole, second_thread, updates_whole},
    {"outer", and_go, updates_inside, after_the_first, updates_inside},
    {"statistics", first_thread, only_reads, second_thread, increments},
    {"constant", first_thread, stops, second_thread, stops},
    {"another_call", first_thread, looks_and_sets, second_thread, increments},
    {"wait", first_thread, waits, second_thread, wakes},
    {"ring", first_thread, forwards, second_thread, forwards_often},
    {"pool", first_thread, takes_and_gives, second_thread, takes_and_gives},
    {"reused", first_thread, uses_block, second_thread, replaces_block},
    {"handed", first_thread, hands_over, and_go, is_handed},
    {"claimed", first_thread, claims_often, and_go, claims_often},
    {"turns", first_thread, in_turns, and_go, in_turns},
};

int main(int argc, char **argv)
{
    sem_init(&mine, 0, 0);
    sem_init(&theirs, 0, 0);
    block = calloc(1, sizeof *block);
    account = make_account();
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0) {
            run_both(modes[i].a, modes[i].f, modes[i].b, modes[i].g);
            return 0;
        }
    return 2;
}
