/* What dlopen brings is watched from its constructors on, and is forgotten with dlclose: loaded several times over. Built
 * twice: as the program, and with -DPLUGIN as what it opens. -DBUG: the plugin counts without its lock. */
#include <pthread.h>

#ifdef PLUGIN
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long calls;

static void *work(void *unused)
{
    for (int i = 0; i < 100; i++) {
#ifndef BUG
        pthread_mutex_lock(&lock);
#endif
        calls++;
#ifndef BUG
        pthread_mutex_unlock(&lock);
#endif
    }
    (void)&lock;
    return unused;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, work, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

long plugin_calls(void)
{
    return calls > 0;
}
#else
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    char path[4096];
    long sum = 0;
    (void)argc;
    snprintf(path, sizeof path, "%s.so", argv[0]);
    for (int i = 0; i < 5; i++) {
        void *plugin = dlopen(path, RTLD_NOW);
        if (!plugin) {
            puts(dlerror());
            return 1;
        }
        long (*calls)(void) = (long (*)(void))dlsym(plugin, "plugin_calls");
        sum += calls();
        dlclose(plugin);
    }
    printf("%ld\n", sum);
}
#endif
