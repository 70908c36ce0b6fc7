"""What a gated run was asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driftgate.edges.limits import ADDED_WORK, GATE_SECONDS

if TYPE_CHECKING:  # SciPy's statistics are slow to import, and every pytest run of every project imports the options
    from driftgate.gate.rule import SpeedRule


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
    rule: "SpeedRule"
    budget_seconds: float
    not_measurable_fails: bool
    measure_identical: bool
    reports: tuple[Path, ...]
    work_limit: float | None = None

    def __post_init__(self) -> None:
        GATE_SECONDS.require(self.budget_seconds)
        if self.work_limit is not None:
            ADDED_WORK.require(self.work_limit)
