/* A lock that is never given back: an error path returns and keeps the mutex.
 *
 * The section teaches: take the mutex, change what it guards, give it back. Done by hand, the giving back has to stand
 * on every way out of the function, the ones for errors included.
 *
 * What goes wrong: `withdraw` refuses a sum that is too large, and returns before the unlock. Alice's thread ends, and
 * takes the key along. Bob's deposit then waits for a mutex whose owner does not exist any more.
 *
 * What to look for: the program prints that Alice was refused, and then nothing more, for ever. `snarl run` reports two
 * things: the thread that ended and still held the mutex (lock-misuse), with the line where it took it; and the deadlock
 * of the next one who asks.
 *
 * Usage: bug [EUROS]    how much Alice withdraws from an account of 50, 100 */
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
    if (euros > balance)
        return false; /* and the mutex? */
    balance -= euros;
    pthread_mutex_unlock(&account_lock);
    return true;
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
