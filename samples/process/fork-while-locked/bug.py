"""Fork while another thread holds a lock: the child gets the lock, but not the thread that would release it.

The section teaches: os.fork() copies the memory, with all locks as they are, and one thread, the one that calls it. A lock that
another thread holds at that moment stays locked in the child for ever. multiprocessing forks, too, unless told otherwise (on Linux
before Python 3.14).

What goes wrong: a background thread is writing the log when the main thread starts a child. The child's first line for the log
waits for the log's lock; its owner does not exist there.

What to look for: the child prints nothing, and the parent waits for it. `snarl run` reports the lock that was held by another
thread at the fork.

Usage: bug.py [SECONDS]    how long writing to the log takes, 1
"""
import os
import sys
import threading
import time

log_lock = threading.Lock()
in_the_middle = threading.Event()
forked = threading.Event()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def background():
    with log_lock:
        in_the_middle.set()
        time.sleep(seconds)
        print("background: writes to the log", flush=True)
        forked.wait()  # the luck of this run: the fork comes while it holds the lock


def log_line(line):
    with log_lock:
        print(line, flush=True)


if __name__ == "__main__":
    thread = threading.Thread(target=background)
    thread.start()
    in_the_middle.wait()
    child = os.fork()
    if child == 0:
        log_line("child: begins")
        os._exit(0)
    forked.set()
    thread.join()
    if os.waitpid(child, 0)[1] != 0:
        print("main: the child has failed")
