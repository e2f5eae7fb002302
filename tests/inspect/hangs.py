"""Python programs that hang, each in its own way: hangs.py CASE. What snarl inspect has to say of each stands in
python_test.py."""
import concurrent.futures
import ctypes
import multiprocessing
import queue
import sys
import threading

lock_a = threading.Lock()
lock_b = threading.Lock()
rlock_a = threading.RLock()
rlock_b = threading.RLock()
forks = [threading.Lock() for _ in range(3)]
meeting = threading.Barrier(2)


class Account:
    def __init__(self):
        self.lock = threading.Lock()

    def transfer(self, to):
        with self.lock:
            meeting.wait()
            with to.lock:
                pass


def run(*bodies):
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def first():
    with lock_a:  # mark: first-a
        meeting.wait()
        with lock_b:
            pass


def second():
    try:
        with lock_b:  # mark: second-b
            try:
                meeting.wait()
            finally:
                with lock_a:
                    pass
    finally:
        print("never seen")


def withs():
    run(first, second)


def left():
    """What was taken and given back before is nobody's any more."""
    with lock_b:
        pass
    with lock_a:
        with lock_b:
            pass
        meeting.wait()
        with lock_b:
            pass


def used_before():
    run(left, second)


def recursive():
    def one():
        rlock_a.acquire()
        with rlock_b:
            pass
        meeting.wait()
        rlock_b.acquire()

    def other():
        with rlock_b, rlock_b:
            meeting.wait()
            rlock_a.acquire()

    run(one, other)


def objects():
    here, there = Account(), Account()
    run(lambda: here.transfer(there), lambda: there.transfer(here))


def ring():
    together = threading.Barrier(3)

    def philosopher(i):
        with forks[i]:
            together.wait()
            with forks[(i + 1) % 3]:
                pass

    run(*(lambda i=i: philosopher(i) for i in range(3)))


def by_hand():
    """Who has a lock that is not recursive and was taken by hand, Python does not know."""
    def one():
        lock_a.acquire()
        meeting.wait()
        lock_b.acquire()

    def other():
        lock_b.acquire()
        meeting.wait()
        lock_a.acquire()

    run(one, other)


def join_held():
    def needs():
        meeting.wait()
        with lock_a:
            pass

    thread = threading.Thread(target=needs)
    thread.start()
    with lock_a:
        meeting.wait()
        thread.join()


def calls():
    items, event, changed, permits = queue.Queue(), threading.Event(), threading.Condition(), threading.Semaphore(0)

    def wait_for(condition):
        with condition:
            condition.wait()

    run(items.get, event.wait, lambda: wait_for(changed), permits.acquire)


def inner():
    return 1


def pool():
    def outer(workers):
        return workers.submit(inner).result()

    with concurrent.futures.ThreadPoolExecutor(1) as workers:
        workers.submit(outer, workers).result()


def interpreter():
    """A call of C's that keeps the interpreter's lock, and waits for a thread that needs it."""
    read = ctypes.PyDLL(None).read
    ends = multiprocessing.Pipe(False)

    def needs():
        meeting.wait()
        while True:
            pass

    thread = threading.Thread(target=needs, daemon=True)
    thread.start()
    meeting.wait()
    read(ends[0].fileno(), ctypes.create_string_buffer(1), 1)


def take(lock):
    with lock:
        pass


def processes():
    lock = multiprocessing.Lock()
    child = multiprocessing.get_context("fork").Process(target=take, args=(lock,))
    with lock:
        child.start()
        print(child.pid, flush=True)
        child.join()


def timed():
    with lock_a:
        run(lambda: lock_a.acquire(timeout=300))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
