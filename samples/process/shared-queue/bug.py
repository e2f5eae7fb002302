"""A queue between processes with a lost wake-up: the consumer goes to sleep after the producer has called.

The section teaches: a condition works between processes as it does between threads, and remembers as little. What counts is the
state in the shared memory, and it has to be looked at under the condition's lock.

What goes wrong: take() looks whether there is an item, releases the lock, takes it again and waits, without looking again. The
producer puts its item and notifies just between.

What to look for: one item is there, and consumer and parent wait for ever. `snarl run` says that they are stuck.

Usage: bug.py [SECONDS]    how long the consumer is away between looking and waiting, 1
"""
import multiprocessing
import sys
import time


def take(not_empty, n, looked, called, seconds):
    with not_empty:
        empty = n.value == 0
    if empty:
        # A second is long enough for the producer, nearly always. Waiting for it makes that certain.
        looked.value = 1
        time.sleep(seconds)
        while not called.value:
            time.sleep(0.001)
    with not_empty:
        if empty:
            not_empty.wait()  # it was empty then; is it now?
        n.value -= 1


def put(not_empty, n, looked, called, _seconds):
    while not looked.value:
        time.sleep(0.001)
    with not_empty:
        n.value += 1
        not_empty.notify()
    print("producer: put an item", flush=True)
    called.value = 1


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    n, looked, called = (multiprocessing.Value("i", 0, lock=False) for _ in range(3))
    arguments = (multiprocessing.Condition(), n, looked, called, seconds)
    processes = [multiprocessing.Process(target=target, args=arguments) for target in (take, put)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print("done")
