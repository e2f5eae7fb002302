"""A pool that waits for itself, fixed by a larger pool: two threads, so that one may wait for the other.

The section teaches: the executor has to have one thread more than tasks that can wait at the same time. That holds as long as
nobody nests deeper, or submits more reports; not to wait inside a task is the better way (fixed.py).

What to look for: the second thread counts while the first one waits. snarl has nothing to report.

Usage: larger.py [THREADS]    how many threads the executor has, 2
"""
import concurrent.futures
import sys

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2


def count():
    return 42


def report(pool):
    print("report: begun", flush=True)
    return pool.submit(count).result()  # the other thread runs it


if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor(max_workers=threads) as pool:
        print("report:", pool.submit(report, pool).result())
