"""Models that count letters and sleep: processes gain from sleeping at the same time."""

import time
from typing import Any

from letter_counter import answer_double, tokenize_double

from driftgate.inputs.batches import TokenBatch
from driftgate.predict.answerer import Answerer
from driftgate.run.device import RunSettings


def open_sleeper(encoder: Any, backend: str, settings: RunSettings) -> Answerer:
    """Processes help: they sleep at the same time."""

    def answer(batch: TokenBatch) -> Any:
        time.sleep(0.01)
        return answer_double(batch)

    return Answerer("sleeper", tokenize_double, answer)


def open_slow_in_crews(encoder: Any, backend: str, settings: RunSettings) -> Answerer:
    """Processes of fewer threads are slower: here each has one."""

    def answer(batch: TokenBatch) -> Any:
        time.sleep(0.002 if settings.threads > 1 else 0.02)
        return answer_double(batch)

    return Answerer("slow in crews", tokenize_double, answer)
