"""A worker of the throughput benchmark: `python -m driftgate.measure.shares`, asked in lines of JSON.

`{"do": "open"}` loads a backend; `"prepare"` pads the batches of its share and answers the first one, untimed; `"run"` answers
all of them from a given moment on.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import IntArray
from driftgate.errors import NonFiniteLogitsError
from driftgate.inputs.batches import pad_rows
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.measure.process import read_request, resident_bytes
from driftgate.measure.remote import serve
from driftgate.run.backend import Backend, Prepared


def write_tokens(path: Path, tokens: TokenizedTexts) -> None:
    """Write `tokens` as an `.npz` file."""
    arrays: dict[str, Any] = {
        "lengths": tokens.lengths,
        "input_ids": np.concatenate(tokens.input_ids),
        "truncated": np.array(tokens.truncated),
        "padding": np.array([tokens.pad_token_id, tokens.pad_token_type_id, tokens.padding_side == "left"], np.int64),
    }
    if tokens.token_type_ids is not None:
        arrays["token_type_ids"] = np.concatenate(tokens.token_type_ids)
    with path.open("wb") as file:  # np.savez would add a suffix to a name without one
        np.savez(file, **arrays)


@lru_cache(maxsize=1)
def read_tokens(path: Path) -> TokenizedTexts:
    """What `write_tokens` wrote."""
    with np.load(path, allow_pickle=False) as content:
        ends = np.cumsum(content["lengths"])[:-1]

        def rows(name: str) -> tuple[IntArray, ...]:
            return tuple(np.split(content[name], ends))

        pad_token_id, pad_token_type_id, left = content["padding"].tolist()
        return TokenizedTexts(
            rows("input_ids"),
            rows("token_type_ids") if "token_type_ids" in content.files else None,
            tuple(content["truncated"].tolist()),
            pad_token_id,
            pad_token_type_id,
            "left" if left else "right",
        )


OpenBackend = Callable[[Mapping[str, Any]], Backend]


class ShareWorker:
    """Answers requests with the backend that `open_backend` gives."""

    def __init__(self, open_backend: OpenBackend) -> None:
        self._open_backend = open_backend
        self._backend: Backend | None = None
        self._calls: tuple[Prepared, ...] = ()

    def answer(self, request: Mapping[str, Any]) -> object:
        """Do what a request says."""
        if request["do"] == "open":
            return self._open(request["model"])
        if request["do"] == "prepare":
            return self._prepare(read_tokens(Path(request["tokens"])), request["batches"])
        return self._run(request["start_ns"])

    def _open(self, model: Mapping[str, Any]) -> dict[str, Any]:
        self._backend = self._open_backend(model)
        return {**asdict(self._backend.in_force), "resident_bytes": resident_bytes()}

    def _prepare(self, tokens: TokenizedTexts, batches: Sequence[Sequence[int]]) -> float:
        """Pad and prime; the seconds that the whole share would take at the first batch's speed, which is at its slowest."""
        assert self._backend is not None  # noqa: S101 - the protocol opens first
        padded = [pad_rows(tokens, rows) for rows in batches]
        self._calls = tuple(self._backend.prepare(batch) for batch in padded)
        gc.collect()
        started = time.perf_counter_ns()
        self._calls[0]()
        seconds = (time.perf_counter_ns() - started) / 1e9
        return seconds * sum(batch.padded_tokens for batch in padded) / padded[0].padded_tokens

    def _run(self, start_ns: int) -> dict[str, int]:
        answers = []
        gc.disable()
        try:
            time.sleep(max(0, start_ns - time.perf_counter_ns()) / 1e9)
            begun = time.perf_counter_ns()
            for call in self._calls:
                answers.append(call())  # noqa: PERF401 - as plain a loop as can be timed
            ended = time.perf_counter_ns()
        finally:
            gc.enable()
        broken = sum(int((~np.isfinite(logits).all(axis=1)).sum()) for logits in answers)
        if broken:
            raise NonFiniteLogitsError(
                f"{broken} rows have NaN or infinite logits; look for float16 overflow or a damaged artifact"
            )
        return {"begun_ns": begun, "ended_ns": ended, "rows": sum(len(logits) for logits in answers)}


def _open(model: Mapping[str, Any]) -> Backend:
    from driftgate.run.open import open_backend

    return open_backend(*read_request(model))


if __name__ == "__main__":
    serve(ShareWorker(_open).answer)
