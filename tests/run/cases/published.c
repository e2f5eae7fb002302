/* An object locked while it is put into a table cannot be known to anybody else yet: that order closes no cycle. Once
 * it is known, it does.
 *
 * @case not_yet_published fresh
 * @clean
 * @case not_yet_published_many fresh 100
 * @clean
 *
 * The object was handed to the other thread by its creation, so the order can meet the opposite one.
 * @case published_by_create by_create
 * @finding lock-order locks=entry.m,table side=main side=reader
 *
 * Put into the table first, locked together with it again later.
 * @case published_then_again again
 * @finding lock-order locks=entry.m,table side=writer side=reader
 */
#include "case.h"

struct entry {
    int key;
    pthread_mutex_t m;
    int value;
};

static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries[128];
static int nentries, rounds = 1;
static const char *shape;

static void entry_then_table(struct entry *e)
{
    lock(&e->m);
    lock(&table);
    entries[nentries++] = e;
    unlock(&table);
    e->value = 1;
    unlock(&e->m);
}

static struct entry *make(void)
{
    struct entry *e = malloc(sizeof *e);
    pthread_mutex_init(&e->m, NULL);
    return e;
}

static void *writer(void *arg)
{
    for (int i = 0; i < rounds; i++) {
        struct entry *e = make();
        entry_then_table(e);
        step_done(2 * i + 1);
        step_wait(2 * i + 2);
        if (!strcmp(shape, "again")) {
            nentries = 0;
            entry_then_table(e);
        }
    }
    return arg;
}

static void *reader(void *arg)
{
    for (int i = 0; i < rounds; i++) {
        step_wait(2 * i + 1);
        lock(&table);
        struct entry *e = arg ? arg : entries[i];
        lock(&e->m);
        e->value++;
        unlock(&e->m);
        unlock(&table);
        step_done(2 * i + 2);
    }
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (argc > 2)
        rounds = atoi(argv[2]);
    if (!strcmp(shape, "by_create")) {
        struct entry *e = make();
        pthread_t r = start(reader, e);
        entry_then_table(e);
        step_done(1);
        join(r);
        free(e);
        return 0;
    }
    pthread_t w = start(writer, NULL), r = start(reader, NULL);
    join(w);
    join(r);
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_destroy(&entries[i]->m);
        free(entries[i]);
    }
    return 0;
}
