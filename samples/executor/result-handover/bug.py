"""A result that is handed back without synchronisation: the pool works it out, the event loop reads it some time later.

The section teaches: work that takes long goes to a pool of threads, so that the event loop can do other things. Its result has to
be awaited.

What goes wrong: the pool's thread stores the sum in a list. The coroutine does something else for a second, is sure that the sum
must be there by now, and reads it.

What to look for: the sum of 10,000,000 numbers, 49999995000000, on a machine that is fast enough, and None on another one. snarl
has nothing to report: the interpreter's own lock orders all accesses to its memory, only not in the order that was meant.

Usage: bug.py [SECONDS [NUMBERS]]    how long the loop does something else, 1; how many numbers are added up, 10000000
"""
import asyncio
import concurrent.futures
import sys

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
numbers = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
result = [None]


def add_up():
    result[0] = sum(range(numbers))


async def main():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(add_up)
        await asyncio.sleep(seconds)  # something else
        print("sum:", result[0])


if __name__ == "__main__":
    asyncio.run(main())
