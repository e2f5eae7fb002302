"""The interpreter's lock: every instruction of Python is protected, and additions get lost all the same.

The section teaches: CPython has one lock that lets one thread interpret at a time. That protects the interpreter, instruction by
instruction. It does not protect what a program does in several of them.

What goes wrong: the program loads a variable, adds one and stores it. Between the load and the store, at a call, another thread may
have its turn, and store, too. (Since Python 3.10 the turn changes only at calls and at the end of loops; so the three stand in
functions here.)

What to look for: with 1,000,000 steps the sum is too small, with 100,000 on some days. snarl does not see what gets lost inside of
an interpreter: a variable of Python's is no variable of the machine. bug.c shows the same with a small interpreter.

Usage: bug.py [STEPS]    how far each thread counts, 100000
"""
import sys
import threading

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
variable = 0


def load():
    return variable


def store(value):
    global variable
    variable = value


def count():
    for _ in range(steps):
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
