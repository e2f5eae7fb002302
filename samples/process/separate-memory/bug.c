/* Threads and processes: a child process writes a variable, and the parent waits for it to change.
 *
 * The section teaches: threads share the program's memory, processes do not. `fork` gives the child a copy of all
 * variables; what the child writes there, nobody else ever sees.
 *
 * What goes wrong: the child works the answer out and stores it. The parent's `answer` is another variable of the same
 * name, and stays 0.
 *
 * What to look for: the child has the answer, the parent gives up waiting for it. snarl has nothing to report: nothing
 * is shared, so nothing can be raced for. The bug is that something should be. The other programs of this folder show
 * the ways to share, and what sharing without order leads to (`unordered.c`).
 *
 * Usage: bug [SECONDS]    how long the parent waits, 1 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int answer;

static void work_out(void)
{
    answer = 42;
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    int status;
    pid_t child = fork();

    if (child == 0) {
        work_out();
        printf("child:  the answer is %d\n", answer);
        exit(0);
    }
    for (long i = 0; i < 10 * seconds && answer == 0; i++)
        usleep(100000);
    waitpid(child, &status, 0);
    printf("parent: the answer is %d\n", answer);
    return 0;
}
