"""In place of timing backends beside torch, which takes seconds: the same numbers for all of them."""

from collections.abc import Sequence

from driftgate.inputs.encoder import Encoder
from driftgate.judge.speed import Ratio
from driftgate.report.card_facts import Speed
from driftgate.run.device import RunSettings
from driftgate.trial import Judged

PLANS = ("b1", "b8", "b32", "budget")


def made_up_speed(encoder: Encoder, judged: Sequence[Judged], settings: RunSettings) -> Speed:
    """What `measure_speed` is replaced by."""
    ratios = {one.built.spec.name: dict.fromkeys(PLANS, Ratio(3.0, 2.0, 4.0, 3)) for one in judged}
    return Speed("normal", 32, settings.threads, "cpu", dict.fromkeys(PLANS, 40.0), ratios)
