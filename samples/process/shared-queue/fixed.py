"""A queue between processes: one puts numbers in, another one takes them out.

The section teaches: multiprocessing.Queue is a pipe with locks at both ends, and a thread that feeds it. get() waits until there is
an item.

What to look for: four numbers go through the queue; then a None says that there are no more. snarl has nothing to report.

Usage: fixed.py [ITEMS]    how many numbers go through the queue, 4
"""
import multiprocessing
import sys


def consume(queue):
    while (item := queue.get()) is not None:
        print("consumer: took", item, flush=True)


def produce(queue, items):
    for i in range(items):
        queue.put(i)
    queue.put(None)


if __name__ == "__main__":
    items = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    queue = multiprocessing.Queue()
    processes = [
        multiprocessing.Process(target=consume, args=(queue,)),
        multiprocessing.Process(target=produce, args=(queue, items)),
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print("done")
