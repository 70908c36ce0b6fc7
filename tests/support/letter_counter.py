"""A model that needs no torch: it counts letters. Also what the worker that is killed runs."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import Logits
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.predict.answerer import Answerer
from driftgate.predict.job import PredictionJob, run_job
from driftgate.run.device import RunSettings

LABELS = ("joy", "anger", "neutral")
MAX_TOKENS = 64
DOUBLE = Encoder(
    Path("double"),
    "double",
    "double",
    LABELS,
    ProblemType.MULTI_LABEL,
    problem_type_inferred=False,
    max_tokens=MAX_TOKENS,
    vocab_size=256,
    thresholds=(0.5, 0.25, 0.75),
    sha256="0" * 64,
)


def tokenize_double(texts: Sequence[str]) -> TokenizedTexts:
    """A token a byte."""
    every = [np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) + 1 for text in texts]
    cut = tuple(ids[:MAX_TOKENS] for ids in every)
    return TokenizedTexts(cut, None, tuple(len(ids) > MAX_TOKENS for ids in every), pad_token_id=0)


def answer_double(batch: TokenBatch) -> Logits:
    """Odd numbers that differ from text to text and need all nine digits."""
    sums = (batch.input_ids * batch.attention_mask).sum(axis=1).astype(np.float64)
    lengths = batch.attention_mask.sum(axis=1).astype(np.float64)
    columns = [np.sin(sums) * 4, np.cos(sums / 7) * 4, np.sin(lengths + sums / 3) * 4]
    return Logits(np.stack(columns, axis=1).astype(np.float32))


def open_double(encoder: Encoder, backend: str, settings: RunSettings) -> Answerer:
    """Another backend is another model."""
    return Answerer(f"sha-of-{backend}", tokenize_double, answer_double)


def logits_of(text: str) -> Any:
    """What the double answers to one text, float32, (labels,)."""
    ids = tokenize_double([text]).input_ids[0][None, :]
    return answer_double(TokenBatch((0,), ids, np.ones_like(ids), None))[0]


def slow_double(encoder: Encoder, backend: str, settings: RunSettings) -> Answerer:
    """A window takes some milliseconds."""

    def answer(batch: TokenBatch) -> Logits:
        time.sleep(0.002)
        return answer_double(batch)

    return Answerer("slow", tokenize_double, answer)


def open_for_ever(encoder: Encoder, backend: str, settings: RunSettings) -> Answerer:
    """A model that takes longer to load than anybody waits."""
    time.sleep(600)
    raise AssertionError


def answer_for_ever(encoder: Encoder, backend: str, settings: RunSettings) -> Answerer:
    """A model that loads, and then takes longer than anybody waits."""

    def answer(batch: TokenBatch) -> Logits:
        time.sleep(600)
        raise AssertionError

    return Answerer("for ever", tokenize_double, answer)


def work(source: str, target: str) -> None:
    """One attempt at a job, for a process that may be killed at any time."""
    job = PredictionJob(
        DOUBLE,
        "double",
        source,
        target,
        id_column="id",
        resume=True,
        window_rows=64,
        token_budget=1024,
        commit_seconds=0,
    )
    run_job(job, open_model=slow_double)
