"""The result before the join: the main thread reads what another one is still working on.

The section teaches: join() waits until the thread has ended. What it was to work out is complete after that, and not before.

What goes wrong: the main thread starts the thread that adds numbers up, sleeps long enough, prints the sum, and joins afterwards.
How long is enough?

What to look for: the sum is right on this machine, today; with 0 seconds it is not. snarl has nothing to report: the interpreter's
own lock orders all accesses to its memory, only not in the order that was meant. In bug.c there is no such lock.

Usage: bug.py [SECONDS [NUMBERS]]    how long the main thread sleeps, 1; how many numbers are added up, 100000
"""
import sys
import threading
import time

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
numbers = int(sys.argv[2]) if len(sys.argv) > 2 else 100000
total = 0


def add_up():
    global total
    for i in range(numbers):
        total += i


if __name__ == "__main__":
    thread = threading.Thread(target=add_up)
    thread.start()
    time.sleep(seconds)
    print("sum:", total)
    thread.join()
