/* A buffer that string instructions copy: by one thread before the other begins. With -DBUG by both at once. */
#include <pthread.h>
#include <stdio.h>

static char from[256] = "text", to[256];

static void copy(void)
{
    const char *s = from;
    char *d = to;
    unsigned long n = sizeof to;
    __asm__ volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
}
static void *thread(void *arg)
{
    copy();
    return arg;
}

int main(void)
{
    pthread_t t[2];
    pthread_create(&t[0], NULL, thread, NULL);
#ifndef BUG
    pthread_join(t[0], NULL);
#endif
    pthread_create(&t[1], NULL, thread, NULL);
#ifdef BUG
    pthread_join(t[0], NULL);
#endif
    pthread_join(t[1], NULL);
    puts(to);
}
