"""A missing join, fixed: each thread gets its own number as an argument.

The section teaches: args= hands the value over at the time when the thread is made. Then start all threads, and then join all of
them: joining each at once would let them run one after the other.

What to look for: the steps of both threads, each with its own number, in any order. snarl has nothing to report.

Usage: fixed.py [STEPS]    how many steps each thread prints, 3
"""
import sys
import threading

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3


def print_steps(number):
    for i in range(1, steps + 1):
        print(f"thread {number}: step {i}", flush=True)


if __name__ == "__main__":
    threads = [threading.Thread(target=print_steps, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
