"""The interpreter's lock, fixed: the program has a lock of its own around load, add and store.

The section teaches: shared variables need a lock in Python, too. It is held from the load to the store, while the interpreter's
lock comes and goes.

What to look for: 200,000, each time. snarl has nothing to report.

Usage: fixed.py [STEPS]    how far each thread counts, 100000
"""
import sys
import threading

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
variable_lock = threading.Lock()
variable = 0


def load():
    return variable


def store(value):
    global variable
    variable = value


def count():
    for _ in range(steps):
        with variable_lock:
            value = load()
            value += 1
            store(value)


if __name__ == "__main__":
    threads = [threading.Thread(target=count), threading.Thread(target=count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(variable, "of", 2 * steps)
