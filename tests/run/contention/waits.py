"""A lock of Python's that is taken twelve times; one of these has to wait."""
import threading

lock = threading.Lock()


def work():
    with lock:
        pass


def until_waits(thread):
    """The kernel shows it in a futex call without a time-out: so CPython waits for a lock, not for its own one."""
    while True:
        with open(f"/proc/self/task/{thread.native_id}/syscall", encoding="ascii") as f:
            words = f.read().split()
        if words[0] == "202" and words[4] == "0x0":
            return


for _ in range(10):
    with lock:
        pass
t = threading.Thread(target=work)
with lock:
    t.start()
    until_waits(t)
t.join()
