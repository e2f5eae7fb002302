/* A counter in shared memory: two processes add to it, and additions get lost.
 *
 * The section teaches: what processes share, they can race for, just like threads. That each has its own memory
 * protects only what is not shared.
 *
 * What goes wrong: both children count to 100,000 on the same variable in MAP_SHARED memory, without a lock.
 *
 * What to look for: the sum is less than 200,000 on most days. `snarl run` reports the data race between the two
 * processes on any day.
 *
 * Usage: bug [STEPS]    how far each process counts, 100000 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static long steps = 100000;
static long *counter;

static void count(void)
{
    for (long i = 0; i < steps; i++)
        ++*counter;
}

static void start(void (*work_of_child)(void))
{
    pid_t pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) {
        work_of_child();
        exit(0);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        steps = strtol(argv[1], NULL, 10);
    counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counter == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    start(count);
    start(count);
    while (wait(NULL) > 0)
        ;
    printf("%ld of %ld\n", *counter, 2 * steps);
    return 0;
}
