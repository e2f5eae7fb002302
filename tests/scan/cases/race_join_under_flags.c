/* Whether a thread is joined depends on two flags, of which one is set on the way.
 * expect: data-race memory=sum function=work function=main */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define MOST 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int sum;

static void *work(void *unused)
{
    pthread_mutex_lock(&lock);
    sum++;
    pthread_mutex_unlock(&lock);
    return unused;
}

static int produce(void)
{
    return rand() % 3;
}

int main(int argc, char **argv)
{
    bool alone = argc > 2;
    for (int i = 1; i < argc; i++) {
        pthread_t workers[MOST], writer;
        bool changed = false, failed = false;
        sum = 0;
        if (!alone) {
            for (int k = 0; k < MOST; k++)
                if (pthread_create(&workers[k], NULL, work, argv[i]) != 0)
                    return 1;
            if (pthread_create(&writer, NULL, work, argv[i]) != 0)
                return 1;
            int got = produce();
            if (got == 2) {
                alone = true;
                changed = true;
                if (pthread_join(writer, NULL) != 0)
                    return 1;
            } else if (got != 0) {
                failed = true;
            }
        }
        if (alone && !failed)
            produce();
        if (!alone)
            pthread_join(writer, NULL);
#ifdef CLEAN
        if (!alone || changed)
#else
        if (!alone || (changed && i > 1))
#endif
            for (int k = 0; k < MOST; k++)
                pthread_join(workers[k], NULL);
        sum = 1;
        if (failed)
            break;
    }
    return 0;
}
