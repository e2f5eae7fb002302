"""A blocking call on the event loop, fixed: the coroutine awaits the thread's answer, and holds nothing meanwhile.

The section teaches: work that takes long goes to a thread, and run_in_executor() makes of its end something to await. The loop goes
on with everything else.

What to look for: the cursor blinks whether the helper saves or not, and the answer comes when it comes. snarl has nothing to
report.

Usage: fixed.py [SECONDS]    when the document is to be saved, 1
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
    await asyncio.get_running_loop().run_in_executor(pool, save)
    print("loop:   saved", flush=True)


async def blink_cursor():
    await asyncio.sleep(seconds + 0.1)
    print("loop:   blinks", flush=True)


async def main():
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        await asyncio.gather(autosave(pool), blink_cursor())


if __name__ == "__main__":
    asyncio.run(main())
