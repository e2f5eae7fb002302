"""A pool that waits for itself, fixed: no task waits. What comes after a task is submitted when that task is done.

The section teaches: waiting belongs outside of the executor, here into the main thread. It waits for the count, and then submits
the report, which gets what it needs and never waits.

What to look for: an executor of one thread is enough. snarl has nothing to report.

Usage: fixed.py [THREADS]    how many threads the executor has, 1
"""
import concurrent.futures
import sys

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1


def count():
    return 42


def report(counted):
    print("report: begun", flush=True)
    return counted


if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor(max_workers=threads) as pool:
        counted = pool.submit(count).result()
        print("report:", pool.submit(report, counted).result())
