/* A full pipe: the parent waits for the end of the child, the child waits until somebody reads.
 *
 * The section teaches: a pool of processes sends results back through pipes, and a pipe has room for little (64 KiB on
 * Linux). Who has written more than that waits for a reader.
 *
 * What goes wrong: `main` wants to read the result when the child is done. But the child is done only when its result
 * is read.
 *
 * What to look for: with a small result the program works; with 100,000 numbers it hangs, and no lock is involved.
 * `snarl run` says that it is stuck: the child in `write`, the parent in `waitpid`.
 *
 * Usage: bug [NUMBERS]    how many squares the child sends, 100000 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static long numbers = 100000;

static void send_squares(int pipe_end)
{
    FILE *out = fdopen(pipe_end, "w");

    for (long i = 0; i < numbers; i++) {
        long square = i * i;
        fwrite(&square, sizeof square, 1, out);
    }
    fclose(out);
}

static long sum_squares(int pipe_end)
{
    FILE *in = fdopen(pipe_end, "r");
    long square, sum = 0;

    while (fread(&square, sizeof square, 1, in) == 1)
        sum += square;
    fclose(in);
    return sum;
}

int main(int argc, char **argv)
{
    int ends[2], status;

    if (argc > 1)
        numbers = strtol(argv[1], NULL, 10);
    if (pipe(ends) != 0) {
        perror("pipe");
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        send_squares(ends[1]);
        exit(0);
    }
    close(ends[1]);
    waitpid(child, &status, 0); /* first the end, then the result: the wrong order */
    printf("sum: %ld\n", sum_squares(ends[0]));
    return 0;
}
