"""A daemon thread and the memory of others, fixed: the main thread tells it to stop, and joins it before it tidies up.

The section teaches: a thread that uses what somebody else takes away is no daemon. It gets an event that tells it to stop, and is
joined.

What to look for: the thread ends by itself. snarl has nothing to report.

Usage: fixed.py
"""
import threading
import time

settings = {"seconds": 0.001}
stop = threading.Event()
beats = 0


def beat():
    global beats
    while not stop.wait(settings["seconds"]):
        beats += 1


if __name__ == "__main__":
    thread = threading.Thread(target=beat)
    thread.start()
    while beats < 3:
        time.sleep(0.001)
    stop.set()
    thread.join()
    del settings
    print("main: done")
