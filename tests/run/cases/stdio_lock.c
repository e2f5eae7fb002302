/* flockfile is a lock like any other, and a recursive one.
 *
 * @case flockfile_and_mutex plain
 * @finding lock-order locks=m,* side=one side=two
 * @case flockfile_two_files files
 * @finding lock-order locks=*,* side=one side=two
 * @case flockfile_recursive recursive
 * @clean
 * @case ftrylockfile try
 * @clean
 * @case flockfile_same_order same
 * @clean
 * The locks that stdio takes itself are never seen, and printing under one's own lock is everyday life.
 * @case stdio_inside printing
 * @clean
 */
#include "case.h"

static FILE *f, *g;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void second(int take)
{
    if (is("files"))
        take ? flockfile(g) : funlockfile(g);
    else
        take ? lock(&m) : unlock(&m);
}

static void *one(void *arg)
{
    if (is("printing")) {
        lock(&m);
        printf("under the lock\n");
        fflush(stdout);
        unlock(&m);
    } else {
        flockfile(f);
        if (is("recursive"))
            flockfile(f);
        second(1);
        second(0);
        fputs("x", f);
        if (is("recursive"))
            funlockfile(f);
        funlockfile(f);
    }
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    if (is("same") || is("recursive") || is("printing"))
        return one(arg);
    second(1);
    if (is("try"))
        CHECK(!ftrylockfile(f));
    else
        flockfile(f);
    funlockfile(f);
    second(0);
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    f = tmpfile();
    g = tmpfile();
    CHECK(f && g);
    pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
    join(t1);
    join(t2);
    fclose(f);
    fclose(g);
    return 0;
}
