"""Threads and processes, fixed by shared memory: the answer lies where both processes see it.

The section teaches: processes share what they agree to share. A Value of multiprocessing lies in shared memory and has a lock.

What to look for: both know the answer. snarl has nothing to report.

Usage: shared.py
"""
import multiprocessing


def work_out(answer):
    answer.value = 42
    print("child:  the answer is", answer.value, flush=True)


if __name__ == "__main__":
    answer = multiprocessing.Value("i", 0)
    child = multiprocessing.Process(target=work_out, args=(answer,))
    child.start()
    child.join()
    print("parent: the answer is", answer.value)
