"""Confidence limits of what calibration loses: by how much Brier score and expected calibration error rise.

The rise of the Brier score is a mean over rows, and is limited as one (`mean_limits`).

The expected calibration error is no mean: it adds up the sizes of gaps, and chance makes each of them larger, the more the fewer
rows there are. On some hundred rows it can fall where it rises in truth, so that no limit made from its value covers. What is
certain is that the gap of a bin grows by no more than the probabilities in it move: the upper limit is that of their mean
movement. (Rows that change their bin, which are next to its edge, are left out of this.) The lower limit takes each side's bins,
and the signs of their gaps, as these rows have them: the rise is then a mean, and varies with rows in bins of doubtful sign.
"""

from dataclasses import replace

import numpy as np

from driftgate.arrays import LabelMatrix, Probabilities
from driftgate.judge.calibration import calibration_gaps
from driftgate.judge.confidence.levels import Levels, Limits
from driftgate.judge.confidence.mean_limits import mean_limits
from driftgate.judge.probabilities import require_same_shape


def calibration_limits(
    reference: Probabilities, backend: Probabilities, truth: LabelMatrix, levels: Levels
) -> dict[str, Limits]:
    """Limits of `brier_increase` and `calibration_error_increase`, defined as in `measure_calibration`.

    Args:
        reference, backend: probabilities, float64, (rows, labels). `truth`: bool, (rows, labels).

    Raises:
        ValueError: different shapes, no rows, or values that are not finite.
    """
    require_same_shape(reference, backend, truth)
    brier = ((backend - truth) ** 2 - (reference - truth) ** 2).mean(axis=1)
    error = mean_limits(calibration_gaps(backend, truth) - calibration_gaps(reference, truth), levels)
    movement = mean_limits(np.abs(backend - reference).mean(axis=1), levels, smallest=0.0)
    return {
        "brier_increase": mean_limits(brier, levels),
        "calibration_error_increase": replace(
            error, high=movement.high, spread=movement.spread, tends_to=movement.value
        ),
    }
