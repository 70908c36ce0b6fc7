"""Resident memory of a session over many shapes, in a process of its own: `python -m driftgate.measure.leak REQUEST`.

Whether it keeps growing is read from the readings of that process.
"""

import gc
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from driftgate.backends import BackendSpec
from driftgate.builder.artifact import Artifact
from driftgate.inputs.batches import TokenBatch, pad_rows
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.texts import Text
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.measure.process import ask_fresh_process, describe_request, read_request, read_texts, resident_bytes
from driftgate.run.backend import Backend
from driftgate.run.device import RunSettings

BATCH_SIZES = (1, 2, 3, 5, 8, 13, 21, 32)
WIDTHS = 10
WARM_UP_CYCLES = 5
CYCLES = 30


@dataclass(frozen=True, slots=True)
class MemoryOverShapes:
    """Resident memory in bytes: with the backend loaded, and after each cycle after the warm-up."""

    loaded_bytes: int
    resident_bytes: tuple[int, ...]
    runs_per_cycle: int


def measure_memory_over_shapes(
    encoder: Encoder,
    spec: BackendSpec,
    artifact: Artifact | None,
    texts: Sequence[Text],
    settings: RunSettings,
    token_budget: int,
) -> MemoryOverShapes:
    """Answer batches of many shapes again and again in a new process.

    Args:
        spec: its `open_with`, if any, has to be a function at the top of a file, which the process imports again.
        token_budget: padded tokens of the largest batch; a single row may be wider.

    Raises:
        DriftgateError: the process failed; its last lines are in the message.
    """
    request = describe_request(encoder, spec, artifact, texts, settings)
    opener = spec.open_with and (spec.open_with.__code__.co_filename, spec.open_with.__qualname__)
    found = ask_fresh_process(
        "driftgate.measure.leak", spec.name, {**request, "open_with": opener, "token_budget": token_budget}
    )
    return MemoryOverShapes(**{**found, "resident_bytes": tuple(found["resident_bytes"])})


def spread_shapes(tokens: TokenizedTexts, max_tokens: int, token_budget: int) -> list[TokenBatch]:
    """Batches of every size and of widths from the shortest row to `max_tokens`, as far as the budget allows."""
    generator = np.random.default_rng(0)
    widths = np.unique(np.geomspace(tokens.lengths.min(), max_tokens, WIDTHS).astype(int)).tolist()
    return [
        pad_rows(tokens, generator.choice(np.flatnonzero(tokens.lengths <= width), size).tolist(), width)
        for width in widths
        for size in BATCH_SIZES
        if size == 1 or size * width <= token_budget
    ]


def cycle_through(backend: Backend, batches: Sequence[TokenBatch], cycles: int, seed: int) -> tuple[int, ...]:
    """Resident bytes after each cycle; a cycle answers every batch once, in random order."""
    generator = np.random.default_rng(seed)
    seen = []
    for _ in range(cycles):
        for position in generator.permutation(len(batches)).tolist():
            backend.prepare(batches[position])()
        gc.collect()  # what Python has not yet collected is not lost
        seen.append(resident_bytes())
    return tuple(seen)


def _main() -> None:
    import runpy

    from driftgate.run.open import open_backend

    request = json.loads(sys.stdin.read())
    encoder, spec, artifact, settings = read_request(request)
    if request["open_with"]:
        path, name = request["open_with"]
        sys.path.append(str(Path(path).parent))  # the file may import its neighbours, in the place of nothing else
        spec = replace(spec, open_with=runpy.run_path(path)[name])
    batches = spread_shapes(tokenize(encoder, read_texts(request)), encoder.max_tokens, request["token_budget"])
    backend = open_backend(encoder, spec, artifact, settings)
    loaded = resident_bytes()
    cycle_through(backend, batches, WARM_UP_CYCLES, seed=0)
    measured = MemoryOverShapes(loaded, cycle_through(backend, batches, CYCLES, seed=1), len(batches))
    print(json.dumps(asdict(measured)))  # noqa: T201 - the parent reads it


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory growth after the warm-up: the Theil-Sen slope, and last minus first, which one step can make."""

    bytes_per_thousand_runs: float
    total_bytes: int
    cycles: int


def memory_growth(resident_bytes: Sequence[int], runs_per_cycle: int) -> Growth:
    """Growth over equal cycles, from the resident memory in bytes after each.

    The slope is the median over all pairs of cycles (Sen 1968), so that an allocator that grows once is not a leak.

    Raises:
        ValueError: fewer than 8 cycles, no runs in a cycle, or a system that does not tell resident memory.
    """
    if len(resident_bytes) < 8 or runs_per_cycle < 1 or min(resident_bytes) <= 0:  # noqa: PLR2004 - fewer show no trend
        raise ValueError(
            f"expected at least 8 cycles of at least one run, each with its resident bytes, found {runs_per_cycle} runs a "
            f"cycle and {list(resident_bytes)}"
        )
    from scipy import stats  # slow to import, and every pytest run imports the plugin

    slope = float(stats.theilslopes(np.asarray(resident_bytes, dtype=np.float64)).slope)
    return Growth(slope / runs_per_cycle * 1000, resident_bytes[-1] - resident_bytes[0], len(resident_bytes))


if __name__ == "__main__":
    _main()
