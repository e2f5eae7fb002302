/* A flag says what a round of the helper is for; what another round would do is not reached in this one.
 * expect: data-race memory=executed function=execute function=help function=main */
#include <pthread.h>
#include <stdlib.h>

enum turn { IDLE, READING, WRITING };

static enum turn turn;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int executed, seen;

static void execute(void)
{
    executed++;
}

static void take_input(void)
{
    pthread_mutex_lock(&lock);
    seen++;
    pthread_mutex_unlock(&lock);
#ifdef CLEAN
    if (turn != IDLE)
        return;
#else
    if (turn == WRITING)
        return;
#endif
    execute();
}

static void *help(void *unused)
{
    if (turn == READING)
        take_input();
    return unused;
}

int main(void)
{
    pthread_t thread;
    turn = READING;
    pthread_create(&thread, NULL, help, NULL);
    executed = 0;
    pthread_join(thread, NULL);
    turn = IDLE;
    take_input();
    return 0;
}
