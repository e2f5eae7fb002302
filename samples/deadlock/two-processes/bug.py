"""Deadlock between processes that does not strike: two processes take two locks in opposite order, in this run one after the other.

The section teaches: processes share nothing by themselves. Locks made by multiprocessing are shared, and two processes can wait for
each other on them just like threads.

What goes wrong: the child first() takes lock_a and then lock_b, the child second() takes lock_b and then lock_a. Here second()
happens to start its work when first() is done with its own, because the one tells the other.

What to look for: the program ends well, every time. `snarl run` joins what the two processes did and reports the cycle of the two
orders (lock-order). (When it strikes, as in bug.c, snarl claims no deadlock for these locks: multiprocessing makes them of
semaphores, and a semaphore may be posted by anybody, the parent too. The cycle is reported all the same.)

Usage: bug.py [SECONDS]    how long each process works between its two locks, 1
"""
import multiprocessing
import sys
import time


def first(lock_a, lock_b, first_is_done, seconds):
    with lock_a:
        print("first:  has lock a, wants lock b", flush=True)
        time.sleep(seconds)
        with lock_b:
            print("first:  has both", flush=True)
    first_is_done.set()


def second(lock_a, lock_b, first_is_done, seconds):
    first_is_done.wait()  # the luck of this run
    with lock_b:
        print("second: has lock b, wants lock a", flush=True)
        time.sleep(seconds)
        with lock_a:
            print("second: has both", flush=True)


if __name__ == "__main__":
    lock_a = multiprocessing.Lock()
    lock_b = multiprocessing.Lock()
    first_is_done = multiprocessing.Event()
    arguments = (lock_a, lock_b, first_is_done, float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    processes = [
        multiprocessing.Process(target=first, args=arguments),
        multiprocessing.Process(target=second, args=arguments),
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print("done")
