"""Lucky order, fixed: what two threads change has a lock of its own.

The section teaches: one lock for one thing, taken at every access to it. Then no order of the threads matters.

What to look for: the same work and the same output, in whichever order the workers come. snarl has nothing to report.

Usage: fixed.py [SECONDS]    how much later the second worker comes, 1
"""
import sys
import threading
import time

log_lock = threading.Lock()
logged = [0, 0]
served_lock = threading.Lock()
served = 0


def write_log(worker):
    with log_lock:
        logged[worker] += 1


def one():
    return 1


def serve(worker):
    global served
    write_log(worker)
    with served_lock:
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
