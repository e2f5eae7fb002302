/* Two accesses that critical sections of other data happen to keep apart, and the ways in which data is handed from one
 * thread to another. What decides who comes first is unseen, and orders nothing else: each case has one order.
 *
 * @case unprotected_bare bare
 * @finding unprotected verdict=possible memory=shared.statistic locks= side=counts_first side=counts_after counts=no
 * @case unprotected_misses_guard misses_guard
 * @finding unprotected verdict=possible memory=shared.statistic locks=shared.other side=counts_guarded side=counts_after counts=no
 * @case unprotected_two_guards two_guards
 * @finding unprotected verdict=possible memory=shared.statistic locks=shared.other,shared.third side=counts_guarded side=counts_third counts=no
 * @case unprotected_freed freed
 * @finding unprotected verdict=possible memory=item.value locks= side=uses side=frees counts=no
 *
 * The same, with the lock on both sides.
 * @case unprotected_guarded guarded
 * @clean
 * Both at once: what races needs no other word.
 * @case unprotected_raced raced
 * @finding data-race verdict=observed memory=shared.statistic locks= side=counts_first side=races
 *
 * @case unprotected_queue queue
 * @clean
 * @case unprotected_queue_two_items queue2
 * @clean
 * @case unprotected_state state
 * @clean
 * @case unprotected_condition condition
 * @clean
 * @case unprotected_finished finished
 * @clean
 * @case unprotected_references references
 * @clean
 * @case unprotected_pool pool
 * @clean
 * @case unprotected_there_and_back back
 * @clean
 * @case unprotected_owner_leaves leaves
 * @clean
 * @case unprotected_reader_writer rwlock
 * @clean
 * @case unprotected_recursive recursive
 * @clean
 * @case unprotected_by_try try
 * @clean
 * @case unprotected_subset subset
 * @clean
 * @case unprotected_nested nested
 * @clean
 * @case unprotected_double_checked checked
 * @clean
 * @case unprotected_posted_inside posted
 * @clean
 * @case unprotected_unseen_data unseen
 * @clean
 * @case unprotected_made_inside made
 * @clean
 */
#define _GNU_SOURCE
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"

struct item {
    struct item *next;
    long value, references;
};

static struct {
    pthread_mutex_t lock, other, third, recursive;
    pthread_rwlock_t readers;
    pthread_cond_t changed;
    sem_t posted;
    struct item *queue, *pool;
    struct item *_Atomic published;
    long statistic, a, b, state, done;
    char unseen[8];
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .other = PTHREAD_MUTEX_INITIALIZER,
            .third = PTHREAD_MUTEX_INITIALIZER,
            .recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
            .readers = PTHREAD_RWLOCK_INITIALIZER,
            .changed = PTHREAD_COND_INITIALIZER};

typedef void part(void);

static void *first_thread(void *f)
{
    ((part *)f)();
    step_done(1);
    return NULL;
}
static void *second_thread(void *f)
{
    step_wait(1);
    ((part *)f)();
    return NULL;
}

static void in_turn(part *f, part *g)
{
    pthread_t t[2];
    pthread_create(&t[0], NULL, first_thread, (void *)f);
    pthread_create(&t[1], NULL, second_thread, (void *)g);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
}

#define WITH(l, what)                                                                                                  \
    do {                                                                                                               \
        pthread_mutex_lock(&shared.l);                                                                                 \
        what;                                                                                                          \
        pthread_mutex_unlock(&shared.l);                                                                               \
    } while (0)

/* ---- unprotected ---- */

NOINLINE static void counts_first(void)
{
    shared.statistic++;
    WITH(lock, shared.a++);
}
NOINLINE static void counts_after(void)
{
    WITH(lock, shared.b++);
    shared.statistic++;
}
NOINLINE static void counts_guarded(void)
{
    WITH(other, shared.statistic++);
    WITH(lock, shared.a++);
}
NOINLINE static void counts_third(void)
{
    WITH(lock, shared.b++);
    WITH(third, shared.statistic++);
}
NOINLINE static void counts_guarded_after(void)
{
    WITH(lock, shared.b++);
    WITH(other, shared.statistic++);
}
static void races(void)
{
    shared.statistic++;
    counts_after();
}

NOINLINE static struct item *make_item(void)
{
    return calloc(1, sizeof(struct item));
}
static struct item *handed;
NOINLINE static void uses(void)
{
    handed->value = 1;
    WITH(lock, shared.a++);
}
NOINLINE static void frees(void)
{
    WITH(lock, shared.b++);
    free(handed);
}

/* ---- handed over ---- */

static void push(struct item **list, struct item *i)
{
    i->next = *list;
    *list = i;
}
static struct item *pop(struct item **list)
{
    struct item *i = *list;
    *list = i->next;
    return i;
}
static void produces(void)
{
    struct item *i = make_item();
    i->value = 1;
    WITH(lock, push(&shared.queue, i));
}
static void produces_two(void)
{
    produces();
    produces();
}
static void consumes(void)
{
    struct item *i;
    WITH(lock, i = pop(&shared.queue));
    i->value++;
    free(i);
}
static void consumes_two(void)
{
    consumes();
    consumes();
}
static void sets_state(void)
{
    shared.statistic = 1;
    WITH(lock, shared.state = 1);
}
static void takes_state(void)
{
    long state;
    WITH(lock, state = shared.state; if (state == 1) shared.state = 2);
    if (state == 1)
        shared.statistic++;
    WITH(lock, shared.state = 3);
}
static void signals(void)
{
    shared.statistic = 1;
    WITH(lock, shared.state = 1; pthread_cond_signal(&shared.changed));
}
static void waits(void)
{
    WITH(lock, while (!shared.state) pthread_cond_wait(&shared.changed, &shared.lock));
    shared.statistic++;
}
static void finishes(void)
{
    shared.statistic = 1;
    WITH(lock, shared.done++);
}
static void sees_finished(void)
{
    WITH(lock, while (shared.done < 1) pthread_cond_wait(&shared.changed, &shared.lock));
    shared.statistic++;
}
static void drops(void)
{
    long left;
    handed->value++;
    WITH(lock, left = --handed->references);
    if (!left)
        free(handed);
}
static void drops_first(void)
{
    long left;
    handed->next = handed;
    WITH(lock, left = --handed->references);
    if (!left)
        free(handed);
}
static void gives_to_pool(void)
{
    struct item *i = make_item();
    i->value = 5;
    WITH(lock, push(&shared.pool, i));
}
static void takes_from_pool(void)
{
    struct item *i;
    WITH(lock, i = pop(&shared.pool));
    i->value = 7;
    WITH(lock, push(&shared.pool, i));
}
static void hands_back(void)
{
    takes_from_pool();
    struct item *i;
    WITH(lock, i = pop(&shared.pool));
    i->value++;
    WITH(lock, push(&shared.pool, i));
}
static void owner(void)
{
    pthread_mutex_lock(&shared.lock);
    shared.a = 1;
    pthread_mutex_unlock(&shared.lock);
}
static void waits_for_owner(void)
{
    WITH(lock, (void)0);
    shared.a++;
}
static void writes_table(void)
{
    shared.statistic = 1;
    pthread_rwlock_wrlock(&shared.readers);
    shared.a = 1;
    pthread_rwlock_unlock(&shared.readers);
}
static void reads_table(void)
{
    pthread_rwlock_rdlock(&shared.readers);
    long a = shared.a;
    pthread_rwlock_unlock(&shared.readers);
    shared.statistic += a;
}
static void twice(void)
{
    WITH(recursive, WITH(recursive, shared.statistic++); shared.statistic++);
}
static void tries(void)
{
    while (pthread_mutex_trylock(&shared.lock))
        ;
    shared.statistic++;
    pthread_mutex_unlock(&shared.lock);
}
/* Each part has its lock, the whole has both. */
static void one_part(void)
{
    WITH(lock, shared.a++);
}
static void whole(void)
{
    WITH(lock, WITH(other, shared.a++; shared.b++));
    WITH(other, shared.b++);
}
static void inner(void)
{
    shared.statistic = 1;
    WITH(lock, WITH(other, shared.a++); shared.b++);
}
static void outer(void)
{
    WITH(other, shared.a++);
    WITH(lock, shared.b++);
    shared.statistic++;
}
static void checks(void)
{
    if (!atomic_load(&shared.published)) {
        struct item *i = make_item();
        i->value = 1;
        WITH(lock, if (!atomic_load(&shared.published)) atomic_store(&shared.published, i));
    }
    WITH(other, shared.a++);
    if (atomic_load(&shared.published)->value == 0)
        abort();
}
static void posts(void)
{
    WITH(lock, shared.a = 1; sem_post(&shared.posted); shared.b = 1);
}
static void takes_post(void)
{
    sem_wait(&shared.posted);
    shared.a++;
    WITH(lock, shared.statistic = shared.b);
    shared.b++;
}
/* Not instrumented. */
__attribute__((no_sanitize("thread"), noinline)) static void unseen_put(char c)
{
    shared.unseen[0] = c;
}
__attribute__((no_sanitize("thread"), noinline)) static char unseen_take(void)
{
    return shared.unseen[0];
}
static void puts_unseen(void)
{
    shared.statistic = 1;
    WITH(lock, unseen_put(1));
}
static void takes_unseen(void)
{
    char c;
    WITH(lock, c = unseen_take(); shared.statistic += c);
    shared.statistic++;
}

static void *inside(void *unused)
{
    shared.statistic++;
    return unused;
}
static void makes_inside(void)
{
    pthread_t t;
    WITH(lock, pthread_create(&t, NULL, inside, NULL); pthread_join(t, NULL));
}
static void counts_alone(void)
{
    WITH(lock, shared.statistic++);
}

static void reads_raced(void)
{
    pthread_t t[2];
    pthread_create(&t[0], NULL, first_thread, (void *)counts_first);
    pthread_create(&t[1], NULL, second_thread, (void *)races);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
}

static const struct {
    const char *name;
    part *f, *g;
} cases[] = {
    {"bare", counts_first, counts_after},
    {"misses_guard", counts_guarded, counts_after},
    {"two_guards", counts_guarded, counts_third},
    {"guarded", counts_guarded, counts_guarded_after},
    {"freed", uses, frees},
    {"queue", produces, consumes},
    {"queue2", produces_two, consumes_two},
    {"state", sets_state, takes_state},
    {"condition", signals, waits},
    {"finished", finishes, sees_finished},
    {"references", drops_first, drops},
    {"pool", gives_to_pool, takes_from_pool},
    {"back", gives_to_pool, hands_back},
    {"leaves", owner, waits_for_owner},
    {"rwlock", writes_table, reads_table},
    {"recursive", twice, twice},
    {"try", tries, tries},
    {"subset", one_part, whole},
    {"nested", inner, outer},
    {"checked", checks, checks},
    {"posted", posts, takes_post},
    {"unseen", puts_unseen, takes_unseen},
    {"made", counts_alone, makes_inside},
};

int main(int argc, char **argv)
{
    handed = make_item();
    handed->references = 2;
    if (argc < 2)
        return 2;
    if (strcmp(argv[1], "raced") == 0) {
        reads_raced();
        return 0;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].name, argv[1]) == 0)
            in_turn(cases[i].f, cases[i].g);
    return 0;
}
