"""The runs of a report: `results.json` files as records, as far as the pages need them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from driftgate.errors import ResultsError
from driftgate.report.page.node import Node
from driftgate.results.record import REFERENCE
from driftgate.results.results_file import FILE_NAME, read_results

MAX_RUNS = 40
_MOST_BACKENDS = 60


@dataclass(frozen=True, slots=True)
class Held:
    """A metric that was held to its bound; what no number could be said of is None."""

    metric: str
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    at_most: bool
    verdict: str
    rows_needed: int

    @property
    def used(self) -> float | None:
        """How much of its bound is used: 1 is the bound itself, more is beyond it. None where there is nothing to divide."""
        return self.share(self.value)

    def share(self, value: float | None) -> float | None:
        """A value as a share of the bound, the other way round where the bound is a lower one."""
        if value is None or self.limit is None:
            return None
        above, below = (value, self.limit) if self.at_most else (self.limit, value)
        if below == 0:
            return 0.0 if above <= 0 else None
        return above / below if below > 0 else None


@dataclass(frozen=True, slots=True)
class GateCell:
    """A cell of the speed gate."""

    name: str
    backend: str
    verdict: str
    reason: str
    slowdown: float | None
    low: float | None
    high: float | None
    rounds: int

    @property
    def slower(self) -> bool:
        """Than in the baseline, or not there any more."""
        return self.verdict in ("REGRESSION", "VANISHED")


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend of a run; `node` has whatever else is known of it."""

    name: str
    verdict: str
    held: tuple[Held, ...]
    checks: int
    failed_checks: int
    skipped: str
    node: Node

    def drift(self, summary: str) -> float | None:
        """The "mean" or "max" over texts of its drift: of probabilities, or of scores in the spread of the reference's."""
        probabilities = self.node.number("drift", "largest_per_text", summary)
        return self.node.number("scores", "drift", summary) if probabilities is None else probabilities

    def broken(self) -> tuple[Held, ...]:
        """The metrics that are beyond their bounds."""
        return tuple(one for one in self.held if one.verdict == "fail")

    def unshown(self) -> tuple[Held, ...]:
        """The metrics that are not shown to be within their bounds."""
        return tuple(one for one in self.held if one.verdict == "not-shown")


@dataclass(frozen=True, slots=True)
class Run:
    """One `results.json`. `reference` is what was measured of the reference; `where` is the file."""

    where: str
    encoder: str
    encoder_sha256: str
    labels: tuple[str, ...]
    verdict: str
    exit_code: int
    backends: tuple[Backend, ...]
    reference: Node
    cells: tuple[GateCell, ...]
    node: Node

    @property
    def rows(self) -> int:
        """Of its corpus; 0 without one."""
        return self.node.count("corpus", "rows")

    @property
    def gives_scores(self) -> bool:
        """Whether the encoder's one logit is its answer."""
        return self.node.text("encoder", "problem_type") == "regression"

    @property
    def machine(self) -> str:
        """The processor that it ran on."""
        return self.node.text("environment", "cpu") or "an unknown processor"


def find_results(given: Sequence[Path]) -> list[Path]:
    """The files that were given; in a folder, the `results.json` of the run that wrote it.

    Raises:
        ResultsError: none, or more than a page can show.
    """
    paths = [path / FILE_NAME if path.is_dir() else path for path in given]
    if not paths or len(paths) > MAX_RUNS:
        raise ResultsError(
            f"expected 1 to {MAX_RUNS} results of runs, found {len(paths)}; make several reports of them"
        )
    return paths


def read_run(path: Path) -> Run:
    """A run from its file.

    Raises:
        ResultsError: a file that `read_results` refuses, or a field that is not of the expected type.
    """
    return view_run(Node(read_results(path), f"results {path}"), str(path))


def view_run(root: Node, where: str) -> Run:
    """A run from its document.

    Raises:
        ResultsError: a field that is not of the expected type.
    """
    backends = root.at("backends").items()
    if len(backends) > _MOST_BACKENDS:
        raise ResultsError(f"{root.file}: expected at most {_MOST_BACKENDS} backends, found {len(backends)}")
    return Run(
        where=where,
        encoder=root.text("encoder", "name") or "an unnamed encoder",
        encoder_sha256=root.text("encoder", "sha256"),
        labels=tuple(root.at("encoder", "labels").texts()),
        verdict=root.text("verdict"),
        exit_code=root.count("exit_code"),
        backends=tuple(_view_backend(name, node) for name, node in backends.items() if name != REFERENCE),
        reference=root.at("backends", REFERENCE),
        cells=tuple(_view_cell(node) for node in root.at("gate", "cells").entries()),
        node=root,
    )


def _view_backend(name: str, node: Node) -> Backend:
    return Backend(
        name=name,
        verdict=node.text("verdict"),
        held=tuple(_view_held(entry) for entry in node.at("verdicts").entries()),
        checks=node.count("checks"),
        failed_checks=node.count("failed_checks"),
        skipped=node.text("skipped"),
        node=node,
    )


def _view_held(node: Node) -> Held:
    return Held(
        metric=f"{node.text('metric')} {node.text('policy')}".rstrip(),
        value=node.number("value"),
        low=node.number("low"),
        high=node.number("high"),
        limit=node.number("limit"),
        at_most=node.text("bound") != "at least",
        verdict=node.text("verdict"),
        rows_needed=node.count("rows_needed"),
    )


def _view_cell(node: Node) -> GateCell:
    return GateCell(
        name=node.text("cell"),
        backend=node.text("backend"),
        verdict=node.text("verdict"),
        reason=node.text("reason").partition("\n")[0],
        slowdown=node.number("slowdown"),
        low=node.number("low"),
        high=node.number("high"),
        rounds=node.count("rounds"),
    )
