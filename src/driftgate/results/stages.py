"""The ledger of a build: a line for each stage, so that the step that costs accuracy needs no search."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from driftgate.edges.escape import for_terminal
from driftgate.results.console import plain
from driftgate.results.record import Results
from driftgate.results.tables import make_table, render


@dataclass(frozen=True, slots=True)
class Distance:
    """How far answers are from others to the same texts.

    Args:
        rows: texts compared.
        mean_of_largest_probability: mean over texts of each one's largest |probability difference|.
        max_abs_probability, max_abs_logit: the largest difference of all.
    """

    rows: int
    mean_of_largest_probability: float
    max_abs_probability: float
    max_abs_logit: float


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage of a build answers.

    Args:
        name: "torch float64", "torch float32" (the reference), then the build steps by name.
        size_bytes: of the stage's files; None for float64, which has none of its own.
        drift: distance from the reference. `added`: from the stage before; None for the first.
        decisions: how many were compared under each policy. `flips`: those that differ from the reference's, by policy.
        macro_f1_change: macro-F1 minus the reference's on the same texts, by policy; empty without labels.
    """

    name: str
    size_bytes: int | None
    drift: Distance
    added: Distance | None
    decisions: int
    flips: dict[str, int]
    macro_f1_change: dict[str, float]


def render_ledgers(results: Results, width: int) -> str:
    """Two tables a backend, of distances and of decisions; then who has none and why; "" where no ledger was asked for."""
    tables = [
        render(table, width)
        for name, entry in results.backends.items()
        if entry.stages
        for table in (_distances(name, entry.stages), _decisions(entry.stages))
    ]
    left_out = [
        for_terminal(f"{name}: no ledger, {entry.no_ledger}") + "\n"
        for name, entry in results.backends.items()
        if entry.no_ledger
    ]
    return "".join([*tables, *left_out])


def _distances(backend: str, stages: Sequence[Stage]) -> Table:
    title = plain(
        f"ledger of {backend} on {stages[1].drift.rows} rows",
        "distance from torch float32, and what each stage added to the one before",
        "drift: the mean over texts of the largest probability difference",
        "max, logit: the largest difference of any probability, and of any logit",
        f"The stage in float64 is compared on {stages[0].drift.rows} rows only.",
        "ONNX Runtime optimizes every file again when it loads it, so optimize-basic may change next to nothing.",
    )
    numbers = ("rows", "MB", "drift", "max", "logit", "added drift", "added max", "added logit")
    table = make_table("stage", numbers, title=title)
    for stage in stages:
        table.add_row(
            stage.name,
            str(stage.drift.rows),
            "-" if stage.size_bytes is None else f"{stage.size_bytes / 1e6:.1f}",
            *_distance_cells(stage.drift),
            *_distance_cells(stage.added),
        )
    return table


def _decisions(stages: Sequence[Stage]) -> Table:
    policies, judged = list(stages[0].flips), list(stages[0].macro_f1_change)
    numbers = (*(f"flips {policy}" for policy in policies), *(f"macro-F1 {policy}" for policy in judged))
    table = make_table("stage", numbers, title="flips, and the change of macro-F1, against torch float32")
    for stage in stages:
        flips = (f"{stage.flips[policy]}/{stage.decisions}" for policy in policies)
        table.add_row(stage.name, *flips, *(f"{stage.macro_f1_change[policy]:+.4f}" for policy in judged))
    return table


def _distance_cells(distance: Distance | None) -> list[str]:
    if distance is None:
        return ["-", "-", "-"]
    figures = (distance.mean_of_largest_probability, distance.max_abs_probability, distance.max_abs_logit)
    return [f"{figure:.1e}" for figure in figures]
