"""Deadlock that does not strike: two threads take two locks in opposite order, but in this run one after the other.

The section teaches: whether a deadlock strikes depends on the schedule, and tests mostly run the lucky one. The bug is in the
orders, and these show in every run.

What goes wrong: first() takes lock_a and then lock_b, second() takes lock_b and then lock_a. Here second() happens to start its
work when first() is done with its own, because the one tells the other.

What to look for: the program ends well, every time. `snarl run` reports the cycle of the two orders all the same (lock-order), and
names the lines of this file where each lock was taken.

Usage: bug.py [SECONDS]    how long each thread works between its two locks, 1
"""
import sys
import threading
import time

lock_a = threading.Lock()
lock_b = threading.Lock()
first_is_done = threading.Event()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def first():
    with lock_a:
        print("first:  has lock a, wants lock b", flush=True)
        time.sleep(seconds)
        with lock_b:
            print("first:  has both", flush=True)
    first_is_done.set()


def second():
    first_is_done.wait()  # the luck of this run
    with lock_b:
        print("second: has lock b, wants lock a", flush=True)
        time.sleep(seconds)
        with lock_a:
            print("second: has both", flush=True)


if __name__ == "__main__":
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
