/* Threads and processes, fixed by a thread: it shares the variable, and is joined before that is read.
 *
 * The section teaches: what is to be worked out together belongs into threads. The join orders what the thread has
 * written before what `main` then reads.
 *
 * What to look for: both know the answer. snarl has nothing to report.
 *
 * Usage: fixed */
#include <pthread.h>
#include <stdio.h>

static int answer;

static void *work_out(void *unused)
{
    answer = 42;
    printf("thread: the answer is %d\n", answer);
    return unused;
}

int main(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, work_out, NULL);
    pthread_join(thread, NULL);
    printf("main:   the answer is %d\n", answer);
    return 0;
}
