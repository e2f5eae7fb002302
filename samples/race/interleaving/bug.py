"""Concurrent or parallel: the same two threads on one processor and on two.

The section teaches: on one processor the tasks take turns (concurrency), on several they run at the same time (parallelism). The
programmer sees no difference: between any two steps of a thread, another one may have its turn.

What goes wrong: two threads add to one counter without a lock, as in race/counter.

What to look for: Python's threads take turns on any number of processors, because one lock lets one of them interpret at a time. So
one and two give the same results, and snarl has nothing to report: that lock orders all accesses to the interpreter's memory.

Usage: bug.py [CPUS [STEPS]]    processors to run on, 1 or 2; how far each thread counts, 100000
"""
import os
import sys
import threading

cpus = int(sys.argv[1]) if len(sys.argv) > 1 else 2
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 100000
counter = 0


def one():
    return 1


def count():
    global counter
    for _ in range(steps):
        counter = counter + one()


if __name__ == "__main__":
    chosen = sorted(os.sched_getaffinity(0))[:cpus]
    os.sched_setaffinity(0, chosen)
    threads = [threading.Thread(target=count), threading.Thread(target=count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"on {len(chosen)} processors: {counter} of {2 * steps}")
