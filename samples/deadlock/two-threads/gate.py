"""Deadlock, fixed by a gate: whoever wants both locks first takes a third one.

The section teaches: the circle needs two threads that are both on their way from one lock to the next. A gate lets one of them
in at a time. It costs the parallelism of all who need both locks, and nothing for those who need only one.

What to look for: the orders are still opposite, and a tool that looks at pairs of locks only would warn. snarl has nothing to
report: both orders were seen under the same gate, so they cannot meet.

Usage: gate.py [SECONDS]    how long each thread works between its two locks, 1
"""
import sys
import threading
import time

gate = threading.Lock()
lock_a = threading.Lock()
lock_b = threading.Lock()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def first():
    with gate, lock_a:
        print("first:  has lock a, wants lock b", flush=True)
        time.sleep(seconds)
        with lock_b:
            print("first:  has both", flush=True)


def second():
    with gate, lock_b:
        print("second: has lock b, wants lock a", flush=True)
        time.sleep(seconds)
        with lock_a:
            print("second: has both", flush=True)


if __name__ == "__main__":
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
