/* What an initialiser has done comes before everything that follows a passage, that of a finished flag, too, with nothing
 * held. Who does not ask, or asks for another flag, knows nothing.
 *
 * @case once_orders once
 * @clean
 * @case once_not_asked once not_asked
 * @finding data-race memory=payload side=initialises side=uses
 * @case once_other once other
 * @finding data-race memory=payload side=initialises side=uses
 * @case call_once_orders c11
 * @clean
 * @case call_once_not_asked c11 not_asked
 * @finding data-race memory=payload side=initialises side=uses
 * Some wait for the one that initialises.
 * @case once_waits waits
 * @clean
 */
#include "case.h"

#include <threads.h>

static pthread_once_t flag = PTHREAD_ONCE_INIT, other_flag = PTHREAD_ONCE_INIT;
static once_flag flag_c11 = ONCE_FLAG_INIT;
static int payload;
static char **words;

static int said(const char *word)
{
    for (int i = 1; words[i]; i++)
        if (!strcmp(words[i], word))
            return 1;
    return 0;
}

static void nothing(void) {}

static NOINLINE void initialises(void)
{
    if (said("waits")) {
        step_done(1);
        nap_ms(20); /* the others had better come now; nothing depends on it */
    }
    payload = 1;
}

static void ask(void)
{
    if (said("c11"))
        call_once(&flag_c11, initialises);
    else
        pthread_once(&flag, initialises);
}

static NOINLINE int uses(void)
{
    return *(volatile int *)&payload;
}

static void *first(void *unused)
{
    ask();
    if (said("waits"))
        return unused;
    step_done(2);
    step_wait(3);
    return unused;
}

static void *second(void *unused)
{
    step_wait(said("waits") ? 1 : 2);
    if (said("other"))
        pthread_once(&other_flag, nothing);
    else if (!said("not_asked"))
        ask();
    uses();
    step_done(3);
    return unused;
}

int main(int argc, char **argv)
{
    (void)argc;
    words = argv;
    pthread_t a = start(first, NULL), b = start(second, NULL);
    join(a);
    join(b);
    return 0;
}
