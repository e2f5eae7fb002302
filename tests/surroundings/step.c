#include "step.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int reached;

void step_done(int n)
{
    __atomic_store_n(&reached, n, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &reached, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void step_wait(int n)
{
    int now;
    while ((now = __atomic_load_n(&reached, __ATOMIC_SEQ_CST)) < n)
        syscall(SYS_futex, &reached, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

void step_alone(void)
{
    struct stat s;
    while (stat("/proc/self/task", &s) == 0 && s.st_nlink > 3)
        sched_yield();
}

static void *kept[100000];
static int nkept;

void step_keep(void *p)
{
    int i = __atomic_fetch_add(&nkept, 1, __ATOMIC_SEQ_CST);
    if (i < (int)(sizeof kept / sizeof *kept))
        kept[i] = p;
}

int step_kept(void *p)
{
    for (int i = 0; i < nkept; i++)
        if (kept[i] == p)
            return 1;
    return 0;
}

void *step_last(void)
{
    return kept[nkept - 1];
}
