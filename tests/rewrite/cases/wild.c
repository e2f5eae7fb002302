/* Wild pointers: each fault is the program's, at its own instruction, and its handler may jump away. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

static sigjmp_buf back;
static volatile int faults;

static void on_fault(int sig)
{
    faults++;
    siglongjmp(back, sig);
}

int main(void)
{
    static const unsigned long wild[] = {8, 0x123456789000, 0x7fff00000ff0, 0xffff800000000000, 0xdeadbeefdeadbeef};
    int *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    for (volatile int i = 0; i < 6; i++) {
        volatile int *p = i < 5 ? (int *)wild[i] : none;
        if (!sigsetjmp(back, 1))
            *p += 1;
        if (!sigsetjmp(back, 1))
            __atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST);
    }
    printf("%d\n", faults);
}
