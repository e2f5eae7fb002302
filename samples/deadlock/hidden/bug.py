"""Deadlock in hiding: no method takes two locks, and yet two threads take two locks in opposite order.

The section teaches: in real programs locks sit in objects and are taken by the methods of these. Each of them is right by itself.
The order comes from who calls whom while holding what, and no single method shows it.

What goes wrong: Cache.store() holds the cache's lock and calls into the index, which takes its own. Index.rebuild() holds the index's
lock and calls into the cache, which takes its own.

What to look for: the program ends well, because the index happens to be rebuilt when the page is stored. `snarl run` reports the
cycle; the stacks show the calls that nobody sees in the source.

Usage: bug.py
"""
import threading


class Index:
    def __init__(self):
        self.lock = threading.Lock()
        self.entries = 0

    def add(self):
        with self.lock:
            self.entries += 1

    def rebuild(self, cache):
        with self.lock:
            self.entries = cache.count()  # takes the cache's lock


class Cache:
    def __init__(self, index):
        self.lock = threading.Lock()
        self.index = index
        self.pages = []

    def store(self, page):
        with self.lock:
            self.pages.append(page)
            self.index.add()  # takes the index's lock

    def count(self):
        with self.lock:
            return len(self.pages)


index = Index()
cache = Cache(index)
stored = threading.Event()


def reader():
    cache.store("page")
    stored.set()


def maintainer():
    stored.wait()  # the luck of this run
    index.rebuild(cache)


if __name__ == "__main__":
    threads = [threading.Thread(target=reader), threading.Thread(target=maintainer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(cache.pages), "pages,", index.entries, "index entries")
