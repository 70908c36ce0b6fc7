"""What is said below the speed gate's table."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from driftgate.gate.pairs import Timing
from driftgate.gate.rule import Verdict
from driftgate.gate.verdicts import CellVerdict
from driftgate.plugin.gate_options import GateOptions


def list_notes(
    verdicts: Collection[CellVerdict],
    then: Mapping[str, Any],
    left_out: Sequence[str],
    software_changes: str,
    timing: Timing | None,
    options: GateOptions,
) -> list[str]:
    """Sentences about one gated run.

    Args:
        then: what the baseline was taken on. `left_out`: backends that are not gated.
        software_changes: a sentence, or "".
        timing: None where nothing was timed.
    """
    notes = []
    if commit := then.get("git"):
        notes.append(f"baseline: git:{commit['reference']}, built from commit {commit['commit']}")
    if left_out:
        notes.append(f"not gated, for they have no artifact to keep: {', '.join(left_out)}")
    if not any(found.verdict is not Verdict.NEW for found in verdicts):
        notes.append("nothing was compared: no cell of this run is in the baseline")
    if any(found.verdict is Verdict.VANISHED for found in verdicts):
        notes.append(
            "a vanished cell fails the run: time it too (wider --backends, no -k), or keep a baseline without it with "
            "--gate-accept and no --gate"
        )
    if software_changes:
        notes.append(software_changes)
    if timing and timing.out_of_time:
        notes.append(_time_needed(verdicts, timing, options))
    return notes


def _time_needed(verdicts: Collection[CellVerdict], timing: Timing, options: GateOptions) -> str:
    open_cells = [found for found in verdicts if found.verdict is Verdict.NOT_MEASURABLE]
    needed = [found.rounds_needed for found in open_cells if found.rounds_needed]
    said = f"out of time after {timing.seconds:.0f} s of --gate-budget {options.budget_seconds:g}"
    if len(needed) < len(open_cells):
        return f"{said}; rounds differ so much from each other that no budget would do: quieten the machine"
    rounds = max([options.rule.least_rounds, *needed])
    seconds = sum(timing.seconds_a_round[found.cell] for found in open_cells)
    return (
        f"{said}; the {len(open_cells)} undecided would take about {rounds} rounds, {seconds:.1f} s each: "
        f"--gate-budget {np.ceil(1.2 * (timing.seconds + rounds * seconds)):.0f}"
    )
