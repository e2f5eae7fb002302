"""Deadlock between processes, fixed by one order: both take lock_a before lock_b.

The section teaches: the rule is the same as for threads. Locks that are held together are taken in one order by everybody, in
whatever process they live.

What to look for: the second process waits for lock_a before it has anything, both end, and snarl has nothing to report.

Usage: fixed.py [SECONDS]    how long each process works between its two locks, 1
"""
import multiprocessing
import sys
import time


def first(lock_a, lock_b, seconds):
    with lock_a:
        print("first:  has lock a, wants lock b", flush=True)
        time.sleep(seconds)
        with lock_b:
            print("first:  has both", flush=True)


def second(lock_a, lock_b, seconds):
    with lock_a:
        print("second: has lock a, wants lock b", flush=True)
        time.sleep(seconds)
        with lock_b:
            print("second: has both", flush=True)


if __name__ == "__main__":
    lock_a = multiprocessing.Lock()
    lock_b = multiprocessing.Lock()
    arguments = (lock_a, lock_b, float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    processes = [
        multiprocessing.Process(target=first, args=arguments),
        multiprocessing.Process(target=second, args=arguments),
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print("done")
