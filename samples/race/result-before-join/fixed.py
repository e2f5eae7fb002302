"""The result before the join, fixed: first join, then read.

The section teaches: the join is what makes the result complete. It takes as long as it has to, and no longer.

What to look for: the right sum on any machine, and no sleep. snarl has nothing to report.

Usage: fixed.py [NUMBERS]    how many numbers are added up, 100000
"""
import sys
import threading

numbers = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
total = 0


def add_up():
    global total
    for i in range(numbers):
        total += i


if __name__ == "__main__":
    thread = threading.Thread(target=add_up)
    thread.start()
    thread.join()
    print("sum:", total)
