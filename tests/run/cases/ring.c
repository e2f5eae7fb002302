/* Philosophers: thread i takes fork i, then fork i+1, one thread after the other. Found without ever blocking, whatever
 * the size.
 *
 * @case ring3 3 around
 * @finding lock-order locks=fork_lock[0],fork_lock[1],fork_lock[2]
 * @case ring5 5 around
 * @finding lock-order locks=fork_lock[0],fork_lock[1],fork_lock[2],fork_lock[3],fork_lock[4] counts=yes
 * @case ring16 16 around
 * @finding lock-order locks=fork_lock[*]
 *
 * The last one takes the lower number first, like everybody else.
 * @case ring5_ordered 5 ordered
 * @clean
 *
 * A gate for each pair of neighbours, as a ring of three has it: no two threads can ever be inside together.
 * @case ring3_gate_per_pair 3 pair_gates
 * @clean
 *
 * Only two of the three share a gate: still all three cannot be inside together.
 * @case ring3_gate_for_two 3 gate_for_two
 * @clean
 *
 * Each has a gate, but nobody shares one.
 * @case ring3_own_gates 3 own_gates
 * @finding lock-order locks=fork_lock[0],fork_lock[1],fork_lock[2]
 *
 * Each thread takes two neighbours' forks by itself, but all by one thread after another that were joined.
 * @case ring5_joined 5 joined
 * @clean
 */
#include "case.h"

static pthread_mutex_t fork_lock[16];
static pthread_mutex_t gates[16];
static int n;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

NOINLINE static void eat(int first, int second)
{
    lock(&fork_lock[first]);
    lock(&fork_lock[second]);
    unlock(&fork_lock[second]);
    unlock(&fork_lock[first]);
}

static void *philosopher(void *arg)
{
    int i = (int)(long)arg, next = (i + 1) % n;
    if (!is("joined"))
        step_wait(i);
    if (is("ordered"))
        eat(i < next ? i : next, i < next ? next : i);
    else if (is("pair_gates")) { /* gate k is shared by thread k and k+1; taken in ascending order */
        int mine = i, before = (i + n - 1) % n;
        lock(&gates[mine < before ? mine : before]);
        lock(&gates[mine < before ? before : mine]);
        eat(i, next);
        unlock(&gates[mine]);
        unlock(&gates[before]);
    } else if (is("gate_for_two") && i < 2) {
        lock(&gates[0]);
        eat(i, next);
        unlock(&gates[0]);
    } else if (is("own_gates")) {
        lock(&gates[i]);
        eat(i, next);
        unlock(&gates[i]);
    } else
        eat(i, next);
    step_done(i + 1);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t t[16];
    if (argc < 3)
        return 64;
    n = atoi(argv[1]);
    shape = argv[2];
    for (int i = 0; i < n; i++) {
        pthread_mutex_init(&fork_lock[i], NULL);
        pthread_mutex_init(&gates[i], NULL);
    }
    for (long i = 0; i < n; i++) {
        t[i] = start(philosopher, (void *)i);
        if (is("joined"))
            join(t[i]);
    }
    for (int i = 0; i < n && !is("joined"); i++)
        join(t[i]);
    return 0;
}
