"""Threads and processes: a child process writes a variable, and the parent waits for it to change.

The section teaches: threads share the program's memory, processes do not. The child has a copy of all variables; what it writes
there, nobody else ever sees.

What goes wrong: the child works the answer out and stores it. The parent's `answer` is another variable of the same name, and stays
0.

What to look for: the child has the answer, the parent gives up waiting for it. snarl has nothing to report: nothing is shared, so
nothing can be raced for.

Usage: bug.py [SECONDS]    how long the parent waits, 1
"""
import multiprocessing
import sys
import time

answer = 0


def work_out():
    global answer
    answer = 42
    print("child:  the answer is", answer, flush=True)


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    child = multiprocessing.Process(target=work_out)
    child.start()
    limit = time.monotonic() + seconds
    while answer == 0 and time.monotonic() < limit:
        time.sleep(0.1)
    child.join()
    print("parent: the answer is", answer)
