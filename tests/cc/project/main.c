/* A program of two files, a library and a thread; says what it counted. */
#include <pthread.h>
#include <stdio.h>

#include "part.h"

static void *work(void *unused)
{
    for (int i = 0; i < 1000; i++)
        part_add(1);
    return unused;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    work(NULL);
    pthread_join(thread, NULL);
    printf("%s %d\n", PROJECT_WORD, part_sum());
    return 0;
}
