"""`python -m driftgate.predict.workers.host DESCRIPTOR PARENT`: load a model once, and copy this process for each worker.

A copy shares the memory of what was loaded, weights packed for the processor included, which no file can share: ONNX Runtime
packs them anew in each process that loads the model. A copy is also there at once, so that a worker that died is replaced in
milliseconds. A session of more than one thread does not survive being copied; then each copy loads its own.
"""

import os
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

from driftgate.edges.processes import end_with_parent, fork
from driftgate.errors import DriftgateError
from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.texts import Text
from driftgate.predict.answerer import Answerer, answer_share
from driftgate.predict.reading.rows import Row
from driftgate.predict.workers.frames import decode_encoder, receive, send
from driftgate.run.device import RunSettings

FORK = b"+"


def main() -> None:
    """Serve until the job at the other end of the socket is gone."""
    end_with_parent(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process of the terminal; the job decides
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers
    control = socket.socket(fileno=int(sys.argv[1]))
    order, _ = receive(control)
    answerer = None
    if order["threads"] == 1:
        try:
            answerer = _open(order)
        except Exception as error:  # noqa: BLE001 - said by the job
            send(control, describe_error(error))
            return
    send(control, {"ready": True})
    while True:
        message, descriptors, *_ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        connection = socket.socket(fileno=descriptors[0])

        def work(connection: socket.socket = connection, host: int = os.getpid()) -> None:
            end_with_parent(host)
            control.close()
            with suppress(OSError):  # the job has hung up: it ended, or was ended
                serve(connection, order, answerer)

        fork(work)
        connection.close()


def serve(connection: socket.socket, order: dict[str, Any], answerer: Answerer | None) -> None:
    """Answer windows until the job hangs up.

    Args:
        answerer: loaded before this process was copied; None to load it now.
    """
    try:
        answerer = answerer or _open(order)
    except Exception as error:  # noqa: BLE001 - said by the job
        send(connection, describe_error(error))
        return
    plan, labels = BudgetPlan(order["token_budget"]), len(order["encoder"]["labels"])
    send(connection, {"process": os.getpid(), "sha256": answerer.sha256})
    while True:
        try:
            asked, _ = receive(connection)
        except EOFError:
            return
        rows = tuple(Row(number, _text(text)) for number, text in zip(asked["numbers"], asked["texts"], strict=True))
        try:
            share = answer_share(rows, answerer, plan, labels, asked["share"], asked["of"])
        except Exception as error:  # noqa: BLE001 - said by the job
            send(connection, describe_error(error))
            return
        send(
            connection,
            {"rows": share.rows, "tokens": share.tokens, "truncated": share.truncated},
            np.ascontiguousarray(share.logits, dtype="<f4").tobytes(),
        )


def describe_error(error: Exception) -> dict[str, Any]:
    """What went wrong, for the job to raise."""
    own = isinstance(error, DriftgateError)
    return {"error": type(error).__name__, "message": str(error), "own": own}


def _text(text: Any) -> Text:
    return text if isinstance(text, str) else (text[0], text[1])


def _open(order: dict[str, Any]) -> Answerer:
    module, _, name = order["opener"].partition(":")
    opener = getattr(import_module(module), name)
    answerer: Answerer = opener(decode_encoder(order["encoder"]), order["backend"], RunSettings(order["threads"]))
    return answerer


if __name__ == "__main__":
    with suppress(OSError):
        main()
