"""Deadlock that does not strike, fixed: one order for both threads.

The section teaches: when all threads take the locks that they hold together in one order, no schedule makes them wait for each
other, lucky or not.

What to look for: nothing waits for an event any more, the threads may run in any order, and snarl has nothing to report.
(fixed.c shows another way, an order between the threads by join. CPython's join waits on a lock that the ending thread
releases, so that this order is not one that the system vouches for.)

Usage: fixed.py [SECONDS]    how long each thread works between its two locks, 1
"""
import sys
import threading
import time

lock_a = threading.Lock()
lock_b = threading.Lock()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def first():
    with lock_a:
        print("first:  has lock a, wants lock b", flush=True)
        time.sleep(seconds)
        with lock_b:
            print("first:  has both", flush=True)


def second():
    with lock_a:
        print("second: has lock a, wants lock b", flush=True)
        time.sleep(seconds)
        with lock_b:
            print("second: has both", flush=True)


if __name__ == "__main__":
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
