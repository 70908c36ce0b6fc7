"""Candidates of a search for a recipe: built, asked on some rows, and timed against the backend as it is."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec
from driftgate.builder.artifact import open_artifact
from driftgate.builder.build import build_artifact, tunable_step
from driftgate.builder.steps import find_step
from driftgate.errors import OptionError
from driftgate.explain.trials import compare_logits
from driftgate.inputs.batches import BudgetPlan, make_batches, spread_sample
from driftgate.inputs.recipe import Form
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.judge.evidence import Evidence
from driftgate.measure.timings import Ratio, speed_ratio
from driftgate.measure.visits import ROUNDS, Cell, visit_cells
from driftgate.pipeline import OpenBackends, describe_head
from driftgate.run.backend import Backend, predict
from driftgate.run.onnx_backend import open_onnx
from driftgate.run.torch_backend import open_reference

TIMED_ROWS = 24
_CALLS, _FINAL_CALLS = 10, 25

Forms = Mapping[str, Form]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A recipe that was built, and what was measured of it.

    Args:
        answered: its answers to the rows that it was asked about, and the reference's.
        time_ratio: its time over that of the backend as it is. `low` and `high` are extremes.
        size_ratio: likewise, of its file.
    """

    forms: Forms
    answered: Evidence
    time_ratio: Ratio
    size_ratio: float

    @property
    def drift(self) -> float:
        """Mean on these rows."""
        return float(self.answered.largest_drift.mean())


class Workshop:
    """Builds candidates of one backend, in a folder of its own that is emptied after each.

    Raises:
        OptionError: a backend without products that a recipe could change.
    """

    def __init__(self, backends: OpenBackends, spec: BackendSpec, tokens: TokenizedTexts, folder: Path) -> None:
        self.backends = backends
        self.spec = spec
        self.build = tunable_step(spec)
        self._step = find_step(self.build.partition("@")[0])
        place = spec.steps.index(self._step.name)
        if place != len(spec.steps) - 1:
            raise OptionError(f"{spec.name}: expected {self._step.name} as its last build step, found {spec.steps}")
        self.source = build_artifact(backends.encoder, replace(spec, steps=spec.steps[:place])).model
        self._folder = folder
        self._timed = list(make_batches(tokens.take(spread_sample(tokens, TIMED_ROWS)), BudgetPlan()))
        self._head = describe_head(backends.encoder)
        self._tokens = tokens
        self._reference = predict(open_reference(backends.encoder, backends.settings), tokens, BudgetPlan())
        with self._opened({}) as plain:
            self._plain, self._plain_size = plain

    def make(self, forms: Forms, rows: list[int], *, final: bool = False) -> Candidate:
        """Build, ask and time a candidate.

        Args:
            rows: of the corpus, those that it is asked about. `final`: time it longer.

        Raises:
            BuildError: a product cannot have its form.
        """
        with self._opened(forms) as (backend, size_bytes):
            logits = predict(backend, self._tokens.take(rows), BudgetPlan())
            ratio = self._time(backend, _FINAL_CALLS if final else _CALLS)
        answered = compare_logits(self._head, Logits(self._reference[rows]), logits)
        return Candidate(dict(forms), answered, ratio, size_bytes / self._plain_size)

    @contextmanager
    def _opened(self, forms: Forms) -> Iterator[tuple[Backend, int]]:
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            target = Path(scratch) / "model.onnx"
            self._step.apply(self.source, target, recipe=dict(forms))
            artifact = open_artifact(target, self.spec.precision)
            yield open_onnx(self.backends.encoder, self.spec, artifact, self.backends.settings), artifact.size_bytes

    def _time(self, backend: Backend, calls: int) -> Ratio:
        """Time over that of the backend as it is, side by side in rounds."""
        cells = [
            Cell(name, lambda: None, self._call(each)) for name, each in (("plain", self._plain), ("own", backend))
        ]
        seconds: dict[str, list[float]] = defaultdict(list)
        for visit in visit_cells(cells, calls):
            seconds[visit.cell].append(float(np.median(visit.seconds)))
        return speed_ratio(seconds["own"][:ROUNDS], seconds["plain"][:ROUNDS])

    def _call(self, backend: Backend) -> Any:
        prepared = [backend.prepare(batch) for batch in self._timed]

        def call() -> None:
            for run in prepared:
                run()

        return call
