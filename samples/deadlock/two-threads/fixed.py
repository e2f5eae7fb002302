"""Deadlock, fixed by one order: both threads take lock_a before lock_b.

The section teaches: when all threads take the locks that they hold together in one order, none of them can wait for a thread that
waits for it: the one that has the last lock of the order never waits at all.

What to look for: the second thread waits for lock_a before it has anything, so the first one gets lock_b and both end. snarl
has nothing to report: the only order that it saw is a before b.

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
