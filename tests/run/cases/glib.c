/* GLib's own locks go to the kernel by themselves; its exported calls are seen.
 *
 * @needs glib
 *
 * @case glib_mutex_abba mutex
 * @finding lock-order locks=a,b side=one side=two
 * @case glib_mutex_same_order same
 * @clean
 * @case glib_mutex_try try
 * @clean
 * @case glib_rec_mutex rec
 * @finding lock-order locks=ra,rb side=one side=two
 * @case glib_rec_mutex_alone rec_alone
 * @clean
 * @case glib_rw_lock rw
 * @finding lock-order locks=rwa,rwb side=one side=two
 * @case glib_rw_lock_readers readers
 * @clean
 * @case glib_and_pthread mixed
 * @finding lock-order locks=a,pm side=one side=two
 * @case glib_condition condition
 * @clean
 * @case glib_queue queue
 * @clean
 */
#include "case.h"
#include <glib.h>

static GMutex a, b;
static GRecMutex ra, rb;
static GRWLock rwa, rwb;
static GCond c;
static pthread_mutex_t pm = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;
static int ready;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void first(int turned)
{
    if (is("rec") || is("rec_alone"))
        g_rec_mutex_lock(turned ? &rb : &ra);
    else if (is("rw") || is("readers"))
        g_rw_lock_reader_lock(turned ? &rwb : &rwa);
    else if (is("mixed") && turned)
        lock(&pm);
    else
        g_mutex_lock(turned ? &b : &a);
}

static void second(int turned)
{
    if (is("rec"))
        g_rec_mutex_lock(turned ? &ra : &rb);
    else if (is("rec_alone"))
        g_rec_mutex_lock(turned ? &rb : &ra);
    else if (is("rw"))
        g_rw_lock_writer_lock(turned ? &rwa : &rwb);
    else if (is("readers"))
        g_rw_lock_reader_lock(turned ? &rwa : &rwb);
    else if (is("mixed") && !turned)
        lock(&pm);
    else if (is("try"))
        CHECK(g_mutex_trylock(turned ? &a : &b));
    else
        g_mutex_lock(turned ? &a : &b);
}

static void undo_second(int turned)
{
    if (is("rec"))
        g_rec_mutex_unlock(turned ? &ra : &rb);
    else if (is("rec_alone"))
        g_rec_mutex_unlock(turned ? &rb : &ra);
    else if (is("rw"))
        g_rw_lock_writer_unlock(turned ? &rwa : &rwb);
    else if (is("readers"))
        g_rw_lock_reader_unlock(turned ? &rwa : &rwb);
    else if (is("mixed") && !turned)
        unlock(&pm);
    else
        g_mutex_unlock(turned ? &a : &b);
}

static void undo_first(int turned)
{
    if (is("rec") || is("rec_alone"))
        g_rec_mutex_unlock(turned ? &rb : &ra);
    else if (is("rw") || is("readers"))
        g_rw_lock_reader_unlock(turned ? &rwb : &rwa);
    else if (is("mixed") && turned)
        unlock(&pm);
    else
        g_mutex_unlock(turned ? &b : &a);
}

static void *one(void *arg)
{
    first(0), second(0), undo_second(0), undo_first(0);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    int turned = !is("same");
    first(turned), second(turned), undo_second(turned), undo_first(turned);
    return arg;
}

static void *waits(void *arg)
{
    g_mutex_lock(&a);
    while (!ready)
        if (!g_cond_wait_until(&c, &a, g_get_monotonic_time() + G_TIME_SPAN_HOUR))
            abort();
    g_mutex_unlock(&a);
    g_mutex_lock(&a);
    while (ready < 2)
        g_cond_wait(&c, &a);
    g_mutex_unlock(&a);
    return arg;
}

static void *wakes(void *arg)
{
    for (int i = 1; i <= 2; i++) {
        g_mutex_lock(&a);
        ready = i;
        g_cond_broadcast(&c);
        g_mutex_unlock(&a);
    }
    return arg;
}

static void *fills(void *arg)
{
    for (int i = 0; i < 100; i++)
        g_async_queue_push(arg, arg);
    return NULL;
}

static void *empties(void *arg)
{
    for (int i = 0; i < 100; i++)
        g_async_queue_pop(arg);
    return NULL;
}

int main(int argc, char **argv)
{
    case_routine f = one, g = two;
    void *arg = NULL;
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("condition"))
        f = waits, g = wakes;
    if (is("queue"))
        f = fills, g = empties, arg = g_async_queue_new();
    GThread *t1 = g_thread_new("one", f, arg), *t2 = g_thread_new("two", g, arg);
    g_thread_join(t1);
    g_thread_join(t2);
    return 0;
}
