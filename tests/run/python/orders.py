"""Orders of Python's locks: what is found, and what is none.

# @case python/opposite opposite
# @finding lock-order verdict=possible locks=lock_a,lock_b side=first side=second marks=first-a,first-b,second-b,second-a counts=yes
# @case python/striking striking
# @finding deadlock verdict=observed locks=lock_a,lock_b side=first side=second marks=first-a,first-b,second-b,second-a counts=yes
# @strikes
# @output
# @case python/opposite-by-hand by-hand
# @finding lock-order verdict=possible locks=lock_a,lock_b side=first_by_hand side=second_by_hand marks=hand-a,hand-b,hand-second-b,hand-second-a
# @case python/opposite-rlocks rlocks
# @finding lock-order verdict=possible locks=rlock_a,rlock_b side=first_rlock side=second_rlock marks=rlock-b,rlock-second-a
# @case python/opposite-of-one-line one-line
# @finding lock-order verdict=possible locks=made_in_a_row side=first_of_row side=second_of_row
# @case python/opposite-in-objects objects
# @finding lock-order verdict=possible locks=Account.lock side=transfer
# @case python/opposite-while-raising raising
# @finding lock-order verdict=possible locks=lock_a,lock_b side=first_raising side=second
# @case python/opposite-after-wait after-wait
# @finding lock-order verdict=possible locks=changed,lock_a side=wait_and_take side=take_and_notify marks=after-wait-a,notify
# @case python/join-while-holding join-held
# @finding deadlock verdict=observed locks=lock_a,=python:thread's*end side=join_while_holding side=needs_lock
# @strikes
# @output
# @case python/same-order same
# @clean
# @case python/join-between join
# @clean
# @case python/try-and-back-off try
# @clean
# @case python/timed-second-step timed
# @finding lock-order verdict=possible locks=lock_a,lock_b side=first side=second_timed
# @case python/timed-steps-only all-timed
# @clean
# @case python/rlock-recursion recursion
# @clean
# @case python/gate gate
# @clean
# @case python/one-thread alone
# @clean
"""
import sys
import threading

lock_a = threading.Lock()
lock_b = threading.Lock()
rlock_a = threading.RLock()
rlock_b = threading.RLock()
gate = threading.Lock()
made_in_a_row = [threading.Lock() for _ in range(2)]
meeting = threading.Barrier(2)
changed = threading.Condition()
strikes = False


class Account:
    def __init__(self, money):
        self.lock = threading.Lock()
        self.money = money


def meet():
    if strikes:
        meeting.wait()


def first():
    with lock_a:  # mark: first-a
        meet()
        with lock_b:  # mark: first-b
            pass


def second():
    with lock_b:  # mark: second-b
        meet()
        with lock_a:  # mark: second-a
            pass


def first_by_hand():
    lock_a.acquire()  # mark: hand-a
    lock_b.acquire(True)  # mark: hand-b
    lock_b.release()
    lock_a.release()


def second_by_hand():
    lock_b.acquire(blocking=True)  # mark: hand-second-b
    try:
        lock_a.acquire()  # mark: hand-second-a
        lock_a.release()
    finally:
        lock_b.release()


def first_rlock():
    with rlock_a, rlock_a:
        with rlock_b:  # mark: rlock-b
            pass


def second_rlock():
    with rlock_b:
        with rlock_a:  # mark: rlock-second-a
            pass


def first_of_row():
    with made_in_a_row[0], made_in_a_row[1]:
        pass


def second_of_row():
    with made_in_a_row[1], made_in_a_row[0]:
        pass


def first_raising():
    try:
        with lock_a:
            with lock_b:
                raise ValueError("while holding both")
    except ValueError:
        pass


def transfer(giver, taker):
    with giver.lock:
        with taker.lock:
            giver.money, taker.money = giver.money - 1, taker.money + 1


def second_trying():
    with lock_b:
        if lock_a.acquire(False):
            lock_a.release()
        if lock_a.acquire(blocking=False):
            lock_a.release()


def second_timed():
    with lock_b:
        if lock_a.acquire(timeout=10):
            lock_a.release()


def both_timed(outer, inner, timeout):
    if outer.acquire(timeout=timeout):
        if inner.acquire(True, timeout):
            inner.release()
        if inner.acquire(blocking=True, timeout=timeout):
            inner.release()
        outer.release()


def wait_and_take():
    with changed:
        changed.wait(0.01)
        with lock_a:  # mark: after-wait-a
            pass


def take_and_notify():
    with lock_a:
        with changed:  # mark: notify
            changed.notify()


def needs_lock(holding):
    holding.wait()
    with lock_a:
        pass


def join_while_holding():
    holding = threading.Event()
    thread = threading.Thread(target=needs_lock, args=(holding,))
    thread.start()
    with lock_a:
        holding.set()
        thread.join()


def recursion():
    with rlock_a:
        with rlock_b:
            with rlock_a:
                with rlock_b:
                    pass


def gated(body):
    with gate:
        body()


def one_after_the_other(*bodies):
    """Each in a thread of its own; nothing but the moment keeps them apart: the threads live all at the same time."""
    turns = [threading.Event() for _ in range(len(bodies) + 1)]

    def run(i):
        turns[i].wait()
        bodies[i]()
        turns[i + 1].set()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(bodies))]
    for thread in threads:
        thread.start()
    turns[0].set()
    for thread in threads:
        thread.join()


def joined_between(*bodies):
    for body in bodies:
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()


def main(case):
    global strikes
    strikes = case == "striking"
    one, two = Account(10), Account(10)
    if case == "striking":
        threads = [threading.Thread(target=first), threading.Thread(target=second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    elif case == "join-held":
        join_while_holding()
    elif case == "join":
        joined_between(first, second)
    elif case == "alone":
        first()
        second()
    else:
        one_after_the_other(*{
            "opposite": (first, second),
            "by-hand": (first_by_hand, second_by_hand),
            "rlocks": (first_rlock, second_rlock),
            "one-line": (first_of_row, second_of_row),
            "objects": (lambda: transfer(one, two), lambda: transfer(two, one)),
            "raising": (first_raising, second),
            "same": (first, first),
            "try": (first, second_trying),
            "timed": (first, second_timed),
            "all-timed": (lambda: both_timed(lock_a, lock_b, 5), lambda: both_timed(lock_b, lock_a, 5)),
            "after-wait": (wait_and_take, take_and_notify),
            "recursion": (recursion, recursion),
            "gate": (lambda: gated(first), lambda: gated(second)),
        }[case])
    print("done")


main(sys.argv[1])
