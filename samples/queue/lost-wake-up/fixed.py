"""A lost wake-up, fixed: the standard library's queue looks and waits in one critical section.

The section teaches: queue.Queue is a list, a lock and conditions, put together right: get() waits in a loop that tests whether
there is an item, with the lock held from the test on. put() waits in the same way for a free place.

What to look for: four numbers go through a queue of two places, whoever is faster; then a None says that there are no more. snarl
has nothing to report.

Usage: fixed.py [ITEMS]    how many numbers go through the queue, 4
"""
import queue
import sys
import threading

numbers = queue.Queue(maxsize=2)
items = int(sys.argv[1]) if len(sys.argv) > 1 else 4


def consumer():
    while (item := numbers.get()) is not None:
        print("consumer: took", item)


def producer():
    for i in range(items):
        numbers.put(i)
    numbers.put(None)


if __name__ == "__main__":
    threads = [threading.Thread(target=producer), threading.Thread(target=consumer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
