/* Deadlock in hiding: no function takes two locks, and yet two threads take two locks in opposite order.
 *
 * The section teaches: in real programs locks sit in structures and are taken by the functions that belong to these.
 * Each of them is right by itself. The order comes from who calls whom while holding what, and no single function shows
 * it.
 *
 * What goes wrong: storing a page holds the cache's lock and calls into the index, which takes its own. Rebuilding the
 * index holds the index's lock and calls into the cache, which takes its own.
 *
 * What to look for: the program ends well, because the index happens to be rebuilt when the page is stored. `snarl run`
 * reports the cycle of cache.lock and index.lock; the stacks show the calls that nobody sees in the source.
 *
 * Usage: bug */
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
    pthread_mutex_lock(&index->lock);
    index->entries = cache_count(c); /* takes cache.lock */
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
    sem_wait(&stored); /* the luck of this run */
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
