"""Waiting for something that was announced, with a deadline; nothing here sleeps for a while and hopes."""

import threading
import time

# Nothing that a scenario waits for takes longer on a busy machine; raised where the product says so.
PATIENCE = 60.0
# What is refused at once is refused before this: the module would wait ten seconds for an answer.
AT_ONCE = 8.0


class Failure(AssertionError):
    """A scenario's expectation that did not hold."""


def check(condition, message):
    """Fails with `message` unless `condition` holds."""
    if not condition:
        raise Failure(message)


def equal(found, expected, what):
    """Fails unless `found` is what was expected, and shows both."""
    if found != expected:
        raise Failure(f"{what}: expected {expected!r}, found {found!r}")


def until(condition, what, timeout=PATIENCE):
    """Polls a condition that nobody can announce (a file, a port) and returns its first true value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {timeout:g} s in vain: {what}")
        time.sleep(0.005)


class Inbox:
    """An append-only list that threads fill and a scenario waits on."""

    def __init__(self, name):
        self.name = name
        self._items = []
        self._changed = threading.Condition()

    def put(self, item):
        """Appends and wakes whoever waits."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def all(self):
        """A copy of everything so far."""
        with self._changed:
            return list(self._items)

    def wait(self, wanted, what, since=0, timeout=PATIENCE):
        """Index of the first item from `since` on for which `wanted(item)` holds, waiting for it."""
        deadline = time.monotonic() + timeout
        with self._changed:
            at = since
            while True:
                while at < len(self._items):
                    if wanted(self._items[at]):
                        return at
                    at += 1
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(f"{self.name}: waited {timeout:g} s in vain for {what}")
                self._changed.wait(left)


def together(*calls):
    """Runs the calls in a thread each, released at one moment, and returns their results in order."""
    gate = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def run(index, call):
        try:
            gate.wait()
            results[index] = (True, call())
        except BaseException as error:  # handed on below, in the caller's thread
            results[index] = (False, error)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for good, value in results:
        if not good:
            raise value
    return [value for _, value in results]
