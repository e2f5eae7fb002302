"""Fork while another thread holds a lock, fixed: the child is a new interpreter and has locks of its own.

The section teaches: the start method "spawn" starts Python anew and imports this file. Nothing of the parent's memory, and so none
of its locks, is there to hang on. What the child is to do goes to it as a function and its arguments.

What to look for: the background thread holds the log's lock all the while, and the child writes its line. snarl has nothing to
report.

Usage: fixed.py [SECONDS]    how long writing to the log takes, 1
"""
import multiprocessing
import sys
import threading
import time

log_lock = threading.Lock()
in_the_middle = threading.Event()
spawned = threading.Event()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def background():
    with log_lock:
        in_the_middle.set()
        time.sleep(seconds)
        print("background: writes to the log", flush=True)
        spawned.wait()


def log_line(line):
    with log_lock:
        print(line, flush=True)


if __name__ == "__main__":
    thread = threading.Thread(target=background)
    thread.start()
    in_the_middle.wait()
    child = multiprocessing.get_context("spawn").Process(target=log_line, args=("child: begins",))
    child.start()
    spawned.set()
    thread.join()
    child.join()
    if child.exitcode != 0:
        print("main: the child has failed")
