"""The main guard: a program that starts itself as its own workers, and must not do so again in these.

The section teaches: with the start method "spawn" a worker is a new interpreter that imports this file, to find the function which
it is to run. What stands under `if __name__ == "__main__"` is not run by that import; without the guard each worker would start
more of them (Python notices and raises RuntimeError).

What to look for: every worker says once what it does. snarl follows them all, and has nothing to report.

Usage: correct.py [WORKERS]    how many, 2
"""
import multiprocessing
import os
import sys


def work(number):
    print(f"worker {number}: process {os.getpid()}, started by {os.getppid()}", flush=True)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=work, args=(i + 1,)) for i in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("main:", sum(worker.exitcode == 0 for worker in workers), "of", count, "workers are done")
