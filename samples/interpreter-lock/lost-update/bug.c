/* The interpreter's lock: every instruction is protected, and additions get lost all the same.
 *
 * The section teaches: an interpreter with one global lock lets one thread interpret at a time. That protects the
 * interpreter, instruction by instruction. It does not protect what the interpreted program does in several of them.
 *
 * What goes wrong: the program that is interpreted here loads a variable, adds one and stores it. Each of the three
 * takes the global lock for itself; between the load and the store another thread may store, too.
 *
 * What to look for: the sum is less than 200,000 on most days. There is no data race: every access to the variable is
 * locked. `snarl run` names the lost update (atomicity): the variable, the two critical sections, and that another
 * thread can write between them.
 *
 * Usage: bug [STEPS]    how far each thread counts, 100000 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum operation { LOAD, ADD, STORE, END };
struct instruction {
    enum operation operation;
    long number;
};
static const struct instruction program[] = {{LOAD, 0}, {ADD, 1}, {STORE, 0}, {END, 0}};

static pthread_mutex_t interpreter_lock = PTHREAD_MUTEX_INITIALIZER;
static long variable;
static long steps = 100000;

/* One instruction. *top is the thread's own place for the value that it works with. */
static void execute(const struct instruction *i, long *top)
{
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
