/* The cheapest thing a preload can do: counts lock operations in thread-local memory and passes them on. The floor that
 * snarl is measured against. Preloaded by run.py only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>

static __thread unsigned long operations __attribute__((tls_model("initial-exec")));

#define PASS(name, type)                                                                                               \
    static int (*real_##name)(type *);                                                                                 \
    int name(type *object)                                                                                             \
    {                                                                                                                  \
        operations++;                                                                                                  \
        return real_##name(object);                                                                                    \
    }

PASS(pthread_mutex_lock, pthread_mutex_t)
PASS(pthread_mutex_trylock, pthread_mutex_t)
PASS(pthread_mutex_unlock, pthread_mutex_t)
PASS(pthread_rwlock_rdlock, pthread_rwlock_t)
PASS(pthread_rwlock_wrlock, pthread_rwlock_t)
PASS(pthread_rwlock_unlock, pthread_rwlock_t)
PASS(sem_wait, sem_t)
PASS(sem_post, sem_t)

int pthread_spin_lock(pthread_spinlock_t *s)
{
    static int (*real)(pthread_spinlock_t *);
    if (!real)
        real = (int (*)(pthread_spinlock_t *))dlsym(RTLD_NEXT, "pthread_spin_lock");
    operations++;
    return real(s);
}

int pthread_spin_unlock(pthread_spinlock_t *s)
{
    static int (*real)(pthread_spinlock_t *);
    if (!real)
        real = (int (*)(pthread_spinlock_t *))dlsym(RTLD_NEXT, "pthread_spin_unlock");
    operations++;
    return real(s);
}

__attribute__((constructor)) static void resolve(void)
{
#define RESOLVE(name) real_##name = (__typeof__(real_##name))dlsym(RTLD_NEXT, #name)
    RESOLVE(pthread_mutex_lock);
    RESOLVE(pthread_mutex_trylock);
    RESOLVE(pthread_mutex_unlock);
    RESOLVE(pthread_rwlock_rdlock);
    RESOLVE(pthread_rwlock_wrlock);
    RESOLVE(pthread_rwlock_unlock);
    RESOLVE(sem_wait);
    RESOLVE(sem_post);
}
