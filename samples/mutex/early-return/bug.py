"""A lock that is never given back: an error path returns and keeps it.

The section teaches: acquire the lock, change what it guards, release it. Done by hand, the release has to stand on every way out
of the function, the ones for errors included.

What goes wrong: withdraw() refuses a sum that is too large, and returns before the release. Bob's deposit then waits for a lock
that nobody will release any more.

What to look for: the program prints that Alice was refused, and then nothing more, for ever. `snarl run` ends it and says what
each thread waits for. (A lock of Python's may be released by any thread. So snarl does not blame Alice's thread for ending with
it, as it does in bug.c; it says that nobody is left who could release it.)

Usage: bug.py [EUROS]    how much Alice withdraws from an account of 50, 100
"""
import sys
import threading

account_lock = threading.Lock()
balance = 50
wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100


def withdraw(euros):
    global balance
    account_lock.acquire()
    if euros > balance:
        return False  # and the lock?
    balance -= euros
    account_lock.release()
    return True


def deposit(euros):
    global balance
    account_lock.acquire()
    balance += euros
    account_lock.release()


def alice():
    print(f"Alice: {wanted} euros, please:", "here you are" if withdraw(wanted) else "refused", flush=True)


def bob():
    print("Bob:   deposits 20 euros", flush=True)
    deposit(20)
    print("Bob:   done", flush=True)


if __name__ == "__main__":
    for customer in alice, bob:
        thread = threading.Thread(target=customer)
        thread.start()
        thread.join()
    print("balance:", balance, "euros")
