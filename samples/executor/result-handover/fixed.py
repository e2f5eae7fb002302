"""A result that is handed back, fixed: the coroutine awaits it.

The section teaches: run_in_executor() makes of a function in a pool something to await. What it returns comes with its end, in the
event loop's own thread.

What to look for: the sum of 10,000,000 numbers, 49999995000000, as soon as it is there. snarl has nothing to report.

Usage: fixed.py [NUMBERS]    how many numbers are added up, 10000000
"""
import asyncio
import concurrent.futures
import sys

numbers = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000


def add_up():
    return sum(range(numbers))


async def main():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        print("sum:", await asyncio.get_running_loop().run_in_executor(pool, add_up))


if __name__ == "__main__":
    asyncio.run(main())
