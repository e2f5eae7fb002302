"""Forks while other threads hold locks.

# @case python/fork-locked locked
# @finding lock-misuse:fork-while-locked verdict=observed locks=held side=in_child side=hold
# @finding deadlock verdict=observed locks=held side=in_child
# @strikes
# @case python/fork-locked-rlock rlocked
# @finding lock-misuse:fork-while-locked verdict=observed locks=held_again side=in_child side=hold
# @finding deadlock verdict=observed locks=held_again side=in_child
# @strikes
# The child gives up by itself.
# @case python/fork-locked-timeout timeout
# @finding lock-misuse:fork-while-locked verdict=observed locks=held side=in_child_for_a_while side=hold
# @case python/fork-locked-multiprocessing processes
# @finding lock-misuse:fork-while-locked verdict=observed locks=held side=in_child side=hold
# @finding deadlock verdict=observed locks=held side=in_child
# @strikes
#
# @case python/fork-untouched untouched
# @clean
# @case python/fork-register-at-fork registered
# @clean
# @case python/fork-made-new made_new
# @clean
# @case python/fork-own own
# @clean
# @case python/fork-signal signalled
# @clean
# @case python/fork-logging logs
# @clean
# @case python/fork-subprocess subprocesses
# @clean
# @case python/fork-importing importing
# @clean
# @case python/fork-pools pools
# @clean
"""
import concurrent.futures
import importlib
import logging
import multiprocessing
import os
import subprocess
import sys
import threading

held = threading.Lock()
held_again = threading.RLock()
FORK = multiprocessing.get_context("fork")


def hold(lock, taken, go_on):
    with lock:
        taken.set()
        go_on.wait()


def holding(lock):
    taken, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold, args=(lock, taken, go_on))
    thread.start()
    taken.wait()
    return thread, go_on


def wait_for(child):
    os.waitpid(child, 0)


def in_fork(f, *args):
    child = os.fork()
    if child == 0:
        f(*args)
        os._exit(0)
    return child


def in_child(lock):
    with lock:
        pass


def in_child_for_a_while(lock):
    lock.acquire(timeout=0.1)


def while_held(lock, f, *args):
    thread, go_on = holding(lock)
    child = in_fork(f, *args)
    go_on.set()
    thread.join()
    wait_for(child)


def locked():
    while_held(held, in_child, held)


def rlocked():
    while_held(held_again, in_child, held_again)


def timeout():
    while_held(held, in_child_for_a_while, held)


def processes():
    thread, go_on = holding(held)
    child = FORK.Process(target=in_child, args=(held,))
    child.start()
    go_on.set()
    thread.join()
    child.join()


def untouched():
    while_held(held, print, "child")


def registered():
    """Taken before the fork, as logging and concurrent.futures do."""
    os.register_at_fork(before=held.acquire, after_in_child=held._at_fork_reinit, after_in_parent=held.release)
    thread, go_on = holding(held)
    threading.Timer(0.2, go_on.set).start()  # the fork waits for it
    wait_for(in_fork(in_child, held))
    thread.join()


def new_and_take():
    held._at_fork_reinit()
    in_child(held)


def made_new():
    while_held(held, new_and_take)


def take_and_fork():
    with held:
        wait_for(in_fork(held.release))


def own():
    """The forking thread has it itself: so has its child."""
    take_and_fork()
    in_child(held)


def post_from_thread(lock):
    threading.Thread(target=lock.release).start()
    lock.acquire()


def signalled():
    """Another thread took it at first, but it is used as a signal: who waits is not who releases."""
    signal = threading.Semaphore(0)
    thread = threading.Thread(target=signal.release)
    thread.start()
    thread.join()
    signal.acquire()
    wait_for(in_fork(post_from_thread, signal))


class Formats(logging.Handler):
    """No stream: the lock of a buffered one, CPython does not look after."""

    def emit(self, record):
        self.format(record)


def log_much(stop):
    while not stop.is_set():
        logging.info("x")


def logs():
    logging.basicConfig(handlers=[Formats()], level=logging.INFO)
    stop = threading.Event()
    threads = [threading.Thread(target=log_much, args=(stop,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        wait_for(in_fork(logging.info, "child"))
    stop.set()
    for thread in threads:
        thread.join()


def subprocesses():
    def work():
        for _ in range(3):
            subprocess.run(["/bin/true"], check=True)

    thread, go_on = holding(held)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    go_on.set()
    thread.join()


def import_much(stop):
    while not stop.is_set():
        for name in ("colorsys", "sndhdr", "chunk"):
            sys.modules.pop(name, None)
            importlib.import_module(name)


def importing():
    """The import lock is CPython's to look after."""
    import warnings

    warnings.simplefilter("ignore")
    stop = threading.Event()
    thread = threading.Thread(target=import_much, args=(stop,))
    thread.start()
    for _ in range(10):
        wait_for(in_fork(importlib.import_module, "sched"))
    stop.set()
    thread.join()


def square(i):
    return i * i


def pools():
    thread, go_on = holding(held)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=FORK) as pool:
        print(sum(pool.map(square, range(20))))
    with FORK.Pool(2) as pool:
        print(sum(pool.map(square, range(20))))
    channel = FORK.Queue()
    child = FORK.Process(target=channel.put, args=(1,))
    child.start()
    print(channel.get())
    child.join()
    go_on.set()
    thread.join()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
