/* Multiplies square matrices of doubles: every thread reads A's rows and all of B, and writes its rows of C. Whole
 * numbers, so that the result is exact whatever the order. One element: one multiplication and addition. */
#include "../bench.h"

static double *a, *b, *c;

void prepare(void)
{
    unsigned seed = 7;
    a = memory(size * size * (long)sizeof *a);
    b = memory(size * size * (long)sizeof *b);
    c = memory(size * size * (long)sizeof *c);
    for (long i = 0; i < size * size; i++) {
        a[i] = random_next(&seed) % 16;
        b[i] = random_next(&seed) % 16;
    }
}

void part(long number)
{
    for (long k = 0; k < times; k++)
        for (long row = number; row < size; row += threads)
            for (long column = 0; column < size; column++) {
                double sum = 0;
                for (long i = 0; i < size; i++)
                    sum += a[row * size + i] * b[i * size + column];
                c[row * size + column] = sum;
            }
}

/* The sum of C is the product of A's column sums with B's row sums. */
long check(void)
{
    double expected = 0, found = 0;
    for (long i = 0; i < size; i++) {
        double column = 0, row = 0;
        for (long k = 0; k < size; k++) {
            column += a[k * size + i];
            row += b[i * size + k];
            found += c[i * size + k];
        }
        expected += column * row;
    }
    require(found == expected, "product of the matrices");
    return size * size * size * times;
}
