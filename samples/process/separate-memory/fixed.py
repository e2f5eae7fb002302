"""Threads and processes, fixed by a thread: it shares the variable, and is joined before that is read.

The section teaches: what is to be worked out together belongs into threads, or into shared memory (shared.py).

What to look for: both know the answer. snarl has nothing to report.

Usage: fixed.py
"""
import threading

answer = 0


def work_out():
    global answer
    answer = 42
    print("thread: the answer is", answer, flush=True)


if __name__ == "__main__":
    thread = threading.Thread(target=work_out)
    thread.start()
    thread.join()
    print("main:   the answer is", answer)
