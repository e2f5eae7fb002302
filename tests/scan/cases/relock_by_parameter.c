/* One function takes and gives back, as its parameter says.
 * expect: lock-misuse rule=relock locks=table function=hold_all function=work */
#include <pthread.h>
#include <stdlib.h>

enum mode { PAUSE_ALL, PAUSE_SOME, RESUME_ALL };

static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static int users;

static void hold_all(enum mode mode)
{
    switch (mode) {
    case PAUSE_ALL:
        pthread_mutex_lock(&table);
        break;
    case RESUME_ALL:
        pthread_mutex_unlock(&table);
        break;
    default:
        break;
    }
}

static void *work(void *unused)
{
    hold_all(PAUSE_ALL);
    users++;
#ifdef CLEAN
    hold_all(RESUME_ALL);
#else
    hold_all(PAUSE_SOME);
#endif
    hold_all(PAUSE_ALL);
    users--;
    hold_all(RESUME_ALL);
    return unused;
}

int main(void)
{
    pthread_t one, two;
    pthread_create(&one, NULL, work, NULL);
    pthread_create(&two, NULL, work, NULL);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    return 0;
}
