"""A daemon thread that holds a lock when the program ends: no bug.

The section teaches: Python waits at its end for all threads but those made with daemon=True. These die with the program, wherever
they are; nobody is left who could wait for one of their locks.

What to look for: the program ends at once, though the daemon would work for an hour with the lock taken. snarl has nothing to
report: a lock that is held at the end of the process is no finding.

Usage: at-exit.py
"""
import threading
import time

file_lock = threading.Lock()
saving = threading.Event()


def background():
    while True:
        with file_lock:
            saving.set()
            time.sleep(3600)


if __name__ == "__main__":
    threading.Thread(target=background, daemon=True).start()
    saving.wait()
    print("main: ends, and the daemon with it")
