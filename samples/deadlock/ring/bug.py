"""Deadlock in a ring: five philosophers at a round table, five forks, and each takes the left fork first.

The section teaches: a deadlock needs no two threads that disagree about two locks. Every pair of neighbours shares one fork only;
it is all five together who wait in a circle.

What goes wrong: philosopher n takes fork n and then fork n + 1, the last one fork 4 and then fork 0. When all of them have their
left fork, nobody will ever get a right one.

What to look for: `snarl run` shows the circle of five. With "in-turn" the philosophers eat one after the other and the run ends
well: snarl reports the same circle as a lock-order finding.

Usage: bug.py [SECONDS [in-turn]]    how long each philosopher thinks between the two forks, 1
"""
import sys
import threading
import time

SEATS = 5
forks = [threading.Lock() for _ in range(SEATS)]
turn = [threading.Event() for _ in range(SEATS + 1)]
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
in_turn = len(sys.argv) > 2 and sys.argv[2] == "in-turn"
holding = []


def think(n):
    time.sleep(seconds)
    holding.append(n)
    while not in_turn and len(holding) < SEATS:
        time.sleep(0.001)  # until each has a fork: after a second they nearly always have


def philosopher(n):
    if in_turn:
        turn[n].wait()
    with forks[n]:
        think(n)
        with forks[(n + 1) % SEATS]:
            print("philosopher", n, "eats", flush=True)
    turn[n + 1].set()


if __name__ == "__main__":
    turn[0].set()
    threads = [threading.Thread(target=philosopher, args=(n,)) for n in range(SEATS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
