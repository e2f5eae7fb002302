/* Accesses of some bytes of a word, by pointers that are not where their type says: found where bytes are common, and only
 * there.
 *
 * A long in two halves: bytes 4 to 11.
 * @case bytes_first_half misaligned 7
 * @finding data-race memory=words[] side=writes_word side=writes_byte
 * @case bytes_second_half misaligned 8
 * @finding data-race memory=words[] side=writes_word side=writes_byte
 * @case bytes_last misaligned 11
 * @finding data-race memory=words[] side=writes_word side=writes_byte
 * @case bytes_before misaligned 3
 * @clean
 * @case bytes_behind misaligned 12
 * @clean
 *
 * The same again, after the word was written by this thread in an aligned way: what is known of its first half says
 * nothing of the second.
 * @case bytes_known_half known 8
 * @finding data-race memory=words[] side=writes_word side=writes_byte
 * @case bytes_known_clean known 12
 * @clean
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static char words[32] __attribute__((aligned(16)));
static int at;

__attribute__((noinline)) static void writes_word(uint64_t *p)
{
    *p = 1;
}

__attribute__((noinline)) static void writes_byte(char *p)
{
    *p = 2;
}

static void *other(void *arg)
{
    writes_byte(&words[at]);
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    uint64_t *misaligned;
    char *middle = words + 4;
    memcpy(&misaligned, &middle, sizeof middle);
    at = argc > 2 ? atoi(argv[2]) : 0;
    pthread_create(&thread, 0, other, 0);
    if (argc > 1 && strcmp(argv[1], "known") == 0)
        writes_word((uint64_t *)(void *)words);
    writes_word(misaligned);
    pthread_join(thread, 0);
    return 0;
}
