"""A counter in shared memory, fixed: a Value and an Array with their locks.

The section teaches: multiprocessing's Value and Array come with a lock, made for processes. A single read or write takes it by
itself; an addition is both, and needs get_lock() around it.

What to look for: 200,000, each time, and in the array what each of the two has done. snarl has nothing to report.

Usage: fixed.py [STEPS]    how far each process counts, 100000
"""
import multiprocessing
import sys


def count(counter, done, me, steps):
    for _ in range(steps):
        with counter.get_lock():
            counter.value += 1
        with done.get_lock():
            done[me] += 1


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
    counter = multiprocessing.Value("l", 0)
    done = multiprocessing.Array("l", 2)
    processes = [multiprocessing.Process(target=count, args=(counter, done, me, steps)) for me in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(f"{counter.value} of {2 * steps}: {done[0]} and {done[1]}")
