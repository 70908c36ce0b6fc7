"""Is every backend what it was when the baseline was taken? Collected with `--accuracy-baseline` only."""

import pytest

from driftgate.judge.movement import measure_movement
from driftgate.judge.parts import MOVEMENT
from driftgate.plugin.keeping import describe_run
from driftgate.results.accuracy_baseline import list_changes, require_same_kernels


def test_backend_is_what_it_was(predictions, judgement, past, gate_part, driftgate):
    """A backend moves no further from its own past than the precision class allows; who moved is said."""
    if predictions.backend not in past.logits:
        pytest.skip(f"{predictions.backend} is not in the accuracy baseline; --accuracy-baseline-update takes it in")
    about = describe_run(driftgate)
    require_same_kernels(past, predictions.backend, about)
    movement = measure_movement(
        past.logits["reference"],
        predictions.reference,
        past.logits[predictions.backend],
        predictions.logits,
        multi_label=predictions.multi_label,
        changes=list_changes(past, about, predictions.backend),
    )
    judgement.measured.put(MOVEMENT, movement)
    gate_part(
        MOVEMENT,
        detail=f"  {movement.who} moved: reference by {movement.reference:.2g}, {predictions.backend} by "
        f"{movement.backend:.2g}; changed since then: {', '.join(movement.changes) or 'nothing that is recorded'}",
    )
