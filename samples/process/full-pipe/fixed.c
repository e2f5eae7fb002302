/* A full pipe, fixed: first read all of the result, then wait for the end of the child.
 *
 * The section teaches: the end of the data is the end of the work. `main` reads until the child has closed its end of
 * the pipe; after that, waiting for the child takes no time.
 *
 * What to look for: the sum, however many numbers there are. snarl has nothing to report.
 *
 * Usage: fixed [NUMBERS]    how many squares the child sends, 100000 */
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
    printf("sum: %ld\n", sum_squares(ends[0]));
    waitpid(child, &status, 0);
    return 0;
}
