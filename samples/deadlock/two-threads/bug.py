"""Deadlock: two threads take two locks in opposite order.

The section teaches: a thread that holds one lock and waits for another makes everybody who needs the first one wait as well. When
two threads do that the other way round, each waits for what the other holds, and neither will ever go on.

What goes wrong: first() takes lock_a and then lock_b, second() takes lock_b and then lock_a, with a second's work between.

What to look for: the program prints that each thread has its first lock, and then nothing more, for ever. Under `snarl run` it is
ended at that moment, and the report names the lines of this file where each thread got its first lock and waits for its second.

Usage: bug.py [SECONDS]    how long each thread works between its two locks, 1
"""
import sys
import threading
import time

lock_a = threading.Lock()
lock_b = threading.Lock()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
holding = []


def work(name):
    # A second is long enough for the other thread to get its lock, nearly always. Waiting for it makes that certain.
    time.sleep(seconds)
    holding.append(name)
    while len(holding) < 2:
        time.sleep(0.001)


def first():
    with lock_a:
        print("first:  has lock a, wants lock b", flush=True)
        work("first")
        with lock_b:
            print("first:  has both", flush=True)


def second():
    with lock_b:
        print("second: has lock b, wants lock a", flush=True)
        work("second")
        with lock_a:
            print("second: has both", flush=True)


if __name__ == "__main__":
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
