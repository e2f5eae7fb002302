"""A pool that waits for itself: a task waits for the result of another task of the same pool.

The section teaches: an executor runs as many tasks at a time as it has threads. A task that waits for another one keeps its thread
meanwhile. When all threads are kept like that, what they wait for is never started.

What goes wrong: report() runs in an executor of one thread, submits count() to the same executor and waits for its result. count()
stands in the executor's queue, behind the task that waits for it.

What to look for: the program prints that the report is begun, and hangs. `snarl run` says that it is stuck: the only worker waits
for a result inside a task, the main thread waits for that task's result.

Usage: bug.py [THREADS]    how many threads the executor has, 1
"""
import concurrent.futures
import sys

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1


def count():
    return 42


def report(pool):
    print("report: begun", flush=True)
    return pool.submit(count).result()  # who is to run it?


if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor(max_workers=threads) as pool:
        print("report:", pool.submit(report, pool).result())
