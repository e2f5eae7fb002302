/* Does what its arguments say, one after the other, each a finding of its own or none (tests/run/found_test.py). */
#include <stdint.h>

#include "case.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, c = PTHREAD_MUTEX_INITIALIZER,
                       d = PTHREAD_MUTEX_INITIALIZER, loose = PTHREAD_MUTEX_INITIALIZER;
static int hits, others, guarded, balance;
static struct account {
    long number, value;
} * account;

NOINLINE static void count_hits(void)
{
    hits++;
}

NOINLINE static void count_others(void)
{
    others++;
}

NOINLINE static void count_guarded(void)
{
    lock(&a);
    guarded++;
    unlock(&a);
}

/* By itself a compiler may well make a variable of what is allocated once. */
NOINLINE static struct account *make_account(void)
{
    struct account *made = calloc(1, sizeof *made);
    return made;
}

NOINLINE static void count_account(void)
{
    account->value++;
}

NOINLINE static int read_balance(void)
{
    lock(&a);
    int now = balance;
    unlock(&a);
    return now;
}

NOINLINE static void write_balance(int value)
{
    lock(&a);
    balance = value;
    unlock(&a);
}

/* Between reading and writing the other thread writes. */
static void deposit(void)
{
    int now = read_balance();
    meet(0, 2);
    write_balance(now + 1);
}

NOINLINE static void take(pthread_mutex_t *first, pthread_mutex_t *second)
{
    lock(first);
    lock(second);
    unlock(second);
    unlock(first);
}

NOINLINE static void ab(void)
{
    take(&a, &b);
}

NOINLINE static void ba(void)
{
    take(&b, &a);
}

NOINLINE static void cd(void)
{
    take(&c, &d);
}

NOINLINE static void dc(void)
{
    take(&d, &c);
}

/* One after the other, by what snarl takes for no order: the opposite orders never meet. */
static int firsts, seconds;
static void ab_first(void)
{
    ab();
    word_set(&firsts, word_get(&firsts) + 1);
}

static void then_ba(void)
{
    word_wait(&firsts, ++seconds);
    ba();
}

static void cd_first(void)
{
    cd();
    word_set(&firsts, word_get(&firsts) + 1);
}

static void then_dc(void)
{
    word_wait(&firsts, ++seconds);
    dc();
}

NOINLINE static void unlock_loose(void)
{
    pthread_mutex_unlock(&loose);
}

static void meeting(pthread_mutex_t *first, pthread_mutex_t *second)
{
    lock(first);
    meet(0, 2);
    lock(second);
}

static void meets_ab(void)
{
    meeting(&a, &b);
}

static void meets_ba(void)
{
    meeting(&b, &a);
}

static void *run(void *function)
{
    ((void (*)(void))(uintptr_t)function)();
    return NULL;
}

/* Two threads that nothing but the program's own steps keeps apart. */
static void two(void (*first)(void), void (*second)(void))
{
    pthread_t x = start(run, (void *)(uintptr_t)first), y = start(run, (void *)(uintptr_t)second);
    join(x);
    join(y);
}

/* The line at once: gdb writes there, too. */
static void say(const char *text)
{
    char line[64];
    int n = snprintf(line, sizeof line, "did %s\n", text);
    if (write(1, line, (size_t)n) < 0)
        _exit(9);
}

static void child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        two(ab_first, then_ba);
        say("more in the child");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*first)(void), (*second)(void);
    } deeds[] = {{"race", count_hits, count_hits},          {"other_race", count_others, count_others},
                 {"no_race", count_guarded, count_guarded}, {"order", ab_first, then_ba},
                 {"other_order", cd_first, then_dc},        {"one_order", ab, ab},
                 {"heap", count_account, count_account},    {"lost", deposit, deposit},
                 {"deadlock", meets_ab, meets_ba}};
    account = make_account();
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; k < sizeof deeds / sizeof *deeds; k++)
            if (strcmp(argv[i], deeds[k].name) == 0)
                two(deeds[k].first, deeds[k].second);
        if (strcmp(argv[i], "misuse") == 0)
            unlock_loose();
        else if (strcmp(argv[i], "child") == 0)
            child();
        else if (strcmp(argv[i], "pipe") == 0) { /* a reader of its own pipe */
            int ends[2];
            char byte;
            if (pipe(ends) || read(ends[0], &byte, 1) < 0)
                return 9;
        } else if (strcmp(argv[i], "end") == 0)
            return 3;
        say(argv[i]);
    }
    return 0;
}
