/* wild ADDRESS r|w HOW: reads or writes there, with a handler as HOW says, and tells what it saw. For accesses_test.py. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static sigjmp_buf back;
static volatile uintptr_t fault_address;
static volatile int times;

static void *nothing(void *x)
{
    return x;
}
static void leave(int sig)
{
    (void)sig;
    times++;
    siglongjmp(back, 1);
}
static void look(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    times++;
    fault_address = (uintptr_t)info->si_addr;
    siglongjmp(back, 1);
}
__attribute__((noinline)) static int read_it(const volatile int *p)
{
    return *p;
}
__attribute__((noinline)) static void write_it(volatile int *p)
{
    *p = 1;
}

static int is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* False: the default action was not in place, as the program sees it. */
static int handle(const char *how, struct sigaction *a)
{
    struct sigaction old;
    if (is(how, "signal"))
        return signal(SIGSEGV, leave) == SIG_DFL;
    a->sa_handler = is(how, "jump") || is(how, "once") ? leave : is(how, "ignore") ? SIG_IGN : SIG_DFL;
    a->sa_flags = is(how, "once") ? SA_RESETHAND | SA_NODEFER : 0;
    if (is(how, "info")) {
        a->sa_sigaction = look;
        a->sa_flags = SA_SIGINFO;
    }
    sigaction(SIGSEGV, is(how, "none") || is(how, "raise") ? NULL : a, &old);
    if (is(how, "raise"))
        raise(SIGSEGV);
    return old.sa_handler == SIG_DFL && old.sa_flags == 0;
}

int main(int argc, char **argv)
{
    struct sigaction a = {0}, old;
    pthread_t t;
    if (argc < 4)
        return 2;
    pthread_create(&t, NULL, nothing, NULL);
    pthread_join(t, NULL);
    uintptr_t addr = strtoull(argv[1], NULL, 0);
    if (addr == 1)
        addr = (uintptr_t)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!handle(argv[3], &a))
        return 3;
    if (!sigsetjmp(back, 1)) {
        if (argv[2][0] == 'w')
            write_it((int *)addr);
        else
            read_it((int *)addr);
        return 5;
    }
    sigaction(SIGSEGV, NULL, &old);
    printf("%d %d %s\n", times, !is(argv[3], "info") || fault_address == addr || addr >> 47 == 1 || addr >> 60 == 7,
           old.sa_handler == SIG_DFL                             ? "default"
           : old.sa_handler == leave || old.sa_sigaction == look ? "mine"
                                                                 : "else");
    return 0;
}
