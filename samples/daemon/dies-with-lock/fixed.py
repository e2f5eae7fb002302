"""A background thread that dies holding a lock, fixed: `with` releases it on the way of the exception.

The section teaches: what a thread has taken it gives back on every way out. A with statement does that for exceptions, too.

What to look for: the thread fails at the same place, and the main thread gets the lock. snarl has nothing to report.

Usage: fixed.py
"""
import threading

file_lock = threading.Lock()
saved = 0


def save():
    global saved
    with file_lock:
        saved += 1
        raise OSError("no space left on device")


def background():
    try:
        while True:
            save()
    except OSError as e:
        print("background: dies:", e)


if __name__ == "__main__":
    thread = threading.Thread(target=background, daemon=True)
    thread.start()
    thread.join()
    if file_lock.acquire(blocking=False):
        print("saved", saved, "times")
        file_lock.release()
    else:
        print("the file is locked, and nobody is there to unlock it")
