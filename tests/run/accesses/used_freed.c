/* A block is used by one thread after another one has freed it, in an order that a lock or a join makes.
 *
 * @case freed_read read
 * @finding use-after-free memory=main#* side=uses side=gives
 * @case freed_written write
 * @finding use-after-free memory=main#* side=uses side=gives
 * @case freed_atomic atomic
 * @finding use-after-free memory=main#* side=uses side=gives
 * By a function of libc.
 * @case freed_copied copy
 * @finding use-after-free memory=main#* side=uses side=gives
 * @case freed_joined read joined
 * @finding use-after-free memory=main#* side=uses side=gives
 * Its bytes had been written just before.
 * @case freed_filled read filled
 * @finding use-after-free memory=main#* side=uses side=gives
 * Without an order it is a race.
 * @case freed_unordered read unordered
 * @finding data-race memory=main#* side=uses side=gives
 *
 * The use comes first; the pointer is gone with the block; the memory is another block by then.
 * @case freed_after read after
 * @clean
 * @case freed_taken_away read away
 * @clean
 * @case freed_again read again
 * @clean
 */
#include "case.h"

static char **words;
static int *block;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int said(const char *word)
{
    for (int i = 1; words[i]; i++)
        if (!strcmp(words[i], word))
            return 1;
    return 0;
}

static void enter(void)
{
    if (!said("unordered"))
        pthread_mutex_lock(&mutex);
}
static void leave(void)
{
    if (!said("unordered"))
        pthread_mutex_unlock(&mutex);
}

static NOINLINE void gives(void)
{
    if (said("filled"))
        memset(block, 1, 64 * sizeof *block);
    free(block);
    if (said("away"))
        block = NULL;
    if (said("again")) /* the freed one is given out again at some time, or another one is */
        for (int i = 0; i < 2000; i++)
            free(block = malloc(64 * sizeof *block));
    if (said("again"))
        block = calloc(64, sizeof *block);
}

static NOINLINE void uses(void)
{
    int *volatile at = block;
    char there[8];
    if (!at)
        return;
    if (said("write"))
        at[2] = 1;
    else if (said("atomic"))
        __atomic_fetch_add(&at[2], 1, __ATOMIC_SEQ_CST);
    else if (said("copy"))
        CHECK(memcpy(there, &at[2], sizeof there) && *(volatile char *)there != 77);
    else
        CHECK(((volatile int *)at)[2] != 77);
}

static void *giver(void *unused)
{
    if (said("after"))
        step_wait(1);
    enter();
    gives();
    leave();
    step_done(1);
    return unused;
}

static void *user(void *unused)
{
    if (!said("after"))
        step_wait(1);
    enter();
    uses();
    leave();
    step_done(1);
    return unused;
}

int main(int argc, char **argv)
{
    (void)argc;
    words = argv;
    block = calloc(64, sizeof *block);
    pthread_t a = start(giver, NULL);
    if (said("joined")) {
        join(a);
        uses();
        return 0;
    }
    pthread_t b = start(user, NULL);
    join(a);
    join(b);
    return 0;
}
