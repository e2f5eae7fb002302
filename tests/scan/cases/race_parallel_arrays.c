/* One lock for each row; a lock of another row does not count.
 * expect: data-race memory=rows[] function=work */
#include <pthread.h>
#include <stdlib.h>

#define ROWS 8

static int rows[ROWS];
static pthread_mutex_t locks[ROWS];

static void *work(void *unused)
{
    for (int i = 0; i < 100; i++) {
        int n = rand() % ROWS;
#ifdef CLEAN
        int m = n;
#else
        int m = rand() % ROWS;
#endif
        pthread_mutex_lock(&locks[m]);
        rows[n]++;
        pthread_mutex_unlock(&locks[m]);
    }
    return unused;
}

int main(void)
{
    pthread_t one, two;
    for (int i = 0; i < ROWS; i++)
        pthread_mutex_init(&locks[i], NULL);
    pthread_create(&one, NULL, work, NULL);
    pthread_create(&two, NULL, work, NULL);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    return 0;
}
