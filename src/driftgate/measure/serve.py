"""A worker's end of the line: requests on standard input, an answer each on standard output, a line of JSON."""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from driftgate.errors import DriftgateError


def serve(
    answer: Callable[[Mapping[str, Any]], object],
    *,
    at_end: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests until standard input ends; then this process calls `at_end` and ends too, even in the midst of an answer.

    It ends with the parent, however that was ended: no worker outlives it. Between requests a worker waits without
    spinning, which would take a core from whoever is timed meanwhile.
    """
    # What a library prints goes to standard error: standard output carries the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Ctrl-C reaches every process of the terminal, and `timeout` ends a whole group. The parent decides what becomes of it,
    # and ends its workers.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(requests, at_end), daemon=True)
    listener.start()
    while True:
        try:
            found: dict[str, object] = {"found": answer(json.loads(requests.get()))}
        except DriftgateError as error:
            found = {"error": str(error)}
        except Exception:  # noqa: BLE001 - whatever it is, the parent reports it
            found = {"error": traceback.format_exc()[-2000:]}
        try:
            print(json.dumps(found), file=answers, flush=True)
        except BrokenPipeError:  # whoever asked is gone, and with them the input: the listener ends this process
            listener.join()


def _listen(requests: "queue.SimpleQueue[str]", at_end: Callable[[], None]) -> None:
    for line in sys.stdin:
        requests.put(line)
    try:
        at_end()
    finally:
        os._exit(0)
