"""A daemon thread and the memory of others: the main thread takes away what the thread still uses.

The section teaches: a daemon thread lives until the program ends. It does not know that the main thread is tidying up.

What goes wrong: the thread beats to the tempo of `settings`; the main thread deletes that name before it ends. The next beat finds
nothing.

What to look for: the thread ends with a NameError, which a library would perhaps not print. Python itself frees nothing that
somebody has, so there is no memory to race for, and snarl has nothing to report.

Usage: bug.py
"""
import threading
import time

settings = {"seconds": 0.001}
beats = 0


def beat():
    global beats
    try:
        while True:
            time.sleep(settings["seconds"])
            beats += 1
    except NameError as e:
        print("thread:", e)


if __name__ == "__main__":
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    while beats < 3:
        time.sleep(0.001)
    del settings
    thread.join()  # to see what becomes of it
    print("main: done")
