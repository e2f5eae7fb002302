/* Compresses bytes against what came before (a hash of three bytes finds it) and unpacks them again; a buffer each. */
#include "../bench.h"

#include <string.h>

#define HASHES 4096

static unsigned char *plain[MOST_THREADS], *packed[MOST_THREADS], *again[MOST_THREADS];
static int last[MOST_THREADS][HASHES];

void prepare(void)
{
    for (long t = 0; t < threads; t++) {
        unsigned seed = (unsigned)t;
        plain[t] = memory(size + 2);
        packed[t] = memory(2 * size);
        again[t] = memory(size);
        for (long i = 0; i < size + 2; i++)
            plain[t][i] = "LOCK"[random_next(&seed) >> 20 & 3];
    }
}

/* Pairs: (0, byte) is that byte; (length, distance low, distance high) a copy. */
static long compress(const unsigned char *src, long n, unsigned char *out, int *seen)
{
    long o = 0;
    for (long i = 0; i < n;) {
        unsigned h = ((unsigned)src[i] * 2039 + (unsigned)src[i + 1] * 331 + src[i + 2]) % HASHES;
        long from = seen[h] - 1L, length = 0;
        seen[h] = (int)i + 1;
        if (from >= 0 && i - from < 65536)
            while (length < 255 && i + length < n && src[from + length] == src[i + length])
                length++;
        length = length > 3 ? length : 0;
        out[o++] = (unsigned char)length;
        out[o++] = length ? (unsigned char)(i - from) : src[i];
        if (length)
            out[o++] = (unsigned char)((i - from) >> 8);
        i += length ? length : 1;
    }
    return o;
}

static void expand(const unsigned char *src, long n, unsigned char *out)
{
    for (long i = 0; i < n;) {
        long length = src[i++], distance = src[i++];
        if (!length)
            *out++ = (unsigned char)distance;
        else
            distance += src[i++] * 256L;
        for (; length; length--, out++)
            *out = out[-distance];
    }
}

void part(long number)
{
    for (long k = 0; k < times; k++) {
        memset(last[number], 0, sizeof last[number]);
        expand(packed[number], compress(plain[number], size, packed[number], last[number]), again[number]);
    }
}

long check(void)
{
    for (long t = 0; t < threads; t++)
        require(!memcmp(plain[t], again[t], (size_t)size), "bytes after packing and unpacking");
    return size * times * threads;
}
