/* A signal that waits for a thread whose first instruction is still to come: its handler is that thread's, and knows
 * what the creator had done. The mask that the program gives its threads is the mask they get.
 *
 * @case signal_at_birth
 * @clean
 * @case signal_at_birth_c11 c11
 * @clean
 * What the handler writes is the new thread's; somebody else races with it.
 * @case signal_at_birth_races races
 * @finding data-race memory=payload side=handler side=main
 * @case signal_masks masks
 * @clean
 */
#include "case.h"

#include <threads.h>

#define THREADS 50 /* in some the signal comes that early */

static int before, payload;
static sem_t posted; /* what makes snarl look at the thread */
static int handled;  /* by uninstrumented instructions */
static char **words;

static NOINLINE void handler(int sig)
{
    (void)sig;
    sem_post(&posted);
    before++;
    payload++;
    word_add(&handled, 1);
}

static void *body(void *unused)
{
    while (!word_get(&handled))
        nap_ms(1);
    CHECK(*(volatile int *)&payload >= 1 && before == 1);
    return unused;
}

static int body_c11(void *unused)
{
    body(unused);
    return 0;
}

static void *has_mask(void *wanted)
{
    sigset_t now;
    CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &now));
    for (int sig = 1; sig < 32; sig++)
        CHECK(sigismember(&now, sig) == (sig != SIGKILL && sig != SIGSTOP && sigismember(wanted, sig)));
    return NULL;
}

static void masks(void)
{
    sigset_t mine, given;
    pthread_attr_t attr;
    pthread_t t;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    CHECK(!pthread_sigmask(SIG_SETMASK, &mine, NULL));
    CHECK(!pthread_create(&t, NULL, has_mask, &mine));
    join(t);
    for (int full = 0; full < 2; full++) {
        (full ? sigfillset : sigemptyset)(&given);
        pthread_attr_init(&attr);
        CHECK(!pthread_attr_setsigmask_np(&attr, &given));
        CHECK(!pthread_create(&t, &attr, has_mask, &given));
        join(t);
        pthread_attr_destroy(&attr);
    }
    has_mask(&mine);
}

static void one_thread(void)
{
    thrd_t c;
    pthread_t t;
    word_swap(&handled, 0);
    before = payload = 0;
    if (shape_is(words, "c11")) {
        CHECK(thrd_create(&c, body_c11, NULL) == thrd_success);
        t = (pthread_t)c;
    } else {
        t = start(body, NULL);
    }
    CHECK(!pthread_kill(t, SIGUSR1));
    if (shape_is(words, "races")) {
        while (!word_get(&handled))
            nap_ms(1);
        payload++;
    }
    if (shape_is(words, "c11"))
        thrd_join(c, NULL);
    else
        join(t);
}

int main(int argc, char **argv)
{
    (void)argc;
    words = argv;
    if (shape_is(words, "masks")) {
        masks();
        return 0;
    }
    struct sigaction act = {.sa_handler = handler};
    CHECK(!sigaction(SIGUSR1, &act, NULL));
    sem_init(&posted, 0, 0);
    for (int i = 0; i < (shape_is(words, "races") ? 1 : THREADS); i++)
        one_thread();
    return 0;
}
