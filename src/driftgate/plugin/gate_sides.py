"""What the gate times: cells with an artifact, and both sides of them, opened anew whenever asked."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from driftgate.backends import BackendSpec, Runtime
from driftgate.builder.artifact import digest_files
from driftgate.gate.pairs import Contest, Load, Pair, log_ratios
from driftgate.gate.rendering import CellTimes
from driftgate.gate.verdicts import TimedBackend
from driftgate.measure.software import timed_software
from driftgate.measure.workload import prepare_workload
from driftgate.pipeline import Built, open_built
from driftgate.plugin.cells import CellSpec, sample_tokens
from driftgate.plugin.session import DriftgateSession
from driftgate.report.environment import describe_environment


def is_gateable(spec: BackendSpec) -> bool:
    """Whether a backend has an artifact that can be kept and timed again."""
    return spec.runtime is Runtime.ONNXRUNTIME and spec.open_with is None


def gated_cells(session: DriftgateSession) -> list[CellSpec]:
    """Every cell that can be gated: backends with artifacts, each under every batch plan."""
    corpus = session.options.throughput_corpus
    specs = (spec for spec in session.options.backends if is_gateable(spec))
    return [CellSpec(spec, plan, corpus) for spec in specs for plan in session.benchmark_plans]


def load_side(session: DriftgateSession, built: Built, cells: Sequence[CellSpec]) -> Load:
    """A function that opens the artifact in a fresh session and prepares the cells' batches."""
    samples = {cell.corpus: sample_tokens(session, cell.corpus) for cell in cells}

    @contextmanager
    def load() -> Iterator[Mapping[str, Sequence[Any]]]:
        backend = open_built(built, session.options.settings)
        yield {cell.id: prepare_workload(backend, samples[cell.corpus], cell.plan).prepared for cell in cells}

    return load


def by_backend(contests: Sequence[Contest], pairs: Sequence[Pair]) -> dict[str, TimedBackend]:
    cells, controls = log_ratios(pairs)
    return {
        contest.backend: TimedBackend(
            {cell: cells.get(contest.backend, {}).get(cell, []) for cell in contest.cells},
            controls.get(contest.backend, []),
        )
        for contest in contests
    }


def cell_times(pairs: Sequence[Pair]) -> dict[str, CellTimes]:
    real = [pair for pair in pairs if not pair.is_control]
    return {
        cell: CellTimes(
            float(np.median([pair.baseline_ns for pair in own])) / 1e6,
            float(np.median([pair.candidate_ns for pair in own])) / 1e6,
            len(own),
        )
        for cell in dict.fromkeys(pair.cell for pair in real)
        for own in [[pair for pair in real if pair.cell == cell]]
    }


def describe_sides(session: DriftgateSession) -> dict[str, Any]:
    """What a baseline of this run is taken on, as JSON has it."""
    about = {
        "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "encoder": {
            "name": session.encoder.name,
            "labels": session.encoder.labels,
            "max_tokens": session.encoder.max_tokens,
            "tokenizer_sha256": digest_files(session.encoder.tokenizer_files),
        },
        "software": timed_software(),
        "settings": {"threads": session.options.settings.threads, "device": str(session.options.settings.device)},
        "environment": asdict(describe_environment()),
    }
    as_json: dict[str, Any] = json.loads(json.dumps(about))
    return as_json


def list_software_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What can change the time of the same bytes and is not as it was.

    Args:
        then, now: as `describe_sides` has it.
    """
    return _list_changes((then, now), ("software", "settings"))


def list_encoder_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What keeps both sides from answering the same tokens. The arguments are those of `list_software_changes`."""
    return _list_changes((then, now), ("encoder",), ignored=("name",))


def _list_changes(
    sides: tuple[Mapping[str, Any], Mapping[str, Any]], parts: Iterable[str], ignored: Sequence[str] = ()
) -> list[str]:
    then, now = ({name: value for part in parts for name, value in side.get(part, {}).items()} for side in sides)
    return [
        f"{name}: baseline {then.get(name)}, now {now.get(name)}"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name) and name not in ignored
    ]
