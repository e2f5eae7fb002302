"""A lock that is never given back, fixed: `with` releases it on every way out.

The section teaches: acquire() and release() by hand are for the rare case. A with statement releases the lock at a return, a break
and an exception, too.

What to look for: Alice is refused as before, and Bob's deposit goes through. snarl has nothing to report.

Usage: fixed.py [EUROS]    how much Alice withdraws from an account of 50, 100
"""
import sys
import threading

account_lock = threading.Lock()
balance = 50
wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100


def withdraw(euros):
    global balance
    with account_lock:
        if euros > balance:
            return False
        balance -= euros
        return True


def deposit(euros):
    global balance
    with account_lock:
        balance += euros


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
