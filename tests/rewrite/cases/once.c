/* A handler that is to be used once, while faults may also be rewriting's own: of two threads that fault together neither may
 * find the default action before the program's own fault has come. So the kernel is not told of SA_RESETHAND. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    unsigned long mask;
};

static sigjmp_buf back;
static int times;

static void leave(int sig)
{
    (void)sig;
    times++;
    siglongjmp(back, 1);
}

static void *nothing(void *p)
{
    return p;
}

int main(void)
{
    struct sigaction once = {.sa_handler = leave, .sa_flags = SA_RESETHAND | SA_NODEFER}, now;
    struct kernel_action kernel;
    pthread_t t;
    pthread_create(&t, NULL, nothing, NULL);
    pthread_join(t, NULL);
    sigaction(SIGSEGV, &once, NULL);
    syscall(SYS_rt_sigaction, SIGSEGV, NULL, &kernel, 8);
    sigaction(SIGSEGV, NULL, &now);
    printf("%s %s ", now.sa_flags & SA_RESETHAND ? "once" : "always", kernel.flags & SA_RESETHAND ? "once" : "always");
    if (!sigsetjmp(back, 1))
        *(volatile int *)8 = 1;
    sigaction(SIGSEGV, NULL, &now);
    printf("%d %s\n", times, now.sa_handler == SIG_DFL ? "default" : "mine");
}
