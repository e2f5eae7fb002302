"""A background thread that dies holding a lock: an exception ends it in the middle of its work.

The section teaches: a thread that works in the background has nobody who sees it fail. An exception that it does not catch ends it
wherever it is: in the middle of a change, with the lock of that change in its hand.

What goes wrong: save() acquires the lock, fails to write and never comes to the release.

What to look for: the main thread only tries the lock; waiting, it would wait for ever. snarl has nothing to report: any thread may
release a lock of Python's, so that its acquirer has ended proves nothing. (mutex/early-return/bug.py waits, and then there is
proof.)

Usage: bug.py
"""
import threading

file_lock = threading.Lock()
saved = 0


def save():
    global saved
    file_lock.acquire()
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
