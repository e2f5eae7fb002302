/* Threads and processes: a thread writes a variable, and `main` waits for it to change.
 *
 * The section teaches: threads share all variables, and that is what can go wrong with them. That a value arrives does
 * not mean that it arrives whole, in time, or together with others: without a lock, an atomic or a join, the compiler
 * and the processor may put reads and writes where they like.
 *
 * What goes wrong: `main` looks at `answer` again and again while the thread writes it. An optimising compiler may look
 * once, and never again.
 *
 * What to look for: the answer arrives, in this build. `snarl run` reports the data race on `answer`.
 *
 * Usage: unordered */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static int answer;

static void *work_out(void *unused)
{
    answer = 42;
    return unused;
}

int main(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, work_out, NULL);
    while (answer == 0)
        usleep(1000);
    printf("main: the answer is %d\n", answer);
    pthread_join(thread, NULL);
    return 0;
}
