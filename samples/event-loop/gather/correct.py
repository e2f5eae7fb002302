"""Two coroutines on one event loop: both greet, and wait without blocking each other.

The section teaches: a coroutine that awaits gives the thread back to the event loop, which meanwhile goes on with another one.
asyncio.gather() runs several of them to their end.

What to look for: "Hello Hello World World", after one second and not after two: the waits overlap, in one thread. snarl has nothing
to report: where only one thread runs, and only one coroutine at a time, nothing has to be locked.

Usage: correct.py [SECONDS]    how long each coroutine waits between its two words, 1
"""
import asyncio
import sys

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


async def greet():
    print("Hello")
    await asyncio.sleep(seconds)
    print("World")


async def main():
    await asyncio.gather(greet(), greet())


if __name__ == "__main__":
    asyncio.run(main())
