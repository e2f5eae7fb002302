"""Lucky order: two threads change a variable without a lock, and this run keeps them apart.

The section teaches: that a program came out right says only how this run went. What matters is what keeps two accesses apart in
every run.

What goes wrong: each worker counts what it has served in one variable and takes no lock for that. The second worker comes later,
so in this run the two additions do not meet.

What to look for: snarl has nothing to report. The interpreter's own lock orders all accesses to its memory, whatever the program
has meant to guard by which lock. In bug.c it says that `served` is unprotected.

Usage: bug.py [SECONDS]    how much later the second worker comes, 1
"""
import sys
import threading
import time

log_lock = threading.Lock()
logged = [0, 0]
served = 0


def write_log(worker):
    with log_lock:
        logged[worker] += 1


def one():
    return 1


def serve(worker):
    global served
    write_log(worker)
    served = served + one()
    write_log(worker)


if __name__ == "__main__":
    threads = [threading.Thread(target=serve, args=(worker,)) for worker in range(2)]
    threads[0].start()
    time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    threads[1].start()
    for thread in threads:
        thread.join()
    print(f"served: {served}, logged: {logged[0]} and {logged[1]}")
