/* Another preload: wraps malloc with dlsym, under a pthread mutex of its own, as memory profilers do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

static void *(*real_malloc)(size_t);
static void (*real_free)(void *);
static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long count;
static char early[65536];
static size_t early_used;
static int resolving;

static void resolve(void)
{
    resolving = 1;
    real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    resolving = 0;
}

void *malloc(size_t size)
{
    if (!real_malloc && !resolving)
        resolve();
    if (!real_malloc) {
        size_t at = early_used;
        early_used += (size + 15) & ~(size_t)15;
        return early_used <= sizeof early ? early + at : NULL;
    }
    pthread_mutex_lock(&count_lock);
    count++;
    pthread_mutex_unlock(&count_lock);
    return real_malloc(size);
}

void free(void *p)
{
    if ((char *)p >= early && (char *)p < early + sizeof early)
        return;
    if (!real_free && !resolving)
        resolve();
    if (real_free)
        real_free(p);
}
