"""What the standard library builds of locks: clean, whatever locks it takes inside.

# @case python/condition condition
# @clean
# @case python/queue queue
# @clean
# @case python/executor executor
# @clean
# @case python/barrier-semaphore-event barrier
# @clean
# @case python/timer timer
# @clean
# @case python/daemon daemon
# @clean
# @case python/handed-over handed
# @clean
# @case python/logging logging
# @clean
# @case python/importing importing
# @clean
# @case python/thread-local local
# @clean
# @case python/collected collected
# @clean
# @case python/handler handler
# @clean
"""
import concurrent.futures
import gc
import logging
import queue
import signal
import sys
import threading
import time


def start(*bodies, daemon=False):
    threads = [threading.Thread(target=body, daemon=daemon) for body in bodies]
    for thread in threads:
        thread.start()
    return threads


def join(threads):
    for thread in threads:
        thread.join()


def condition():
    turn, changed, other = [0], threading.Condition(), threading.Lock()

    def play(me):
        for _ in range(20):
            with changed:
                while turn[0] != me:
                    changed.wait()
                with other:
                    turn[0] = 1 - me
                changed.notify_all()

    join(start(lambda: play(0), lambda: play(1)))
    with changed:
        changed.wait(0.01)
        changed.wait_for(lambda: True)


def queues():
    work, done = queue.Queue(3), queue.SimpleQueue()

    def producer():
        for i in range(50):
            work.put(i)
        work.put(None)

    def consumer():
        while (item := work.get()) is not None:
            done.put(item)
            work.task_done()
        work.task_done()

    join(start(producer, consumer))
    work.join()
    try:
        work.get(timeout=0.01)
    except queue.Empty:
        pass
    print(sum(done.get() for _ in range(50)))


def executor():
    lock, total = threading.Lock(), [0]

    def add(i):
        with lock:
            total[0] += i

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(100)))
        first = pool.submit(add, 1)
        first.add_done_callback(lambda future: add(1))
        concurrent.futures.wait([first, pool.submit(add, 2)])
        for future in concurrent.futures.as_completed([pool.submit(add, 3), pool.submit(add, 4)]):
            future.result()
    print(total[0])


def barrier():
    meeting, slots, event = threading.Barrier(3), threading.BoundedSemaphore(2), threading.Event()
    single = threading.Semaphore(1)

    def body():
        for _ in range(10):
            with slots, single:
                pass
            meeting.wait()
        event.wait()

    threads = start(body, body, body)
    event.set()
    join(threads)


def timer():
    lock, rang = threading.Lock(), threading.Event()

    def ring():
        with lock:
            rang.set()

    clocks = [threading.Timer(0.01, ring), threading.Timer(100, ring)]
    for clock in clocks:
        clock.start()
    rang.wait()
    clocks[1].cancel()
    join(clocks)


def daemon():
    lock, never, started = threading.Lock(), threading.Event(), threading.Event()

    def body():
        with lock:
            started.set()
            never.wait()

    start(body, daemon=True)
    started.wait()


def handed():
    """A lock that one thread takes and another one releases: allowed, and no lock in snarl's sense."""
    one, two = threading.Lock(), threading.Lock()
    one.acquire()

    def body():
        for _ in range(20):
            two.acquire()
            one.release()

    threads = start(body)
    for _ in range(20):
        one.acquire()
        two.release() if two.locked() else None
    two.locked() and two.release()
    join(threads)


def log():
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    lock, names = threading.Lock(), [logging.getLogger(f"n{i}") for i in range(3)]

    def body(name):
        for _ in range(10):
            with lock:
                name.info("said")
            name.debug("not said")
            logging.getLogger(f"{name.name}.child").info("said")

    join(start(*[lambda name=name: body(name) for name in names]))


def importing():
    ready = threading.Barrier(3)

    def body():
        ready.wait()
        import email.mime.text, html.parser, json, xml.dom.minidom  # noqa: E401
        return email, html, json, xml

    join(start(body, body, body))


def local():
    own = threading.local()

    def body():
        own.lock = threading.Lock()
        with own.lock:
            own.value = threading.get_ident()

    join(start(*[body] * 5))
    del own
    gc.collect()


def collected():
    """Locks in places that others had before them, in the opposite order."""
    def body():
        for i in range(200):
            locks = [threading.Lock(), threading.Lock()]
            if i % 2:
                locks.reverse()
            with locks[0], locks[1]:
                pass
            del locks
    join(start(body, body))


def handler():
    lock, seen = threading.RLock(), []

    def on_alarm(*_):
        with lock:
            seen.append(1)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    end = time.monotonic() + 0.1
    while time.monotonic() < end or not seen:
        with lock:
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)


{"condition": condition, "queue": queues, "executor": executor, "barrier": barrier, "timer": timer, "daemon": daemon, "handed": handed,
 "logging": log, "importing": importing, "local": local, "collected": collected, "handler": handler}[sys.argv[1]]()
print("done")
