"""The shared counter, fixed by a lock around the addition.

The section teaches: what has to happen as a whole stands in a with statement, and everybody who touches the counter takes the same
lock.

What to look for: 200,000, each time. snarl has nothing to report.

Usage: fixed.py [STEPS]    how far each thread counts, 100000
"""
import sys
import threading

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
counter_lock = threading.Lock()
counter = 0


def one():
    return 1


def count():
    global counter
    for _ in range(steps):
        with counter_lock:
            counter = counter + one()


if __name__ == "__main__":
    threads = [threading.Thread(target=count), threading.Thread(target=count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(counter, "of", 2 * steps)
