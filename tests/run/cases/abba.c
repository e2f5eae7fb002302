/* Two mutexes in opposite order, one thread after the other, so that nothing ever blocks; and everything that makes it
 * harmless.
 *
 * @case abba free
 * @finding lock-order locks=a,b side=one side=two marks=one-a,one-b,two-b,two-a counts=yes
 * @status 66
 *
 * @case abba_same_order same_order
 * @clean
 *
 * A mutex around both keeps the two apart.
 * @case abba_gate gate
 * @clean
 *
 * The gate is given back before the second lock is taken.
 * @case abba_gate_released gate_released
 * @finding lock-order locks=a,b side=one side=two
 *
 * Only one of the two takes the gate.
 * @case abba_gate_one_side gate_one_side
 * @finding lock-order locks=a,b side=one side=two
 *
 * Each has a gate of its own.
 * @case abba_two_gates two_gates
 * @finding lock-order locks=a,b side=one side=two
 *
 * A read-write lock is a gate when one of the two holds it exclusively, and none when both only read.
 * @case abba_gate_shared gate_shared
 * @finding lock-order locks=a,b side=one side=two
 * @case abba_gate_shared_exclusive gate_shared_exclusive
 * @clean
 *
 * The first sightings of both orders are gated, later ones are not: a cache keyed by the pair would have lost it.
 * @case abba_gated_first gated_first
 * @finding lock-order locks=a,b side=one side=two
 *
 * The same for a first sighting before there are threads.
 * @case abba_before_threads_and_after before_and_after
 * @finding lock-order locks=a,b side=main side=two
 *
 * @case abba_single_thread single_thread
 * @clean
 * @case abba_single_worker single_worker
 * @clean
 * @case abba_join_ordered join_ordered
 * @clean
 * @case abba_create_ordered create_ordered
 * @clean
 * @case abba_create_chain_ordered create_chain
 * @clean
 * @case abba_barrier_ordered barrier_ordered
 * @clean
 *
 * What only this schedule ordered orders nothing: a condition or a semaphore hands over in this run, another run may
 * not wait.
 * @case abba_cond_handoff cond_handoff
 * @finding lock-order locks=a,b side=one side=two
 * @case abba_sem_handoff sem_handoff
 * @finding lock-order locks=a,b side=one side=two
 *
 * Many repetitions are one finding.
 * @case abba_repeated repeated
 * @finding lock-order locks=a,b side=one side=two
 *
 * A detached thread orders nothing by ending.
 * @case abba_detached detached
 * @finding lock-order locks=a,b side=one side=two
 */
#include "case.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER, other_gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t read_gate = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static int turn;
static sem_t handed;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

NOINLINE static void one_order(void)
{
    lock(&a); /* mark: one-a */
    lock(&b); /* mark: one-b */
    unlock(&b);
    unlock(&a);
}

NOINLINE static void other_order(void)
{
    lock(&b); /* mark: two-b */
    lock(&a); /* mark: two-a */
    unlock(&a);
    unlock(&b);
}

static void gated(void (*order)(void), pthread_mutex_t *g)
{
    lock(g);
    order();
    unlock(g);
}

static void gate_given_back(pthread_mutex_t *first, pthread_mutex_t *second)
{
    lock(&gate);
    lock(first);
    unlock(&gate);
    lock(second);
    unlock(second);
    unlock(first);
}

static void read_gated(void (*order)(void), int exclusive)
{
    if (exclusive)
        pthread_rwlock_wrlock(&read_gate);
    else
        pthread_rwlock_rdlock(&read_gate);
    order();
    pthread_rwlock_unlock(&read_gate);
}

static void *one(void *arg)
{
    if (is("gate") || is("gate_one_side") || is("two_gates"))
        gated(one_order, &gate);
    else if (is("gate_released"))
        gate_given_back(&a, &b);
    else if (is("gate_shared") || is("gate_shared_exclusive"))
        read_gated(one_order, 0);
    else if (is("gated_first")) {
        gated(one_order, &gate);
        step_done(1);
        step_wait(2);
        one_order();
    } else if (is("repeated")) {
        for (int i = 0; i < 1000; i++)
            one_order();
    } else
        one_order();
    if (is("barrier_ordered"))
        pthread_barrier_wait(&barrier);
    if (is("cond_handoff")) {
        lock(&turn_lock);
        turn = 1;
        pthread_cond_signal(&turned);
        unlock(&turn_lock);
    }
    if (is("sem_handoff"))
        sem_post(&handed);
    step_done(10);
    return arg;
}

static void *two(void *arg)
{
    if (is("barrier_ordered"))
        pthread_barrier_wait(&barrier);
    else if (is("cond_handoff")) {
        lock(&turn_lock);
        while (!turn)
            pthread_cond_wait(&turned, &turn_lock);
        unlock(&turn_lock);
    } else if (is("sem_handoff"))
        sem_wait(&handed);
    else if (is("gated_first")) {
        step_wait(1);
        gated(other_order, &gate);
        step_done(2);
        step_wait(10);
        other_order();
        return arg;
    } else
        step_wait(10);
    if (is("gate"))
        gated(other_order, &gate);
    else if (is("two_gates"))
        gated(other_order, &other_gate);
    else if (is("gate_released"))
        gate_given_back(&b, &a);
    else if (is("gate_shared"))
        read_gated(other_order, 0);
    else if (is("gate_shared_exclusive"))
        read_gated(other_order, 1);
    else if (is("same_order"))
        one_order();
    else if (is("repeated"))
        for (int i = 0; i < 1000; i++)
            other_order();
    else
        other_order();
    step_done(20);
    return arg;
}

static void *single_worker(void *arg)
{
    one_order();
    other_order();
    return arg;
}

/* Does one order, then starts the thread that does the other: creation orders them, over two generations. */
static void *creates_two(void *arg)
{
    step_done(10);
    join(start(two, NULL));
    return arg;
}

static void *does_one_then_creates(void *arg)
{
    one_order();
    join(start(creates_two, NULL));
    return arg;
}

static int without_two_threads(void)
{
    if (is("single_thread")) {
        one_order();
        other_order();
    } else if (is("single_worker"))
        join(start(single_worker, NULL));
    else if (is("join_ordered")) {
        join(start(one, NULL));
        join(start(two, NULL));
    } else if (is("create_ordered")) {
        one(NULL);
        join(start(two, NULL));
    } else if (is("create_chain"))
        join(start(does_one_then_creates, NULL));
    else if (is("before_and_after")) {
        one_order();
        pthread_t t = start(two, NULL);
        one_order();
        step_done(10);
        join(t);
    } else
        return 0;
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    pthread_barrier_init(&barrier, NULL, 2);
    sem_init(&handed, 0, 0);
    if (without_two_threads())
        return 0;
    pthread_t t1 = start(one, NULL);
    if (is("detached")) {
        pthread_detach(t1);
        step_wait(10);
    }
    pthread_t t2 = start(two, NULL);
    if (!is("detached"))
        join(t1);
    join(t2);
    return 0;
}
