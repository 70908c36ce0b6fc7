"""Numbers that travel: every cell's speed relative to an anchor, saved with a baseline and compared without its artifacts."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.builder.baseline import RATIOS_NAME
from driftgate.errors import BaselineError, OptionError
from driftgate.judge.ratios import judge_ratio
from driftgate.judge.speed_rule import Verdict
from driftgate.judge.verdicts import CellVerdict
from driftgate.measure.blocks import time_blocks
from driftgate.measure.workload import Workload, prepare_workload
from driftgate.pipeline import open_built
from driftgate.plugin.cells import CellSpec, sample_tokens
from driftgate.plugin.gate import SpeedGate
from driftgate.plugin.gate_sides import describe_sides, gated_cells, list_machine_changes
from driftgate.plugin.session import DriftgateSession
from driftgate.report.gate import GateReport

SCHEMA = 1
BLOCKS, LEAST_BLOCKS = 12, 3
ANCHORS = ("torch", "onnx-fp32")
"""The first of them that is in `--backends` is what others are divided by."""


@dataclass(frozen=True, slots=True)
class CellRatios:
    """One cell beside the anchor.

    Args:
        work: rows, real tokens, padded tokens. `log_ratios`: log(anchor's seconds / own seconds), one a block.
    """

    backend: str
    work: tuple[int, int, int]
    log_ratios: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Ratios:
    """Of one run. `about`: as `describe_sides` has it. `cells`: by id. `seconds`: that they took."""

    about: Mapping[str, Any]
    anchor: str
    cells: Mapping[str, CellRatios]
    seconds: float


def measure_ratios(session: DriftgateSession, anchor: str, budget_seconds: float, seed: int) -> Ratios:
    """Time the gated cells and the anchor in blocks, each with fresh loads of everything.

    Blocks end before `BLOCKS` once the budget is spent, but there are `LEAST_BLOCKS`.
    """
    generator, started = np.random.default_rng(seed), time.perf_counter()
    timed = [cell for cell in gated_cells(session) if cell.backend.name != anchor]
    specs = {spec.name: spec for spec in session.options.backends}
    names = [anchor, *dict.fromkeys(cell.backend.name for cell in timed)]
    built = {name: session.built(specs[name]) for name in names}
    work: dict[str, tuple[int, int, int]] = {}
    found: dict[str, list[float]] = {cell.id: [] for cell in timed}
    with session.announce() as announce:
        for block in range(BLOCKS):
            if block >= LEAST_BLOCKS and time.perf_counter() - started > budget_seconds:
                break
            announce(f"speed ratios to {anchor}: block {block + 1} of {BLOCKS}")
            loaded = {name: open_built(one, session.options.settings) for name, one in built.items()}
            for plan in session.benchmark_plans:
                sample = sample_tokens(session, session.options.throughput_corpus)
                workloads = {name: prepare_workload(backend, sample, plan) for name, backend in loaded.items()}
                seconds = time_blocks(workloads, blocks=1, seed=int(generator.integers(2**31)))
                for cell in (cell for cell in timed if cell.plan == plan):
                    name = cell.backend.name
                    work[cell.id] = _work(workloads[name])
                    found[cell.id].append(float(np.log(seconds[anchor][0] / seconds[name][0])))
    cells = {cell.id: CellRatios(cell.backend.name, work[cell.id], tuple(found[cell.id])) for cell in timed}
    return Ratios(describe_sides(session), anchor, cells, time.perf_counter() - started)


def _work(workload: Workload) -> tuple[int, int, int]:
    return workload.rows, workload.real_tokens, workload.padded_tokens


def write_ratios(ratios: Ratios, folder: Path) -> None:
    """Write `ratios.json` beside a baseline."""
    text = json.dumps({"schema": SCHEMA, **asdict(ratios)}, indent=2, allow_nan=False) + "\n"
    (folder / RATIOS_NAME).write_text(text, encoding="utf-8")


def read_ratios(folder: Path) -> Ratios:
    """What `write_ratios` wrote; nothing else of the baseline needs to be there.

    Raises:
        BaselineError: none there, malformed, or of another schema.
    """
    path = folder / RATIOS_NAME
    advice = "save some with: pytest --pyargs driftgate.suites.benchmarks --gate-accept --gate-ratios"
    if not path.is_file():
        raise BaselineError(f"{path}: expected saved ratios, found no file; {advice}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise BaselineError(
                f"{path}: schema {content['schema']!r}, and this driftgate reads schema {SCHEMA}; {advice}"
            )
        cells = {
            str(cell): CellRatios(str(one["backend"]), _three(one["work"]), tuple(map(float, one["log_ratios"])))
            for cell, one in content["cells"].items()
        }
        return Ratios(dict(content["about"]), str(content["anchor"]), cells, float(content["seconds"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaselineError(f"{path}: not readable as saved ratios ({error!r}); {advice}") from error


def _three(work: Sequence[int]) -> tuple[int, int, int]:
    rows, real_tokens, padded_tokens = work
    return int(rows), int(real_tokens), int(padded_tokens)


class RatioGate(SpeedGate):
    """Compares this run's ratios with saved ones, where the baseline's artifacts cannot be timed again."""

    def check(self, cells: Sequence[CellSpec], tests: Path) -> None:
        super().check(cells, tests)
        _ = self._anchor

    def check_accept(self) -> None:
        super().check_accept()
        _ = self._anchor

    @cached_property
    def _past(self) -> Ratios:
        return read_ratios(self.options.baseline)

    @property
    def _then(self) -> Mapping[str, Any]:
        return self._past.about

    @cached_property
    def _anchor(self) -> str:
        names = [spec.name for spec in self._session.options.backends]
        wanted = (self._past.anchor,) if self.options.wanted else ANCHORS
        found = next((name for name in wanted if name in names), None)
        if found is None:
            raise OptionError(
                f"--gate-ratios: expected {' or '.join(wanted)} in --backends, to divide by; found {', '.join(names)}"
            )
        return found

    @cached_property
    def _now(self) -> Ratios:
        return measure_ratios(self._session, self._anchor, self.options.budget_seconds, self.seed)

    @cached_property
    def _machine_changes(self) -> list[str]:
        return list_machine_changes(self._then, describe_sides(self._session), self._anchor)

    def _cells_then(self) -> dict[str, str]:
        return {cell: one.backend for cell, one in self._past.cells.items()}

    def _judge(self) -> dict[str, CellVerdict]:
        then, rule = self._past.cells, self.options.rule
        new = {cell.id: reason for cell in self.cells if (reason := self._why_new(cell))}
        judged = len(self.cells) - len(new)
        found = {}
        for cell in self.cells:
            name = cell.backend.name
            if cell.id in new:
                found[cell.id] = CellVerdict(cell.id, name, Verdict.NEW, new[cell.id])
            else:
                ratios = then[cell.id].log_ratios, self._now.cells[cell.id].log_ratios
                elsewhere = bool(self._machine_changes)
                found[cell.id] = judge_ratio(cell.id, name, *ratios, rule, cells=judged, elsewhere=elsewhere)
        return found

    def _why_new(self, cell: CellSpec) -> str:
        """Why a cell has nothing to be compared with, or ""."""
        if cell.backend.name == self._anchor:
            return "the anchor: other cells are divided by its time"
        if cell.id not in self._past.cells:
            return "not in the baseline"
        then, now = self._past.cells[cell.id].work, self._now.cells[cell.id].work
        return f"other work (rows, tokens, padded tokens): {then} then, {now} now" if then != now else ""

    def _make_report(self) -> GateReport:
        return replace(super()._make_report(), anchor=self._anchor, seconds=self._now.seconds)

    def _notes(self) -> list[str]:
        elsewhere = [f"advice only, for ratios do not carry to another machine: {'; '.join(self._machine_changes)}"]
        return [*(elsewhere if self._machine_changes else []), *super()._notes()]

    @property
    def _what_changes_mean(self) -> str:
        return "Verdicts say what artifacts and software do together, relative to the anchor"

    def _keep_ratios(self) -> None:
        write_ratios(self._now, self.options.baseline)
