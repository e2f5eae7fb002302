/* Names under which glibc offers the same functions.
 *
 * @case the_libc_alias_names alias
 * @finding lock-order locks=a,b side=one side=two
 * @case the_libc_alias_names_rwlock alias_rwlock
 * @finding lock-order locks=ra,rb side=one side=two
 * Conditions of before glibc 2.3.2 keep working.
 * @case pthread_cond_symbol_versions old_condition
 * @clean
 * @case pthread_cond_symbol_versions_new new_condition
 * @clean
 */
#include "case.h"

int alias_lock(pthread_mutex_t *);
int alias_unlock(pthread_mutex_t *);
int alias_trylock(pthread_mutex_t *);
int alias_rdlock(pthread_rwlock_t *);
int alias_wrlock(pthread_rwlock_t *);
int alias_rwunlock(pthread_rwlock_t *);
int alias_once(pthread_once_t *, void (*)(void));
int old_wait(void *, pthread_mutex_t *);
int old_signal(void *);
int old_broadcast(void *);
int old_init(void *, const pthread_condattr_t *);
int old_destroy(void *);
__asm__(".symver alias_lock, __pthread_mutex_lock@GLIBC_2.2.5");
__asm__(".symver alias_unlock, __pthread_mutex_unlock@GLIBC_2.2.5");
__asm__(".symver alias_trylock, __pthread_mutex_trylock@GLIBC_2.2.5");
__asm__(".symver alias_rdlock, __pthread_rwlock_rdlock@GLIBC_2.2.5");
__asm__(".symver alias_wrlock, __pthread_rwlock_wrlock@GLIBC_2.2.5");
__asm__(".symver alias_rwunlock, __pthread_rwlock_unlock@GLIBC_2.2.5");
__asm__(".symver alias_once, __pthread_once@GLIBC_2.2.5");
__asm__(".symver old_wait, pthread_cond_wait@GLIBC_2.2.5");
__asm__(".symver old_signal, pthread_cond_signal@GLIBC_2.2.5");
__asm__(".symver old_broadcast, pthread_cond_broadcast@GLIBC_2.2.5");
__asm__(".symver old_init, pthread_cond_init@GLIBC_2.2.5");
__asm__(".symver old_destroy, pthread_cond_destroy@GLIBC_2.2.5");

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t ra = PTHREAD_RWLOCK_INITIALIZER, rb = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static void *old_cond[6];
static int ready;
static const char *shape;

static void nothing(void) {}

static void nested(int turned)
{
    if (!strcmp(shape, "alias")) {
        alias_lock(turned ? &b : &a);
        alias_lock(turned ? &a : &b);
        CHECK(alias_trylock(&a) == EBUSY);
        alias_unlock(&a);
        alias_unlock(&b);
    } else {
        alias_wrlock(turned ? &rb : &ra);
        alias_rdlock(turned ? &ra : &rb);
        alias_rwunlock(&ra);
        alias_rwunlock(&rb);
    }
}

static void *one(void *arg)
{
    nested(0);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    nested(1);
    return arg;
}

static void *waits(void *arg)
{
    lock(&a);
    while (!ready)
        arg ? old_wait(old_cond, &a) : pthread_cond_wait(&c, &a);
    unlock(&a);
    return NULL;
}

static void *wakes(void *arg)
{
    lock(&a);
    ready = 1;
    arg ? old_signal(old_cond) : pthread_cond_signal(&c);
    unlock(&a);
    lock(&a);
    arg ? old_broadcast(old_cond) : pthread_cond_broadcast(&c);
    unlock(&a);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    int condition = !!strstr(shape, "condition"), old = !strcmp(shape, "old_condition");
    if (old)
        old_init(old_cond, NULL);
    alias_once(&once, nothing);
    pthread_t t1 = start(condition ? waits : one, old ? argv : NULL),
              t2 = start(condition ? wakes : two, old ? argv : NULL);
    join(t1);
    join(t2);
    if (old)
        old_destroy(old_cond);
    return 0;
}
