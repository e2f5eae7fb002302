"""A full pipe, fixed: a pool of processes receives all results before it waits for the end of its workers.

The section teaches: the executor of concurrent.futures does it in the right order, and asyncio awaits it like anything else: work
for the CPU goes to other processes, and the event loop is free meanwhile.

What to look for: the sum, however many numbers there are. snarl has nothing to report.

Usage: fixed.py [NUMBERS]    how many squares the child sends, 100000
"""
import asyncio
import concurrent.futures
import sys


def squares(numbers):
    return [i * i for i in range(numbers)]


async def main(numbers):
    with concurrent.futures.ProcessPoolExecutor(max_workers=1) as pool:
        print("sum:", sum(await asyncio.get_running_loop().run_in_executor(pool, squares, numbers)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100000))
