"""Deadlock in a ring, fixed: every philosopher takes the fork with the lower number first.

The section teaches: one order for all locks breaks every ring, however long. Only one philosopher has to change: the last one, who
now takes fork 0 before fork 4, and so takes nothing while somebody else has fork 0.

What to look for: all five eat, and snarl has nothing to report: every order goes from a lower to a higher number.

Usage: fixed.py [SECONDS]    how long each philosopher thinks between the two forks, 1
"""
import sys
import threading
import time

SEATS = 5
forks = [threading.Lock() for _ in range(SEATS)]
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def philosopher(n):
    lower, higher = sorted((n, (n + 1) % SEATS))
    with forks[lower]:
        time.sleep(seconds)
        with forks[higher]:
            print("philosopher", n, "eats", flush=True)


if __name__ == "__main__":
    threads = [threading.Thread(target=philosopher, args=(n,)) for n in range(SEATS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
