"""The interpreter lock against locks of C code.

# @case python/interpreter-lock hold
# @finding deadlock verdict=observed locks==python:interpreter*lock,* side=keep_and_ask_for_interpreter side=ask_in_c marks=ask-in-c
# @strikes
# @output
# @case python/interpreter-lock-released release
# @clean
"""
import ctypes
import sys
import threading

mutex = ctypes.create_string_buffer(64)  # as PTHREAD_MUTEX_INITIALIZER
keeping = ctypes.PyDLL(None)  # functions called through it keep the interpreter lock
releasing = ctypes.CDLL(None)  # these give it up for the call, as an extension should
taken, asks = threading.Event(), threading.Event()


def keep_and_ask_for_interpreter():
    releasing.pthread_mutex_lock(mutex)
    taken.set()
    asks.wait()
    releasing.usleep(200000)  # back from it, it needs the interpreter lock
    keeping.pthread_mutex_unlock(mutex)


def ask_in_c(library):
    taken.wait()
    asks.set()
    library.pthread_mutex_lock(mutex)  # mark: ask-in-c
    library.pthread_mutex_unlock(mutex)


library = keeping if sys.argv[1] == "hold" else releasing
threads = [threading.Thread(target=keep_and_ask_for_interpreter), threading.Thread(target=ask_in_c, args=(library,))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
