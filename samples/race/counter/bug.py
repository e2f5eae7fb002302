"""The shared counter: two threads add to it, and additions get lost.

The section teaches: threads share the program's memory, in Python too. Reading the counter, adding one and writing it back are
several steps. What another thread writes between the first and the last is overwritten.

What goes wrong: both threads count to 100,000 on the same variable, without a lock. Since Python 3.10 the interpreter switches to
another thread only at calls and at the end of loops, so a plain `counter += 1` comes out right by luck; here the one that is added
comes from a call.

What to look for: with 1,000,000 steps the sum is too small; with 100,000 it mostly looks right, because the first thread is done
before the second one has its first turn. snarl has nothing to report: the interpreter's own lock orders all accesses to its memory,
so there is no data race. What gets lost all the same is the subject of interpreter-lock/lost-update.

Usage: bug.py [STEPS]    how far each thread counts, 100000
"""
import sys
import threading

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
counter = 0


def one():
    return 1


def count():
    global counter
    for _ in range(steps):
        counter = counter + one()


if __name__ == "__main__":
    threads = [threading.Thread(target=count), threading.Thread(target=count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(counter, "of", 2 * steps)
