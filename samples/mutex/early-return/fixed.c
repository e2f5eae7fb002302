/* A lock that is never given back, fixed: one way out, and the unlock stands on it.
 *
 * The section teaches: let the function decide between lock and unlock, and leave after the unlock. With several things
 * to undo, `goto` to a clean-up part at the end does the same. (C++ has lock guards, Python has `with`.)
 *
 * What to look for: Alice is refused as before, and Bob's deposit goes through. snarl has nothing to report.
 *
 * Usage: fixed [EUROS]    how much Alice withdraws from an account of 50, 100 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t account_lock = PTHREAD_MUTEX_INITIALIZER;
static long balance = 50;
static long wanted = 100;

static bool withdraw(long euros)
{
    pthread_mutex_lock(&account_lock);
    bool enough = euros <= balance;
    if (enough)
        balance -= euros;
    pthread_mutex_unlock(&account_lock);
    return enough;
}

static void deposit(long euros)
{
    pthread_mutex_lock(&account_lock);
    balance += euros;
    pthread_mutex_unlock(&account_lock);
}

static void *alice(void *unused)
{
    (void)unused;
    printf("Alice: %ld euros, please: %s\n", wanted, withdraw(wanted) ? "here you are" : "refused");
    return NULL;
}

static void *bob(void *unused)
{
    (void)unused;
    puts("Bob:   deposits 20 euros");
    deposit(20);
    puts("Bob:   done");
    return NULL;
}

static void serve(void *(*customer)(void *))
{
    pthread_t thread;

    pthread_create(&thread, NULL, customer, NULL);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        wanted = strtol(argv[1], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines come out as they are printed, into a pipe too */
    serve(alice);
    serve(bob);
    printf("balance: %ld euros\n", balance);
    return 0;
}
