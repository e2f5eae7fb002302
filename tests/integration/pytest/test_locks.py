"""Tests by pytest: all of them pass, one has a lock-order cycle."""
import threading

import pytest

accounts = threading.Lock()
journal = threading.Lock()


def transfer():
    with accounts:
        with journal:
            pass


def audit():
    with journal:
        with accounts:
            pass


def in_turn(*functions):
    """One after the other, in threads that all exist at the same time."""
    turns = [threading.Event() for _ in range(len(functions) + 1)]

    def run(i):
        turns[i].wait()
        functions[i]()
        turns[i + 1].set()
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(functions))]
    for t in threads:
        t.start()
    turns[0].set()
    for t in threads:
        t.join()


@pytest.mark.parametrize("times", [2, 3])
def test_tidy(times):
    in_turn(*[transfer] * times)


def test_tangled():
    in_turn(transfer, audit)


def test_output(capfd):
    print("of the test")
    assert capfd.readouterr().out == "of the test\n"
