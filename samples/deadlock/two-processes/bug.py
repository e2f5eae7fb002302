"""Deadlock between processes: two processes take two locks in opposite order.

The section teaches: processes share nothing by themselves. Locks made by multiprocessing are shared, and two processes can wait for
each other on them just like threads.

What goes wrong: the child first() takes lock_a and then lock_b, the child second() takes lock_b and then lock_a, with a second's
work between. The parent waits for both of them, so it hangs too.

What to look for: `snarl run` ends the two children at the moment they block for good, and the report names the lines of this file
where each of them got its first lock and waits for its second.

Usage: bug.py [SECONDS]    how long each process works between its two locks, 1
"""
import multiprocessing
import sys
import time


def work(holding, seconds):
    # A second is long enough for the other process to get its lock, nearly always. Waiting for it makes that certain.
    time.sleep(seconds)
    holding[0 if multiprocessing.current_process().name == "first" else 1] = 1
    while sum(holding) < 2:
        time.sleep(0.001)


def first(lock_a, lock_b, holding, seconds):
    with lock_a:
        print("first:  has lock a, wants lock b", flush=True)
        work(holding, seconds)
        with lock_b:
            print("first:  has both", flush=True)


def second(lock_a, lock_b, holding, seconds):
    with lock_b:
        print("second: has lock b, wants lock a", flush=True)
        work(holding, seconds)
        with lock_a:
            print("second: has both", flush=True)


if __name__ == "__main__":
    lock_a = multiprocessing.Lock()
    lock_b = multiprocessing.Lock()
    holding = multiprocessing.Array("b", 2, lock=False)
    arguments = (lock_a, lock_b, holding, float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    processes = [
        multiprocessing.Process(target=first, name="first", args=arguments),
        multiprocessing.Process(target=second, name="second", args=arguments),
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        print("the children have failed")
        sys.exit(1)
    print("done")
