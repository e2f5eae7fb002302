/* Read-write locks in opposite order, one thread after the other: what conflicts and what does not.
 *
 * @case rwlock_writer_writer w w w w
 * @finding lock-order locks=a,b side=one side=two
 * @case rwlock_reader_reader r r r r
 * @clean
 *
 * Each holds one as reader and asks for the other as writer, or the other way round.
 * @case rwlock_reader_writer r w r w
 * @finding lock-order locks=a,b side=one side=two
 * @case rwlock_writer_reader w r w r
 * @finding lock-order locks=a,b side=one side=two
 *
 * One of the two steps asks to read what the other only reads: it never waits.
 * @case rwlock_one_step_compatible r w w r
 * @clean
 *
 * Readers block readers only where a waiting writer goes first, and only if somebody writes at all.
 * @case rwlock_reader_reader_with_writer r r r r default writer
 * @clean
 * @case rwlock_reader_reader_prefer_writer r r r r nonrecursive writer
 * @finding lock-order locks=a,b side=one side=two
 * @case rwlock_reader_reader_prefer_writer_static r r r r static writer
 * @finding lock-order locks=c,d side=one side=two
 * @case rwlock_reader_reader_prefer_writer_alone r r r r nonrecursive
 * @clean
 * PTHREAD_RWLOCK_PREFER_WRITER_NP does not queue readers in glibc: it is the default under another name.
 * @case rwlock_reader_reader_prefer_writer_recursive r r r r prefer writer
 * @clean
 *
 * @case rwlock_try try
 * @clean
 * One has a time limit, the other waits for ever.
 * @case rwlock_timed timed
 * @finding lock-order locks=a,b side=one_other_way side=two_other_way
 * @case rwlock_timed_both timed both
 * @clean
 * @case rwlock_recursive_read recursive_read
 * @clean
 */
#include "case.h"

static pthread_rwlock_t a, b;
static pthread_rwlock_t c = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP,
                        d = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_rwlock_t *first = &a, *second = &b;
static char **mode;

static void take(pthread_rwlock_t *l, const char *how)
{
    CHECK(!(*how == 'w' ? pthread_rwlock_wrlock(l) : pthread_rwlock_rdlock(l)));
}

static void *one(void *arg)
{
    take(first, mode[1]);
    take(second, mode[2]);
    pthread_rwlock_unlock(second);
    pthread_rwlock_unlock(first);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    take(second, mode[3]);
    take(first, mode[4]);
    pthread_rwlock_unlock(first);
    pthread_rwlock_unlock(second);
    step_done(2);
    return arg;
}

static void *writer(void *arg)
{
    step_wait(2);
    pthread_rwlock_wrlock(first);
    pthread_rwlock_unlock(first);
    pthread_rwlock_wrlock(second);
    pthread_rwlock_unlock(second);
    return arg;
}

static void *one_other_way(void *arg)
{
    struct timespec far;
    clock_gettime(CLOCK_REALTIME, &far);
    far.tv_sec += 1000;
    pthread_rwlock_wrlock(&a);
    if (arg)
        CHECK(!pthread_rwlock_timedwrlock(&b, &far));
    else
        CHECK(!pthread_rwlock_trywrlock(&b));
    pthread_rwlock_unlock(&b);
    pthread_rwlock_unlock(&a);
    step_done(1);
    return arg;
}

static void *two_other_way(void *arg)
{
    struct timespec far;
    clock_gettime(CLOCK_REALTIME, &far);
    far.tv_sec += 1000;
    step_wait(1);
    pthread_rwlock_rdlock(&b);
    if (arg && mode[2])
        CHECK(!pthread_rwlock_timedrdlock(&a, &far));
    else if (arg)
        CHECK(!pthread_rwlock_rdlock(&a));
    else
        CHECK(!pthread_rwlock_tryrdlock(&a));
    pthread_rwlock_unlock(&a);
    pthread_rwlock_unlock(&b);
    return arg;
}

static void *reads_twice(void *arg)
{
    pthread_rwlock_rdlock(&a);
    pthread_rwlock_rdlock(&a);
    pthread_rwlock_rdlock(&b);
    pthread_rwlock_unlock(&a);
    pthread_rwlock_unlock(&b);
    pthread_rwlock_unlock(&a);
    return arg;
}

static void both(case_routine f, case_routine g, void *arg)
{
    pthread_t t1 = start(f, arg), t2 = start(g, arg);
    join(t1);
    join(t2);
}

int main(int argc, char **argv)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    if (argc > 5 && !strcmp(argv[5], "nonrecursive"))
        pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (argc > 5 && !strcmp(argv[5], "prefer"))
        pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NP);
    pthread_rwlock_init(&a, &attr);
    pthread_rwlock_init(&b, &attr);
    mode = argv;
    if (argc < 2)
        return 64;
    if (shape_is(argv, "try"))
        both(one_other_way, two_other_way, NULL);
    else if (shape_is(argv, "timed"))
        both(one_other_way, two_other_way, argv);
    else if (shape_is(argv, "recursive_read"))
        both(reads_twice, reads_twice, NULL);
    else {
        if (argc > 5 && !strcmp(argv[5], "static")) {
            first = &c;
            second = &d;
        }
        pthread_t w = 0;
        if (argc > 6)
            w = start(writer, NULL);
        both(one, two, NULL);
        if (w)
            join(w);
    }
    return 0;
}
