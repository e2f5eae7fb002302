/* Threads of an array are joined in a loop, as many as there are; without a word on how many.
 * expect: data-race memory=total function=count function=main */
#include <pthread.h>
#include <stdlib.h>

struct pool {
    pthread_t *thread;
};

static int total;

static void *count(void *unused)
{
    if (total == 0)
        return unused;
    return NULL;
}

int main(int argc, char **argv)
{
    struct pool *pool = malloc(sizeof *pool);
    pool->thread = calloc((size_t)argc, sizeof *pool->thread);
    for (int file = 0; file < argc; file++) {
        total = file;
        for (int i = 0; i < argc; i++)
            pthread_create(&pool->thread[i], NULL, count, argv);
#ifdef CLEAN
        for (int i = 0; i < argc; i++)
            pthread_join(pool->thread[i], NULL);
#else
        pthread_join(pool->thread[0], NULL);
#endif
        total = 0;
    }
    free(pool->thread);
    free(pool);
    return 0;
}
