"""What each part of the standard library for threads and processes is used wrongly for, and the nearest right use.

# @case python/twins-semaphore semaphore
# @finding stuck verdict=observed side=take_permit marks=take-permit
# @strikes
# @case python/twins-semaphore-not semaphore-not
# @clean
# @case python/twins-barrier barrier
# @finding stuck verdict=observed side=meet marks=meet
# @strikes
# @case python/twins-barrier-not barrier-not
# @clean
# @case python/twins-full-queue full-queue
# @finding stuck verdict=observed side=full_queue marks=put-second
# @strikes
# @case python/twins-full-queue-not full-queue-not
# @clean
# @case python/twins-queue-join queue-join
# @finding stuck verdict=observed side=queue_join marks=queue-join
# @strikes
# @case python/twins-queue-join-not queue-join-not
# @clean
# @case python/twins-condition-lock condition-lock
# @finding deadlock verdict=observed locks=lock_a,changed side=take_and_notify side=notify_and_take
# @strikes
# @output
# @case python/twins-callback callback
# @finding stuck verdict=observed side=ask_own_pool marks=ask-own-pool
# @strikes
# @case python/twins-callback-not callback-not
# @clean
# @case python/twins-processes-deadlock processes
# @finding stuck verdict=observed locks=processes.a,processes.b side=first side=second marks=first-b,second-a
# @strikes
# @case python/twins-processes-deadlock-not processes-not
# @clean
# @case python/twins-process-pool process-pool
# @finding stuck verdict=observed side=ask_processes marks=ask-processes
# @strikes
# @case python/twins-process-pool-not process-pool-not
# @clean
# @case python/twins-pool pool
# @finding lock-order verdict=possible locks=pool.a,pool.b side=task_first side=task_second marks=task-first-b,task-second-a
# @case python/twins-pool-not pool-not
# @clean
# @case python/twins-joinable joinable
# @finding stuck verdict=observed side=joinable marks=joinable
# @strikes
# @case python/twins-joinable-not joinable-not
# @clean
# @case python/twins-manager manager
# @finding lock-order verdict=possible locks==managers.py:Server.create.obj side=Server.serve_client
# @case python/twins-manager-not manager-not
# @clean
"""
import concurrent.futures
import multiprocessing
import queue
import sys
import threading

lock_a = threading.Lock()
changed = threading.Condition()
meeting = threading.Barrier(2)


def run(*bodies):
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- threading ----


def take_permit(permits):
    permits.acquire()  # mark: take-permit


def semaphore(wrong):
    permits = threading.BoundedSemaphore(1)

    def use():
        take_permit(permits)
        if not wrong:
            permits.release()

    run(use, use)


def meet(barrier):
    barrier.wait()  # mark: meet


def barrier(wrong):
    together = threading.Barrier(3)
    run(*[lambda: meet(together)] * (2 if wrong else 3))


def take_and_notify():
    with lock_a:
        meeting.wait()
        with changed:
            changed.notify()


def notify_and_take():
    with changed:
        meeting.wait()
        with lock_a:
            changed.notify()


def condition_lock(_):
    run(take_and_notify, notify_and_take)


# ---- queue ----


def full_queue(wrong):
    items = queue.Queue(1 if wrong else 2)
    items.put(1)
    items.put(2)  # mark: put-second
    print(items.get())


def queue_join(wrong):
    items = queue.Queue()

    def consume():
        items.get()
        if not wrong:
            items.task_done()

    items.put(1)
    thread = threading.Thread(target=consume)
    thread.start()
    items.join()  # mark: queue-join
    thread.join()


# ---- concurrent.futures ----


def one():
    return 1


def ask_own_pool(workers):
    return workers.submit(one).result()  # mark: ask-own-pool


def callback(wrong):
    """A callback runs in the worker; there is but one."""
    with concurrent.futures.ThreadPoolExecutor(1) as workers, concurrent.futures.ThreadPoolExecutor(1) as others:
        start, end = threading.Event(), threading.Event()
        done = workers.submit(start.wait)
        done.add_done_callback(lambda _: end.set() if ask_own_pool(workers if wrong else others) else None)
        start.set()
        end.wait()


def ask_processes(workers):
    return workers.submit(one).result()  # mark: ask-processes


def process_pool(wrong):
    """Callbacks run in the thread that takes in all results."""
    with concurrent.futures.ProcessPoolExecutor(1) as workers, concurrent.futures.ProcessPoolExecutor(1) as others:
        others.submit(one).result()
        end = threading.Event()
        done = workers.submit(one)
        done.add_done_callback(lambda _: end.set() if ask_processes(workers if wrong else others) else None)
        end.wait()


# ---- multiprocessing ----


def first(a, b, together):
    with a:
        together.wait()
        with b:  # mark: first-b
            pass


def second(a, b, together):
    with b:
        together.wait()
        with a:  # mark: second-a
            pass


def processes(wrong):
    a = multiprocessing.Lock()
    b = multiprocessing.Lock()
    together = multiprocessing.Barrier(2 if wrong else 1)
    children = [multiprocessing.Process(target=body, args=(a, b, together)) for body in (first, second if wrong else first)]
    for child in children:
        child.start()
    for child in children:
        child.join()


def know(*shared):
    global task_locks
    task_locks = shared


def task_first():
    a, b, together, done = task_locks
    together.wait()  # in two workers
    with a:
        with b:  # mark: task-first-b
            pass
    done.set()


def task_second():
    a, b, together, done = task_locks
    together.wait()
    done.wait()
    with b:
        with a:  # mark: task-second-a
            pass


def task_second_in_order():
    a, b, together, done = task_locks
    together.wait()
    done.wait()
    with a:
        with b:
            pass


def pool(wrong):
    a = multiprocessing.Lock()
    b = multiprocessing.Lock()
    shared = a, b, multiprocessing.Barrier(2), multiprocessing.Event()
    with multiprocessing.Pool(2, know, shared) as workers:
        results = [workers.apply_async(task) for task in (task_first, task_second if wrong else task_second_in_order)]
        for result in results:
            result.get()
        workers.close()
        workers.join()


def work_off(items, wrong):
    items.get()
    if not wrong:
        items.task_done()


def joinable(wrong):
    items = multiprocessing.JoinableQueue()
    child = multiprocessing.Process(target=work_off, args=(items, wrong))
    child.start()
    items.put(1)
    items.join()  # mark: joinable
    child.join()


def in_order(one_lock, other, before, after):
    before.wait()
    with one_lock:
        with other:
            pass
    after.set()


def manager(wrong):
    turns = [multiprocessing.Event() for _ in range(3)]
    with multiprocessing.Manager() as server:
        a, b = server.Lock(), server.Lock()
        orders = [(a, b), (b, a) if wrong else (a, b)]
        children = [multiprocessing.Process(target=in_order, args=(*orders[i], turns[i], turns[i + 1])) for i in range(2)]
        for child in children:
            child.start()
        turns[0].set()
        for child in children:
            child.join()


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    case, _, right = sys.argv[1].partition("-not")
    globals()[case.replace("-", "_")](sys.argv[1] == case)
    print("done")
