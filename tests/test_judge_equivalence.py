"""Does "almost identical" hold?"""

import pytest

from driftgate.judge.bootstrap import PairedLoss
from driftgate.judge.equivalence import METRICS, judge_equivalence


def losses(low: float, high: float) -> dict[str, PairedLoss]:
    """Micro-F1 with this interval, the other metrics without any loss."""
    none = PairedLoss(0.5, 0.5, 0.0, 0.0, 0.0, 0.001)
    return dict.fromkeys(METRICS, none) | {"micro_f1": PairedLoss(0.5, 0.5, 0.0, low, high, 0.001)}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.002, 0.003, "yes"),
        (-0.01, 0.01, "yes"),
        (0.001, 0.011, "not shown: micro_f1 loss [+0.0010, +0.0110]"),
        (-0.02, 0.0, "not shown: micro_f1 loss [-0.0200, +0.0000]"),
        (0.011, 0.02, "no: micro_f1 loss [+0.0110, +0.0200]"),
        (-0.03, -0.02, "no: micro_f1 loss [-0.0300, -0.0200]"),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, verdict: str) -> None:
    assert judge_equivalence(losses(low, high)) == verdict


def test_an_interval_that_is_not_a_number_shows_nothing() -> None:
    assert judge_equivalence(losses(float("nan"), float("nan"))).startswith("not shown")
