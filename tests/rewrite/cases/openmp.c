/* OPENMP: from the first region on its library orders what it begins and ends. */
#include <stdio.h>

static long sum[64], lost;

int main(void)
{
    long all = 0;
    for (int round = 0; round < 5; round++) {
#pragma omp parallel for num_threads(2) schedule(static)
        for (int i = 0; i < 64; i++) {
            sum[i] += i + round;
#ifdef BUG
            lost++;
#endif
        }
        for (int i = 0; i < 64; i++)
            all += sum[i];
    }
    printf("%ld\n", all + 0 * lost);
}
