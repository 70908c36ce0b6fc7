"""A project under `--gate`, on a machine whose clock only moves when work is done."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from nested_pytest import change_json, gate_verdicts, run_pytest

from driftgate.gate.pairs import Load
from driftgate.gate.samples import Batches
from driftgate.pipeline import Built
from driftgate.run.device import RunSettings

MS = 1_000_000


FP32, BOTH = "--backends=onnx-fp32", "--backends=onnx-fp32,onnx-int8-dynamic"


@dataclass
class Machine:
    """Calls take 30 ms; of this run's artifacts `slower` times that; each load and call is off by chance."""

    slower: float = 1.0
    noise: float = 0.01
    now: int = 0
    loads: int = 0
    workers: list[str] = field(default_factory=list)
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def clock(self) -> int:
        return self.now

    def load_here(self, built: Built, settings: RunSettings, batches: Batches) -> Load:
        assert built.artifact is not None
        factor = 1.0 if "artifacts" in built.artifact.model.parts else self.slower

        def call() -> None:
            self.now += int(30 * MS * factor * np.exp(self.noise * self.generator.standard_normal()))

        @contextmanager
        def load() -> Iterator[Mapping[str, Any]]:
            self.loads += 1
            yield {cell: [call] * len(of_cell) for cell, of_cell in batches.items()}

        return load


@dataclass(frozen=True)
class Run:
    code: int
    output: str
    folder: Path

    @property
    def verdicts(self) -> dict[str, str]:
        return gate_verdicts(self.folder)


@dataclass(frozen=True)
class Project:
    folder: Path
    encoder: Path
    cache: Path

    def pytest(self, *arguments: str, suite: str = "benchmarks/test_gate.py", plugins: Sequence[object] = ()) -> Run:
        small = ["--driftgate-sample-rows=4", "--driftgate-batch-sizes=1,2", f"--encoder={self.encoder}"]
        command = [suite, *small, "-p", "no:cacheprovider", "--import-mode=importlib", *arguments]
        return Run(*run_pytest(self.folder, command, self.cache, plugins), self.folder)

    @property
    def manifest(self) -> Path:
        return self.folder / ".driftgate-baseline/baseline.json"

    def change_manifest(self, edit: Callable[[Any], object]) -> None:
        change_json(self.manifest, edit)
