"""Deadlock, fixed by trying: a thread that cannot have its second lock at once gives the first one back and starts again.

The section teaches: nobody waits for ever who holds nothing while waiting. Where one order for all is out of reach, because the
locks come from different places, acquire(blocking=False) and backing off break the circle instead.

What to look for: the threads still want the locks in opposite order, and say how often they had to back off. The pause is random:
with equal pauses they could go on giving way to each other (a livelock). snarl has nothing to report: a try never waits.

Usage: trylock.py [SECONDS]    how long each thread works between its two locks, 1
"""
import random
import sys
import threading
import time

lock_a = threading.Lock()
lock_b = threading.Lock()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def take_both(one, other):
    """Takes both, waiting only while it holds nothing. Returns how often it had to back off."""
    backed_off = 0
    one.acquire()
    time.sleep(seconds)
    while not other.acquire(blocking=False):
        one.release()
        backed_off += 1
        time.sleep(random.random() / 100)
        one.acquire()
    return backed_off


def first():
    backed_off = take_both(lock_a, lock_b)
    print("first:  has both, backed off", backed_off, "times", flush=True)
    lock_b.release()
    lock_a.release()


def second():
    backed_off = take_both(lock_b, lock_a)
    print("second: has both, backed off", backed_off, "times", flush=True)
    lock_a.release()
    lock_b.release()


if __name__ == "__main__":
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
