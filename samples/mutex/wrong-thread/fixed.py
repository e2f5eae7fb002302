"""Release by the wrong thread, fixed: the thread that prints acquires the lock itself, and releases it itself.

The section teaches: acquire and release belong into one function, or at least into one thread. A with statement sees to both.

What to look for: no exception, and snarl has nothing to report.

Usage: fixed.py [SECONDS]    how long a page takes, 1
"""
import sys
import threading
import time

printer_lock = threading.RLock()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def print_page(text):
    with printer_lock:
        time.sleep(seconds)
        print("printed:", text)


def start_job(text):
    print("started:", text)
    job = threading.Thread(target=print_page, args=(text,))
    job.start()
    return job


if __name__ == "__main__":
    start_job("page").join()
    print("done")
