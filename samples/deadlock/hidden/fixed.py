"""Deadlock in hiding, fixed: rebuilding asks the cache before it takes the index's own lock.

The section teaches: keep no lock while calling into another part that has locks of its own, or write the one allowed order down
where both parts see it. Here the order is cache before index.

What to look for: the same classes, the same methods, the same work; snarl has nothing to report.

Usage: fixed.py
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
        pages = cache.count()  # takes the cache's lock, and has given it back when it returns
        with self.lock:
            self.entries = pages


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
    stored.wait()
    index.rebuild(cache)


if __name__ == "__main__":
    threads = [threading.Thread(target=reader), threading.Thread(target=maintainer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(cache.pages), "pages,", index.entries, "index entries")
