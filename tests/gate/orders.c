/* Orders of locks, one each run: orders MODE... takes what the modes say, each in a thread of its own, one after the
 * other: between two of them main waits, but they could run at the same time, for all that the must order says. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, c = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER, paths = PTHREAD_RWLOCK_INITIALIZER;

struct node {
    pthread_mutex_t lock;
    int value;
};
static struct node *parent, *child;
static int sum;

__attribute__((noinline)) static void nest(pthread_mutex_t *outer, pthread_mutex_t *inner)
{
    pthread_mutex_lock(outer);
    pthread_mutex_lock(inner);
    sum++;
    pthread_mutex_unlock(inner);
    pthread_mutex_unlock(outer);
}

static void *a_then_b(void *unused)
{
    nest(&a, &b);
    return unused;
}

static void *b_then_a(void *unused)
{
    nest(&b, &a);
    return unused;
}

static void *b_then_c(void *unused)
{
    nest(&b, &c);
    return unused;
}

static void *c_then_a(void *unused)
{
    nest(&c, &a);
    return unused;
}

static void *gated_ab(void *unused)
{
    pthread_mutex_lock(&gate);
    nest(&a, &b);
    pthread_mutex_unlock(&gate);
    return unused;
}

static void *gated_ba(void *unused)
{
    pthread_mutex_lock(&gate);
    nest(&b, &a);
    pthread_mutex_unlock(&gate);
    return unused;
}

static void *try_ba(void *unused)
{
    pthread_mutex_lock(&b);
    if (pthread_mutex_trylock(&a) == 0)
        pthread_mutex_unlock(&a);
    pthread_mutex_unlock(&b);
    return unused;
}

static void timed(pthread_mutex_t *outer, pthread_mutex_t *inner)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    if (pthread_mutex_timedlock(outer, &end))
        return;
    if (pthread_mutex_timedlock(inner, &end) == 0)
        pthread_mutex_unlock(inner);
    pthread_mutex_unlock(outer);
}

static void *timed_ab(void *unused)
{
    timed(&a, &b);
    return unused;
}

static void *timed_ba(void *unused)
{
    timed(&b, &a);
    return unused;
}

static void *readers_tp(void *unused)
{
    pthread_rwlock_rdlock(&table);
    pthread_rwlock_rdlock(&paths);
    sum++;
    pthread_rwlock_unlock(&paths);
    pthread_rwlock_unlock(&table);
    return unused;
}

static void *readers_pt(void *unused)
{
    pthread_rwlock_rdlock(&paths);
    pthread_rwlock_rdlock(&table);
    sum++;
    pthread_rwlock_unlock(&table);
    pthread_rwlock_unlock(&paths);
    return unused;
}

static void *writer_pt(void *unused)
{
    pthread_rwlock_wrlock(&paths);
    pthread_rwlock_wrlock(&table);
    sum++;
    pthread_rwlock_unlock(&table);
    pthread_rwlock_unlock(&paths);
    return unused;
}

static void *writer_tp(void *unused)
{
    pthread_rwlock_wrlock(&table);
    pthread_rwlock_wrlock(&paths);
    sum++;
    pthread_rwlock_unlock(&paths);
    pthread_rwlock_unlock(&table);
    return unused;
}

static struct between {
    long users;
    pthread_mutex_t first, second;
} * between;

static void make_nodes(void)
{
    pthread_mutexattr_t attr;
    between = mmap(NULL, sizeof *between, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&between->first, &attr);
    pthread_mutex_init(&between->second, &attr);
    parent = calloc(1, sizeof *parent);
    child = calloc(1, sizeof *child);
    pthread_mutex_init(&parent->lock, NULL);
    pthread_mutex_init(&child->lock, NULL);
}

static void *node_then_a(void *unused)
{
    nest(&parent->lock, &child->lock);
    nest(&child->lock, &a);
    return unused;
}

static void *a_then_node(void *unused)
{
    nest(&child->lock, &parent->lock);
    nest(&a, &parent->lock);
    return unused;
}

static void *lower_first(void *unused)
{
    struct node *low = parent < child ? parent : child, *high = parent < child ? child : parent;
    nest(&low->lock, &high->lock);
    return unused;
}

static void *higher_first(void *unused)
{
    struct node *low = parent < child ? parent : child, *high = parent < child ? child : parent;
    nest(&high->lock, &low->lock);
    return unused;
}

static void *shared_12(void *unused)
{
    nest(&between->first, &between->second);
    return unused;
}

static void *shared_21(void *unused)
{
    nest(&between->second, &between->first);
    return unused;
}

static void *nothing(void *unused)
{
    pthread_mutex_lock(&c);
    pthread_mutex_unlock(&c);
    return unused;
}

static const struct {
    const char *name;
    void *(*run)(void *);
} modes[] = {
    {"ab", a_then_b},           {"ba", b_then_a},           {"bc", b_then_c},           {"ca", c_then_a},
    {"gated_ab", gated_ab},     {"gated_ba", gated_ba},     {"try_ba", try_ba},         {"timed_ab", timed_ab},
    {"timed_ba", timed_ba},     {"readers_tp", readers_tp}, {"readers_pt", readers_pt}, {"writer_pt", writer_pt},
    {"writer_tp", writer_tp},   {"node_a", node_then_a},    {"a_node", a_then_node},    {"low_high", lower_first},
    {"high_low", higher_first}, {"shared_12", shared_12},   {"shared_21", shared_21},   {"nothing", nothing}};

static void *(*find(const char *name))(void *)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, name) == 0)
            return modes[i].run;
    fprintf(stderr, "no mode %s\n", name);
    exit(3);
}

struct job {
    void *(*run)(void *);
    sem_t go, done;
};

/* Runs its job when told to, and stays: threads of one run are never ordered. */
static void *worker(void *arg)
{
    struct job *job = arg;
    sem_wait(&job->go);
    job->run(NULL);
    sem_post(&job->done);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread[16];
    struct job job[16];
    int n = 0;
    make_nodes();
    for (int i = 1; i < argc && n < 16; i++) {
        const char *word = argv[i];
        if (strncmp(word, "main:", 5) == 0) { /* in the main thread, here and now */
            find(word + 5)(NULL);
        } else if (strncmp(word, "alone:", 6) == 0) { /* in a thread that ends before anything else happens */
            pthread_create(&thread[n], NULL, find(word + 6), NULL);
            pthread_join(thread[n], NULL);
        } else if (strncmp(word, "child:", 6) == 0) { /* in a child process */
            pid_t pid = fork();
            if (pid == 0) {
                find(word + 6)(NULL);
                _exit(0);
            }
            waitpid(pid, NULL, 0);
        } else {
            job[n].run = find(word);
            sem_init(&job[n].go, 0, 0);
            sem_init(&job[n].done, 0, 0);
            pthread_create(&thread[n], NULL, worker, &job[n]);
            n++;
        }
    }
    for (int i = 0; i < n; i++) {
        sem_post(&job[i].go);
        sem_wait(&job[i].done);
    }
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    return 0;
}
