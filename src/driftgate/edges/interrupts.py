"""Ctrl-C, pressed once or several times in a row: one interruption, which has the time to end what it interrupted."""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_TOGETHER_SECONDS = 1.0
_AGAIN_SECONDS = 0.1


@contextmanager
def merged_interrupts() -> Iterator[None]:
    """Within, a Ctrl-C less than a second after another one is ignored: it would break off the keeping of what was done.

    A later one interrupts again. Where Ctrl-C is ignored, as in a shell's background jobs, or handled by somebody else, it stays
    so. After an interruption this stays in force: the process is about to end, and Ctrl-C can come then too.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    last = float("-inf")

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if _torch_is_being_imported():
            threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()
            return
        before, last = last, time.monotonic()
        if last - before > _TOGETHER_SECONDS:
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # Python itself would put the default back
            signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if last == float("-inf"):
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _torch_is_being_imported() -> bool:
    """Its C++ code calls Python meanwhile, and aborts the process where that raises anything."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(getattr(torch.__spec__, "_initializing", False))
