"""Several ONNX files of one encoder side by side: drift, flips, size, and speed in alternating blocks."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from driftgate.arrays import Logits
from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan, TokenBatch, make_batches, spread_sample
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.judge.drift import measure_drift
from driftgate.judge.flips import count_flips
from driftgate.judge.probabilities import decide, to_probabilities
from driftgate.judge.quality import measure_quality
from driftgate.results.environment import describe_environment
from driftgate.run.device import RunSettings, available_threads
from driftgate.run.torch_backend import open_reference

PLANS: dict[str, BatchPlan] = {"batch 1": ArrivalPlan(1), "budget": BudgetPlan()}
SAMPLE_ROWS = 32


@dataclass(frozen=True)
class Contestant:
    """What answers a batch with logits, float32, (rows, labels), and the size of its file in bytes."""

    answer: Callable[[TokenBatch], NDArray[np.float32]]
    size_bytes: int


def open_model(path: Path) -> Contestant:
    """A session as driftgate opens one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_threads()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def answer(batch: TokenBatch) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {name: getattr(batch, name) for name in names})[0])

    return Contestant(answer, path.stat().st_size)


def answer_all(contestant: Contestant, tokens: TokenizedTexts, plan: BatchPlan) -> NDArray[np.float32]:
    """Logits in row order, float32, (rows, labels)."""
    batches = list(make_batches(tokens, plan))
    order = np.argsort([row for batch in batches for row in batch.rows])
    return np.concatenate([contestant.answer(batch) for batch in batches])[order]


def race(
    encoder: Encoder,
    corpus: Corpus,
    contestants: dict[str, Contestant],
    *,
    first: str,
    blocks: int,
    plans: Mapping[str, BatchPlan] = PLANS,
) -> dict[str, Any]:
    """Everything measured, JSON-ready; speeds are ratios to `first`, of blocks that stand beside each other."""
    tokens = tokenize(encoder, corpus.texts)
    settings = RunSettings(available_threads())
    reference = open_reference(encoder, settings)
    batches = list(make_batches(tokens, BudgetPlan()))
    order = np.argsort([row for batch in batches for row in batch.rows])
    expected = np.concatenate([reference.prepare(batch)() for batch in batches])[order]
    table = {
        name: {
            **_compare(encoder, corpus, expected, answer_all(contestant, tokens, BudgetPlan())),
            "bytes": contestant.size_bytes,
        }
        for name, contestant in contestants.items()
    }
    sample = take_sample(encoder)
    for plan_name, plan in plans.items():
        for name, ratios in _alternate(contestants, list(make_batches(sample, plan)), first, blocks).items():
            table[name][plan_name] = {"median": np.median(ratios), "low": min(ratios), "high": max(ratios)}
    environment = describe_environment()
    return {
        "corpus": {"name": corpus.name, "rows": len(corpus)},
        "blocks": blocks,
        "ratios to": first,
        "plans": list(plans),
        "processor": environment.cpu,
        "versions": dict(environment.versions),
        "contestants": table,
    }


def take_sample(encoder: Encoder) -> TokenizedTexts:
    """The texts that are timed."""
    every = tokenize(encoder, throughput_corpus("normal").texts)
    return every.take(spread_sample(every, SAMPLE_ROWS))


def _compare(encoder: Encoder, corpus: Corpus, expected: Any, found: Any) -> dict[str, float | None]:
    drift = measure_drift(Logits(expected), Logits(found), encoder.labels, multi_label=True)
    sides = [
        decide(to_probabilities(Logits(side), multi_label=True), 0.5, multi_label=True) for side in (expected, found)
    ]
    truth = corpus.labels
    quality = None if truth is None else measure_quality(sides[1], truth, encoder.labels, multi_label=True)
    return {
        "drift": drift.largest_per_text.mean,
        "largest": drift.largest_per_text.max,
        "flips": count_flips(sides[0], sides[1], encoder.labels, multi_label=True).total,
        "macro_f1": quality and quality.macro_f1,
    }


def _alternate(
    contestants: dict[str, Contestant], batches: list[Any], first: str, blocks: int
) -> dict[str, list[float]]:
    """Every block in another order: whoever comes after a slow one finds its caches full of the other's weights."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    order = np.random.default_rng(0)
    for block in range(blocks + 1):
        for name in order.permutation(list(contestants)).tolist():
            contestant = contestants[name]
            for batch in batches[:1]:
                contestant.answer(batch)
            start = time.perf_counter()
            for batch in batches:
                contestant.answer(batch)
            if block:  # the first one warms caches
                seconds[name].append(time.perf_counter() - start)
    return {
        name: [base / own for base, own in zip(seconds[first], found, strict=True)] for name, found in seconds.items()
    }


def print_table(found: dict[str, Any]) -> None:
    """As Markdown, for README.md."""
    table = Table(box=box.MARKDOWN)
    plans = found["plans"]
    headings = [f"speed, {plan} [min, max]" for plan in plans]
    for heading in ("", "drift", "largest", "flips", "macro-F1", "MB", *headings):
        table.add_column(heading, no_wrap=True)
    for name, entry in found["contestants"].items():
        speeds = [
            f"{entry[plan]['median']:.2f} [{entry[plan]['low']:.2f}, {entry[plan]['high']:.2f}]" for plan in plans
        ]
        numbers = (
            f"{entry['drift']:.4f}",
            f"{entry['largest']:.3f}",
            str(entry["flips"]),
            "-" if entry["macro_f1"] is None else f"{entry['macro_f1']:.4f}",
            f"{entry['bytes'] / 1e6:.1f}",
        )
        table.add_row(name, *numbers, *speeds)
    Console(width=200).print(table)
