"""Stages of work that run at once, each in a thread, with a bounded queue between them."""

from collections.abc import Generator
from contextlib import closing
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")

_POLL_SECONDS = 0.1
_JOIN_SECONDS = 10.0  # a stage that waits for a pipe which says nothing is left behind


class _End:
    """What a stage says last: that it is done, or what went wrong."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def overlapped(items: Generator[Item], stop: Event, *outer: Event, depth: int = 1) -> Generator[Item]:  # noqa: C901 - one loop over a queue and what may end it
    """The items, made in a thread of their own, up to `depth` of them ahead.

    An error in that thread is raised here, behind the items made before it. Closing this generator ends the thread.

    Args:
        stop: an event of this stage's own, set when its items are no longer wanted.
        outer: those of the stages that use the items; any of them ends this one too.
    """
    queue: Queue[Item | _End] = Queue(maxsize=depth)

    def ended() -> bool:
        return any(event.is_set() for event in (stop, *outer))

    def offer(entry: Item | _End) -> bool:
        while not ended():
            try:
                queue.put(entry, timeout=_POLL_SECONDS)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        last = _End()
        try:
            with closing(items):
                for item in items:
                    if not offer(item):
                        return
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            last = _End(error)
        offer(last)

    thread = Thread(target=work, daemon=True)
    thread.start()
    wanted = True
    try:
        while not ended():
            try:
                entry = queue.get(timeout=_POLL_SECONDS)
            except Empty:
                continue
            if not isinstance(entry, _End):
                yield entry
                continue
            wanted = False
            if entry.error is not None:
                raise entry.error
            return
    finally:
        if wanted:
            stop.set()
        thread.join(_JOIN_SECONDS)
