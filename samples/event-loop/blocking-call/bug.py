"""A blocking call on the event loop: it stalls the loop, and holds a lock that the awaited work needs.

The section teaches: whatever runs on the event loop must not block. As long as one call does, no timer, no other coroutine and no
callback runs.

What goes wrong: the coroutine autosave() locks the document, has a thread save it, and waits with result() for the thread's answer
then and there, where it should await. The thread needs the document's lock to read it.

What to look for: the program prints that it saves, and hangs, the other coroutine included. `snarl run` says that it is stuck, and
what both threads wait for.

Usage: bug.py [SECONDS]    when the document is to be saved, 1
"""
import asyncio
import concurrent.futures
import sys
import threading

document_lock = threading.Lock()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def save():
    with document_lock:
        print("helper: saves", flush=True)


async def autosave(pool):
    await asyncio.sleep(seconds)
    with document_lock:
        print("loop:   saves the document", flush=True)
        pool.submit(save).result()  # blocks the loop, with the lock taken
    print("loop:   saved", flush=True)


async def blink_cursor():
    await asyncio.sleep(seconds + 0.1)
    print("loop:   blinks", flush=True)


async def main():
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        await asyncio.gather(autosave(pool), blink_cursor())


if __name__ == "__main__":
    asyncio.run(main())
