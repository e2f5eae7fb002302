"""A missing join: a thread looks at a variable that has gone on to mean something else.

The section teaches: start the threads, then join them. Until then they work with what they were given. A function made in a loop is
given the variable, not its value at that time.

What goes wrong: the threads look `number` up when they run. By then the loop may have gone on to the next number.

What to look for: both threads may print the same number. Nothing is freed too early in Python: objects live as long as somebody has
them. snarl has nothing to report: the interpreter's own lock orders all accesses to its memory.

Usage: bug.py [STEPS]    how many steps each thread prints, 3
"""
import sys
import threading

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3


def print_steps(number_now):
    for i in range(1, steps + 1):
        print(f"thread {number_now()}: step {i}", flush=True)


if __name__ == "__main__":
    threads = []
    for number in 1, 2:
        threads.append(threading.Thread(target=lambda: print_steps(lambda: number)))
        threads[-1].start()
    for thread in threads:
        thread.join()
