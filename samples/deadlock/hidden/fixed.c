/* Deadlock in hiding, fixed: rebuilding asks the cache before it takes the index's own lock.
 *
 * The section teaches: keep no lock while calling into another part that has locks of its own, or write the one allowed
 * order down where both parts see it. Here the order is cache before index.
 *
 * What to look for: the same structures, the same helper functions, the same work; snarl has nothing to report.
 *
 * Usage: fixed */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

struct index {
    pthread_mutex_t lock;
    long entries;
};
struct cache {
    long pages;
    char *newest;
    pthread_mutex_t lock;
    struct index *index;
};
static struct cache *cache;
static sem_t stored;

static void index_add(struct index *index)
{
    pthread_mutex_lock(&index->lock);
    index->entries++;
    pthread_mutex_unlock(&index->lock);
}

static void cache_store(struct cache *c, char *page)
{
    pthread_mutex_lock(&c->lock);
    c->pages++;
    c->newest = page;
    index_add(c->index); /* takes index.lock */
    pthread_mutex_unlock(&c->lock);
}

static long cache_count(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    long pages = c->pages;
    pthread_mutex_unlock(&c->lock);
    return pages;
}

static void index_rebuild(struct index *index, struct cache *c)
{
    long pages = cache_count(c); /* takes cache.lock, and has given it back when it returns */
    pthread_mutex_lock(&index->lock);
    index->entries = pages;
    pthread_mutex_unlock(&index->lock);
}

static void *reader(void *page)
{
    cache_store(cache, page);
    sem_post(&stored);
    return NULL;
}

static void *maintainer(void *unused)
{
    (void)unused;
    sem_wait(&stored);
    index_rebuild(cache->index, cache);
    return NULL;
}

int main(void)
{
    static char page[] = "page";
    pthread_t threads[2];

    cache = calloc(1, sizeof(struct cache));
    cache->index = calloc(1, sizeof(struct index));
    pthread_mutex_init(&cache->lock, NULL);
    pthread_mutex_init(&cache->index->lock, NULL);
    sem_init(&stored, 0, 0);
    pthread_create(&threads[0], NULL, reader, page);
    pthread_create(&threads[1], NULL, maintainer, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    printf("%ld pages, %ld index entries\n", cache->pages, cache->index->entries);
    pthread_mutex_destroy(&cache->index->lock);
    pthread_mutex_destroy(&cache->lock);
    free(cache->index);
    free(cache);
    return 0;
}
