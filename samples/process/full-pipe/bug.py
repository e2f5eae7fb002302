"""A full pipe: the parent waits for the end of the child, the child waits until somebody reads.

The section teaches: processes send results back through pipes, and a pipe has room for little (64 KiB on Linux). Who has written
more than that waits for a reader.

What goes wrong: the parent wants to receive the result when the child is done. But the child is done only when its result is
received.

What to look for: with a small result the program works; with 100,000 numbers it hangs, and no lock is involved. `snarl run` says
that it is stuck.

Usage: bug.py [NUMBERS]    how many squares the child sends, 100000
"""
import multiprocessing
import sys


def send_squares(out, numbers):
    out.send([i * i for i in range(numbers)])


if __name__ == "__main__":
    numbers = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.Process(target=send_squares, args=(sender, numbers))
    child.start()
    sender.close()
    child.join()  # first the end, then the result: the wrong order
    print("sum:", sum(receiver.recv()))
