"""A lost wake-up: the consumer of a queue goes to sleep after the producer has called.

The section teaches: a condition remembers nothing. notify() reaches those who wait at that moment; when nobody waits, it is gone.
What counts is the state, here the list of items, and it has to be looked at under the condition's lock.

What goes wrong: take() looks whether the queue is empty, releases the lock, takes it again and waits, without looking again. The
producer puts its item and notifies just between.

What to look for: one item is in the queue, and the program hangs. `snarl run` says that it is stuck, and what each thread waits
for.

Usage: bug.py [SECONDS]    how long the consumer is away between looking and waiting, 1
"""
import sys
import threading
import time

not_empty = threading.Condition()
items = []
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
looked = called = False


def look_away():
    # A second is long enough for the producer, nearly always. Waiting for it makes that certain.
    global looked
    looked = True
    time.sleep(seconds)
    while not called:
        time.sleep(0.001)


def take():
    with not_empty:
        empty = not items
    if empty:
        look_away()
    with not_empty:
        if empty:
            not_empty.wait()  # it was empty then; is it now?
        return items.pop()


def put(item):
    with not_empty:
        items.append(item)
        not_empty.notify()


def consumer():
    print("consumer: took", take(), flush=True)


def producer():
    global called
    while not looked:
        time.sleep(0.001)
    put(42)
    print("producer: put 42", flush=True)
    called = True


if __name__ == "__main__":
    threads = [threading.Thread(target=producer), threading.Thread(target=consumer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
