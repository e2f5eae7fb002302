/* CRC-32 byte by byte, with a table that all threads read; a buffer each. */
#include "../bench.h"

static unsigned table[256];
static unsigned char *buffer[MOST_THREADS];
static unsigned result[MOST_THREADS];

void prepare(void)
{
    for (unsigned i = 0; i < 256; i++) {
        unsigned value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
        table[i] = value;
    }
    for (long t = 0; t < threads; t++) {
        buffer[t] = memory(size);
        for (long i = 0; i < size; i++)
            buffer[t][i] = (unsigned char)(i * 7 + (i >> 8));
    }
}

void part(long number)
{
    const unsigned char *bytes = buffer[number];
    unsigned crc = ~0u;
    for (long k = 0; k < times; k++)
        for (long i = 0; i < size; i++)
            crc = table[(crc ^ bytes[i]) & 255] ^ crc >> 8;
    result[number] = ~crc;
}

/* The same, bit by bit, without the table. */
long check(void)
{
    unsigned crc = ~0u;
    for (long k = 0; k < times; k++)
        for (long i = 0; i < size; i++) {
            crc ^= (unsigned char)(i * 7 + (i >> 8));
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
        }
    for (long t = 0; t < threads; t++)
        require(result[t] == ~crc, "checksum");
    return size * times * threads;
}
