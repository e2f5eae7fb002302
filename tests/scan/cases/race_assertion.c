/* What reports a failed assertion and ends the program may count as it likes.
 * expect: data-race memory=failures function=failed function=work */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static int failures;

static void failed(const char *what)
{
    failures++;
    fprintf(stderr, "%s\n", what);
#ifdef CLEAN
    abort();
#endif
}

#ifdef CLEAN
#define CHECK(x) ((x) ? (void)0 : (failed(#x), __builtin_unreachable()))
#else
#define CHECK(x) ((x) ? (void)0 : failed(#x))
#endif

static void *work(void *arg)
{
    CHECK(arg != NULL);
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t one, two;
    pthread_create(&one, NULL, work, argv[argc]);
    pthread_create(&two, NULL, work, argv);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    return 0;
}
