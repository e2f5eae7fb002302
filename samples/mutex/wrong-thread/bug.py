"""Release by the wrong thread: one thread takes the lock, another one gives it back.

The section teaches: a lock with an owner belongs to the thread that has acquired it, and only that thread may release it. It is no
signal that one thread sets and another one clears.

What goes wrong: start_job() acquires the printer's lock for the job that it starts, and leaves the release to the job's thread.

What to look for: Python looks after this itself. An RLock knows its owner, and release() raises RuntimeError in any other thread;
the printer stays locked. (A Lock has no owner: there the same is allowed.) So snarl has nothing to report here; bug.c, in which
nobody looks, is another matter.

Usage: bug.py [SECONDS]    how long a page takes, 1
"""
import sys
import threading
import time

printer_lock = threading.RLock()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def print_page(text):
    time.sleep(seconds)
    print("printed:", text)
    try:
        printer_lock.release()  # not its own
    except RuntimeError as e:
        print("the printer stays locked:", e)


def start_job(text):
    printer_lock.acquire()
    print("started:", text)
    job = threading.Thread(target=print_page, args=(text,))
    job.start()
    return job


if __name__ == "__main__":
    start_job("page").join()
    print("done")
