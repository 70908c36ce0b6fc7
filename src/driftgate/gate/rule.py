"""What the speed gate was asked for and promises, and what it says of a cell."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from driftgate.edges.limits import ADDED_WORK, GATE_SECONDS
from driftgate.gate.sequential import fewest_rounds


class Verdict(StrEnum):
    """What the gate says of a cell."""

    PASS = "PASS"  # noqa: S105
    """Timed against its baseline: a slowdown of `detect` is ruled out."""
    REGRESSION = "REGRESSION"
    """Slower than its baseline by more than `tolerance`, as far as can be told by half of `detect` or more."""
    NOT_MEASURABLE = "NOT MEASURABLE"
    """Undecided when the time was up, or timed on a machine that cannot tell a backend from itself."""
    NEW = "NEW"
    """No baseline to compare with."""
    IDENTICAL = "IDENTICAL"
    """The same bytes under the same software: not timed."""
    VANISHED = "VANISHED"
    """In the baseline, but not in this run."""


COMPARED = frozenset({Verdict.PASS, Verdict.REGRESSION, Verdict.NOT_MEASURABLE, Verdict.IDENTICAL})


@dataclass(frozen=True, slots=True)
class SpeedRule:
    """What the gate promises.

    Args:
        detect: relative slowdown that has to be found, 0.1 for 10%; at most 1, a backend that takes twice as long.
        tolerance: relative slowdown that nobody minds, 0.02 for 2%.
        alpha: false alarms, a run: slowdowns of `tolerance` or less called a regression. `beta`: slowdowns of `detect` called a
            pass, a cell.

    Raises:
        ValueError: `detect` is not between 0 and 1, `tolerance` not between 0 and `detect`, or an error rate not between 0 and a
            half.
    """

    detect: float = 0.10
    tolerance: float = 0.02
    alpha: float = 0.01
    beta: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.detect <= 1:
            raise ValueError(f"detect {self.detect}: expected a share above 0 and up to 1, such as 0.1 for 10%")
        if not 0 <= self.tolerance < self.detect:
            raise ValueError(
                f"tolerance {self.tolerance}: expected a share from 0 to below what is to be detected, {self.detect}"
            )
        for name in ("alpha", "beta"):
            if not 0 < getattr(self, name) < 0.5:  # noqa: PLR2004 - an error rate
                raise ValueError(f"{name} {getattr(self, name)}: expected a share between 0 and 0.5, such as 0.01")

    @property
    def log_detect(self) -> float:
        """The slowdown to detect, as a log ratio."""
        return float(np.log1p(self.detect))

    @property
    def log_tolerance(self) -> float:
        """The slowdown to tolerate, as a log ratio."""
        return float(np.log1p(self.tolerance))

    @property
    def least_effect(self) -> float:
        """Half of `detect`, as a log ratio: what is called a regression has to be at least that large."""
        return self.log_detect / 2

    @property
    def least_rounds(self) -> int:
        """No cell can pass in fewer rounds."""
        return fewest_rounds(self.beta)


def exit_code(verdicts: Iterable[Verdict], *, not_measurable: int = 7) -> int:
    """0: every compared cell passed, and there was one. 1: a regression, a vanished cell, or nothing was compared. Else 7."""
    found = set(verdicts)
    if found & {Verdict.REGRESSION, Verdict.VANISHED} or not found & COMPARED:
        return 1
    return not_measurable if Verdict.NOT_MEASURABLE in found else 0


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What the gate was asked for.

    Args:
        wanted: whether to gate at all. `accept`: whether to keep this run's artifacts.
        baseline: folder of the artifacts; not used where `reference`, a commit to build them from, is given.
        baseline_python: program that runs the baseline's side; "" for this process.
        budget_seconds: to time pairs for.
        work_limit: relative change of counted work that a cell may have, 0.01 for 1%; None for any.

    Raises:
        OptionError: a budget that is no number of seconds, or a number beyond what `limits` allows.
    """

    wanted: bool
    accept: bool
    baseline: Path
    reference: str
    baseline_python: str
    rule: SpeedRule
    budget_seconds: float
    not_measurable_fails: bool
    measure_identical: bool
    reports: tuple[Path, ...]
    work_limit: float | None = None

    def __post_init__(self) -> None:
        GATE_SECONDS.require(self.budget_seconds)
        if self.work_limit is not None:
            ADDED_WORK.require(self.work_limit)
