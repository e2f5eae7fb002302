/* The interpreter's lock, fixed: the interpreted program has a lock of its own around the three instructions.
 *
 * The section teaches: shared variables need a lock in an interpreted program, too, one that belongs to the program. It
 * is held from the load to the store, while the interpreter's lock comes and goes.
 *
 * What to look for: 200,000, each time. An instruction that waits for the program's lock must not hold the interpreter's
 * lock meanwhile, or nobody could ever release the former. snarl has nothing to report.
 *
 * Usage: fixed [STEPS]    how far each thread counts, 100000 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum operation { ACQUIRE, LOAD, ADD, STORE, RELEASE, END };
struct instruction {
    enum operation operation;
    long number;
};
static const struct instruction program[] = {{ACQUIRE, 0}, {LOAD, 0}, {ADD, 1}, {STORE, 0}, {RELEASE, 0}, {END, 0}};

static pthread_mutex_t interpreter_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t variable_lock = PTHREAD_MUTEX_INITIALIZER;
static long variable;
static long steps = 100000;

/* One instruction. *top is the thread's own place for the value that it works with. */
static void execute(const struct instruction *i, long *top)
{
    if (i->operation == ACQUIRE)
        pthread_mutex_lock(&variable_lock); /* may wait: not under the interpreter's lock */
    pthread_mutex_lock(&interpreter_lock);
    switch (i->operation) {
    case LOAD:
        *top = variable;
        break;
    case ADD:
        *top += i->number;
        break;
    case STORE:
        variable = *top;
        break;
    case RELEASE:
        pthread_mutex_unlock(&variable_lock);
        break;
    case ACQUIRE:
    case END:
        break;
    }
    pthread_mutex_unlock(&interpreter_lock);
}

static void *interpret(void *unused)
{
    long top;

    for (long n = 0; n < steps; n++)
        for (const struct instruction *i = program; i->operation != END; i++)
            execute(i, &top);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        steps = strtol(argv[1], NULL, 10);
    pthread_create(&threads[0], NULL, interpret, NULL);
    pthread_create(&threads[1], NULL, interpret, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    printf("%ld of %ld\n", variable, 2 * steps);
    return 0;
}
