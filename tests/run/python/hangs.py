"""Programs that hang without a circle of locks, and the nearest ones that do not.

# @case python/hangs-queue-without-producer queue_without_producer
# @finding stuck verdict=observed side=consume marks=consume
# @strikes
# @case python/hangs-lost-wake-up lost_wake_up
# @finding stuck verdict=observed side=wait_for_item marks=lost-wait
# @strikes
# @case python/hangs-event-never-set event_never_set
# @finding stuck verdict=observed side=wait_for_event
# @strikes
# @case python/hangs-executor-of-one executor_of_one
# @finding stuck verdict=observed side=outer marks=outer-result
# @strikes
# @case python/hangs-asyncio-executor asyncio_executor
# @finding stuck verdict=observed side=ask_own_pool marks=ask-own-pool
# @strikes
# @case python/hangs-asyncio-lock asyncio_lock
# @finding stuck verdict=observed side=asyncio_lock marks=asyncio-run
# @strikes
# @case python/hangs-asyncio-blocking asyncio_blocking
# @finding stuck verdict=observed side=blocking_call marks=blocking-get
# @strikes
# @case python/hangs-both-receive both_receive
# @finding stuck verdict=observed side=both_receive side=receive marks=parent-recv,child-recv
# @strikes
# @case python/hangs-join-before-get join_before_get
# @finding stuck verdict=observed side=join_before_get side=Queue._feed marks=join-first
# @strikes
# @case python/hangs-join-while-holding join_while_holding
# @finding stuck verdict=observed locks=join_while_holding.lock side=join_while_holding side=take_lock marks=join-held,take-lock
# @strikes
# @case python/hangs-semaphore-of-processes semaphore_of_processes
# @finding stuck verdict=observed side=semaphore_of_processes side=acquire_once
# @strikes
# @case python/hangs-subprocess subprocess_full
# @finding stuck verdict=observed side=subprocess_full side=<module> marks=wait-first
# @strikes
#
# @case python/hangs-not-queue queue_with_producer
# @clean
# @case python/hangs-not-condition condition_with_predicate
# @clean
# @case python/hangs-not-executor executor_of_two
# @clean
# @case python/hangs-not-asyncio asyncio_awaits
# @clean
# @case python/hangs-not-join get_before_join
# @clean
# @case python/hangs-not-subprocess subprocess_communicates
# @clean
# @case python/hangs-not-slow-child slow_child
# @clean
# @case python/hangs-not-heartbeat heartbeat
# @clean
# @case python/hangs-not-signal signal_later
# @clean
# @case python/hangs-not-timeout timeouts
# @clean
"""
import asyncio
import concurrent.futures
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time

LONG = 0.7  # seconds: longer than it takes to see that nothing moves
MUCH = 1 << 20


def thread_of(target, *args, daemon=False):
    thread = threading.Thread(target=target, args=args, daemon=daemon)
    thread.start()
    return thread


# ---- threads ----


def consume(items):
    while items.get() is not None:  # mark: consume
        pass


def queue_without_producer():
    items = queue.Queue()
    items.put(1)  # and no None behind it
    thread_of(consume, items).join()


def queue_with_producer():
    items = queue.Queue()
    consumer = thread_of(consume, items)
    time.sleep(LONG)
    items.put(None)
    consumer.join()


def wait_for_item(changed):
    with changed:
        changed.wait()  # mark: lost-wait


def lost_wake_up():
    changed = threading.Condition()
    with changed:
        changed.notify()  # nobody waits yet
    thread_of(wait_for_item, changed).join()


def condition_with_predicate():
    changed, items = threading.Condition(), []

    def wait():
        with changed:
            changed.wait_for(lambda: items)

    waiter = thread_of(wait)
    time.sleep(LONG)
    with changed:
        items.append(1)
        changed.notify()
    waiter.join()


def wait_for_event(event):
    event.wait()


def event_never_set():
    event = threading.Event()
    waiters = [thread_of(wait_for_event, event) for _ in range(2)]
    for waiter in waiters:
        waiter.join()


def inner():
    return 1


def outer(pool):
    return pool.submit(inner).result()  # mark: outer-result


def executor_of_one():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        print(pool.submit(outer, pool).result())


def executor_of_two():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        print(pool.submit(outer, pool).result())


# ---- asyncio ----


def ask_own_pool(pool):
    return pool.submit(inner).result()  # mark: ask-own-pool


def asyncio_executor():
    async def main(pool):
        return await asyncio.get_running_loop().run_in_executor(pool, ask_own_pool, pool)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        print(asyncio.run(main(pool)))


def asyncio_lock():
    async def forgets(lock):
        await lock.acquire()

    async def main():
        lock = asyncio.Lock()
        await forgets(lock)
        await lock.acquire()

    asyncio.run(main())  # mark: asyncio-run


def blocking_call(items):
    return items.get()  # mark: blocking-get


def asyncio_blocking():
    async def put(items):
        items.put(1)

    async def main():
        items = queue.Queue()
        task = asyncio.ensure_future(put(items))
        blocking_call(items)  # the loop does not come to the task
        await task

    asyncio.run(main())


def asyncio_awaits():
    async def main():
        loop, lock = asyncio.get_running_loop(), asyncio.Lock()
        with concurrent.futures.ThreadPoolExecutor(2) as threads, concurrent.futures.ProcessPoolExecutor(2) as processes:
            async with lock:
                sums = await asyncio.gather(*(loop.run_in_executor(p, sum, range(1000)) for p in (threads, processes) * 3))
            await loop.run_in_executor(threads, time.sleep, LONG)
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('x' * 200000)", stdout=subprocess.PIPE)
            text, _ = await child.communicate()
            print(sums, len(text))

    asyncio.run(main())


# ---- processes ----


def receive(end):
    print(end.recv())  # mark: child-recv


def both_receive():
    here, there = multiprocessing.Pipe()
    child = multiprocessing.Process(target=receive, args=(there,))
    child.start()
    there.close()
    print(here.recv())  # mark: parent-recv
    child.join()


def put_much(channel):
    channel.put(b"x" * MUCH)


def join_before_get():
    channel = multiprocessing.Queue()
    child = multiprocessing.Process(target=put_much, args=(channel,))
    child.start()
    child.join()  # mark: join-first
    print(len(channel.get()))


def get_before_join():
    channel = multiprocessing.Queue()
    child = multiprocessing.Process(target=put_much, args=(channel,))
    child.start()
    time.sleep(LONG)
    print(len(channel.get()))
    child.join()


def take_lock(lock):
    with lock:  # mark: take-lock
        pass


def join_while_holding():
    lock = multiprocessing.Lock()
    child = multiprocessing.Process(target=take_lock, args=(lock,))
    with lock:
        child.start()
        child.join()  # mark: join-held


def acquire_once(permits):
    permits.acquire()


def semaphore_of_processes():
    permits = multiprocessing.Semaphore(1)
    children = [multiprocessing.Process(target=acquire_once, args=(permits,)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()


def print_much():
    return [sys.executable, "-c", "import sys; sys.stdout.write('x' * 1000000)"]


def subprocess_full():
    with subprocess.Popen(print_much(), stdout=subprocess.PIPE) as child:
        child.wait()  # mark: wait-first
        print(len(child.stdout.read()))


def subprocess_communicates():
    print(len(subprocess.run(print_much(), stdout=subprocess.PIPE, check=True).stdout))


def slow_child():
    code = f"import time; time.sleep({LONG}); print(1)"
    print(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)


def heartbeat():
    stop, (reader, writer) = threading.Event(), os.pipe()

    def beat():
        while not stop.wait(0.05):
            pass
        os.write(writer, b"x")

    beating = thread_of(beat)
    waiting = thread_of(os.read, reader, 1)
    time.sleep(LONG)
    stop.set()
    waiting.join()
    beating.join()


def signal_later():
    reader, writer = os.pipe()
    signal.signal(signal.SIGUSR1, lambda *_: os.write(writer, b"x"))
    child = subprocess.Popen(["/bin/sh", "-c", f"sleep {LONG}; kill -USR1 {os.getpid()}"], env={}, close_fds=True)
    print(os.read(reader, 1))
    child.wait()


def timeouts():
    here, _there = multiprocessing.Pipe()
    print(here.poll(LONG))
    try:
        queue.Queue().get(timeout=LONG)
    except queue.Empty:
        print("empty")
    print(threading.Lock().acquire(timeout=LONG))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
