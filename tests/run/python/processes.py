"""Locks of multiprocessing.

# @case python/processes-opposite opposite
# @finding lock-order verdict=possible locks=lock_a,lock_b side=first side=second marks=first-b,second-a
# @case python/processes-opposite-rlocks rlocks
# @finding lock-order verdict=possible locks=rlock_a,rlock_b side=first side=second
# @case python/processes-same-order same
# @clean
# @case python/processes-queue queue
# @clean
# @case python/processes-pool pool
# @clean
# @case python/processes-events events
# @clean
# @case python/processes-value value
# @clean
# @case python/processes-manager manager
# @clean
# @case python/processes-shared-memory shared-memory
# @clean
# @case python/processes-barrier barrier
# @clean
# @case python/processes-executor executor
# @clean
# @case python/processes-spawned spawned
# @clean
"""
import concurrent.futures
import multiprocessing
import sys
from multiprocessing import shared_memory


def first(a, b, before, after):
    before.wait()
    with a:
        with b:  # mark: first-b
            pass
    after.set()


def second(a, b, before, after):
    before.wait()
    with b:
        with a:  # mark: second-a
            pass
    after.set()


def in_turn(a, b, *bodies):
    turns = [multiprocessing.Event() for _ in range(len(bodies) + 1)]
    children = [multiprocessing.Process(target=body, args=(a, b, turns[i], turns[i + 1])) for i, body in enumerate(bodies)]
    for child in children:
        child.start()
    turns[0].set()
    for child in children:
        child.join()


def produce(channel):
    for i in range(50):
        channel.put(i)
    channel.put(None)


def queue():
    channel = multiprocessing.Queue(3)
    child = multiprocessing.Process(target=produce, args=(channel,))
    child.start()
    print(sum(iter(channel.get, None)))
    child.join()


def square(i):
    return i * i


def pool():
    with multiprocessing.Pool(2) as workers:
        print(sum(workers.map(square, range(50))))
        print(workers.apply_async(square, (7,)).get())
        workers.close()
        workers.join()


def play(condition, turn, me):
    for _ in range(10):
        with condition:
            while turn.value != me:
                condition.wait()
            turn.value = 1 - me
            condition.notify_all()


def events():
    condition, turn = multiprocessing.Condition(), multiprocessing.Value("i", 0)
    children = [multiprocessing.Process(target=play, args=(condition, turn, me)) for me in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print(turn.value)


def add(value, array):
    for i in range(100):
        with value.get_lock():
            value.value += 1
        with array.get_lock():
            array[i % 3] += 1


def value():
    shared, array = multiprocessing.Value("i", 0), multiprocessing.Array("i", 3)
    children = [multiprocessing.Process(target=add, args=(shared, array)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print(shared.value, sum(array))


def fill(shared, lock, me):
    for i in range(10):
        with lock:
            shared[me] = shared.get(me, 0) + i


def manager():
    with multiprocessing.Manager() as server:
        shared, lock, channel = server.dict(), server.Lock(), server.Queue()
        children = [multiprocessing.Process(target=fill, args=(shared, lock, me)) for me in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        channel.put(sorted(shared.items()))
        print(channel.get())


def count_in(name, lock):
    block = shared_memory.SharedMemory(name)
    for _ in range(50):
        with lock:
            block.buf[0] += 1
    block.close()


def in_shared_memory():
    block, lock = shared_memory.SharedMemory(create=True, size=8), multiprocessing.Lock()
    children = [multiprocessing.Process(target=count_in, args=(block.name, lock)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print(block.buf[0])
    block.close()
    block.unlink()


def meet_often(barrier):
    for _ in range(10):
        barrier.wait()


def barrier():
    meeting, permits = multiprocessing.Barrier(3), multiprocessing.BoundedSemaphore(2)
    children = [multiprocessing.Process(target=meet_often, args=(meeting,)) for _ in range(3)]
    for child in children:
        child.start()
    with permits:
        for child in children:
            child.join()


def executor():
    with concurrent.futures.ProcessPoolExecutor(2) as workers:
        print(sum(workers.map(square, range(50), chunksize=5)))
        futures = [workers.submit(square, i) for i in range(10)]
        print(sum(f.result() for f in concurrent.futures.as_completed(futures)))


def spawned():
    context = multiprocessing.get_context("spawn")
    channel, done = context.Queue(), context.Event()
    child = context.Process(target=produce, args=(channel,))
    child.start()
    print(sum(iter(channel.get, None)), done.is_set())
    child.join()


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    case = sys.argv[1]
    lock_a = multiprocessing.Lock()
    lock_b = multiprocessing.Lock()
    rlock_a = multiprocessing.RLock()
    rlock_b = multiprocessing.RLock()
    if case == "opposite":
        in_turn(lock_a, lock_b, first, second)
    elif case == "rlocks":
        in_turn(rlock_a, rlock_b, first, second)
    elif case == "same":
        in_turn(lock_a, lock_b, first, first)
    else:
        {"queue": queue, "pool": pool, "events": events, "value": value, "manager": manager, "shared-memory": in_shared_memory,
         "barrier": barrier, "executor": executor, "spawned": spawned}[case]()
    print("done")
