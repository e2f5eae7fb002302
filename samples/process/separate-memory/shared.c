/* Threads and processes, fixed by shared memory: the answer lies where both processes see it.
 *
 * The section teaches: processes share what they agree to share. Memory that is mapped with MAP_SHARED before the fork
 * is the same memory in both; the wait for the child's end orders what it has written before what the parent reads.
 *
 * What to look for: both know the answer. snarl has nothing to report.
 *
 * Usage: shared */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int *answer;

static void work_out(void)
{
    *answer = 42;
}

int main(void)
{
    int status;

    answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answer == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        work_out();
        printf("child:  the answer is %d\n", *answer);
        exit(0);
    }
    waitpid(child, &status, 0);
    printf("parent: the answer is %d\n", *answer);
    munmap(answer, sizeof *answer);
    return 0;
}
