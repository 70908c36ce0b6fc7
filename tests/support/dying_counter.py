"""The model that counts letters, in a worker that ends where a text tells it to."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from letter_counter import answer_double, tokenize_double

from driftgate.errors import NonFiniteLogitsError
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.predict.answerer import Answerer
from driftgate.run.device import RunSettings


def open_dying(encoder: Encoder, backend: str, settings: RunSettings) -> Answerer:
    """A text "die PATH N" kills the worker, until it was read N times; "fail" is an error of ours."""

    def tokenize(texts: Sequence[str]) -> TokenizedTexts:
        for text in texts:
            if text.startswith("die "):
                _, path, times = text.split()
                with Path(path).open("a", encoding="utf-8") as file:
                    file.write("x")
                if Path(path).stat().st_size <= int(times):
                    os.kill(os.getpid(), signal.SIGKILL)
            if text == "fail":
                raise NonFiniteLogitsError("a row failed")
        return tokenize_double(texts)

    return Answerer("dying", tokenize, answer_double)


def open_nothing(encoder: Encoder, backend: str, settings: RunSettings) -> Answerer:
    """A model that does not load."""
    raise NonFiniteLogitsError("it does not load")


def open_and_die(encoder: Encoder, backend: str, settings: RunSettings) -> Answerer:
    """A model that is too large for the memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
