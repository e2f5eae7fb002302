"""A counter in shared memory: two processes add to it, and additions get lost.

The section teaches: what processes share, they can race for, just like threads. Each process has an interpreter and an
interpreter's lock of its own: that lock orders nothing between them.

What goes wrong: both children count to 100,000 on the same Value, which was made without its lock.

What to look for: the sum is less than 200,000 on most days. snarl does not see it: the shared memory is read and written deep
inside of the interpreter's modules, whose accesses are not watched. It sees the same in bug.c.

Usage: bug.py [STEPS]    how far each process counts, 100000
"""
import multiprocessing
import sys


def count(counter, steps):
    for _ in range(steps):
        counter.value += 1


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
    counter = multiprocessing.Value("l", 0, lock=False)
    processes = [multiprocessing.Process(target=count, args=(counter, steps)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(counter.value, "of", 2 * steps)
