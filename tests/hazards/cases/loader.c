/* Modules that come and go.
 *
 * @case dlopen_keeps_runpath runpath
 * @clean
 * Names of a module that is gone when the report is written.
 * @case dlclose_names_kept closed
 * @finding lock-order locks=*plugin_lock,own side=one+plugin_own_first side=two+plugin_other_first
 * @case dlopen_loaded_again again
 * @clean
 * @case the_unwinder_and_the_loaders_lock storm
 * @clean
 * @case dl_iterate_phdr_takes_locks iterate
 * @clean
 * @case backtrace_under_lock backtrace
 * @clean
 */
#include "case.h"
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>

static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;
static int stop;
typedef void (*plugin_call)(pthread_mutex_t *);

static int is(const char *name)
{
    return !strcmp(shape, name);
}

/* By its bare name: found through this program's own RUNPATH, which is $ORIGIN-relative. */
static void *plugin(void)
{
    void *h = dlopen("libhazard-plugin.so", RTLD_NOW | RTLD_LOCAL);
    if (!h)
        dprintf(2, "%s\n", dlerror());
    CHECK(h);
    return h;
}

static plugin_call call(void *h, const char *name)
{
    plugin_call f = (plugin_call)(long)dlsym(h, name);
    CHECK(f);
    return f;
}

static void *one(void *h)
{
    call(h, "plugin_own_first")(&own);
    step_done(1);
    return NULL;
}

static void *two(void *h)
{
    step_wait(1);
    call(h, "plugin_other_first")(&own);
    return NULL;
}

static void *opens_and_closes(void *arg)
{
    for (int i = 0; i < 200; i++) {
        void *h = plugin();
        call(h, "plugin_own_first")(&own);
        dlclose(h);
    }
    stop = 1;
    return arg;
}

static void *new_orders(void *arg)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        pthread_mutex_t *x = malloc(2 * sizeof *x);
        pthread_mutex_init(x, NULL);
        pthread_mutex_init(x + 1, NULL);
        lock(x);
        lock(x + 1);
        unlock(x + 1);
        unlock(x);
        pthread_mutex_destroy(x);
        pthread_mutex_destroy(x + 1);
        free(x);
    }
    return arg;
}

static int visits(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    lock(&own);
    lock(&fresh);
    unlock(&fresh);
    pthread_mutex_destroy(&fresh);
    unlock(&own);
    *(int *)arg += info->dlpi_name != NULL;
    return 0;
}

static void iterate(void)
{
    pthread_t t = start(new_orders, NULL);
    int n = 0;
    for (int i = 0; i < 200; i++)
        dl_iterate_phdr(visits, &n);
    CHECK(n > 200);
    stop = 1;
    join(t);
}

static void traces(void)
{
    void *frames[50];
    for (int i = 0; i < 100; i++) {
        lock(&own);
        CHECK(backtrace(frames, 50) >= 2);
        unlock(&own);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("runpath")) {
        void *h = plugin();
        call(h, "plugin_own_first")(&own);
        dlclose(h);
    } else if (is("closed")) {
        void *h = plugin();
        pthread_t t1 = start(one, h), t2 = start(two, h);
        join(t1);
        join(t2);
        dlclose(h);
        CHECK(!dlopen("libhazard-plugin.so", RTLD_NOW | RTLD_NOLOAD));
    } else if (is("again")) {
        for (int i = 0; i < 10; i++) {
            void *h = plugin();
            call(h, i % 2 ? "plugin_own_first" : "plugin_other_first")(&own);
            dlclose(h);
        }
    } else if (is("storm")) {
        pthread_t t[2] = {start(opens_and_closes, NULL), start(new_orders, NULL)};
        join(t[0]);
        join(t[1]);
    } else if (is("iterate"))
        iterate();
    else
        traces();
    return 0;
}
