/* What hazard programs open and close again: takes its own lock and the one it is given, in the order it is told. */
#include <pthread.h>

pthread_mutex_t plugin_lock = PTHREAD_MUTEX_INITIALIZER;

void plugin_own_first(pthread_mutex_t *other);
void plugin_other_first(pthread_mutex_t *other);

void plugin_own_first(pthread_mutex_t *other)
{
    pthread_mutex_lock(&plugin_lock);
    pthread_mutex_lock(other);
    pthread_mutex_unlock(other);
    pthread_mutex_unlock(&plugin_lock);
}

void plugin_other_first(pthread_mutex_t *other)
{
    pthread_mutex_lock(other);
    pthread_mutex_lock(&plugin_lock);
    pthread_mutex_unlock(&plugin_lock);
    pthread_mutex_unlock(other);
}
