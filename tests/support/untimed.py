"""In place of timing backends beside torch, which takes seconds: the same numbers for all of them."""

from collections.abc import Sequence

from driftgate.backends import BackendSpec
from driftgate.measure.timings import Ratio
from driftgate.pipeline import OpenBackends
from driftgate.publish.card_facts import Speed

PLANS = ("b1", "b8", "b32", "budget")


def made_up_speed(backends: OpenBackends, specs: Sequence[BackendSpec]) -> Speed:
    """What `measure_speed` is replaced by."""
    ratios = {spec.name: dict.fromkeys(PLANS, Ratio(3.0, 2.0, 4.0, 3)) for spec in specs}
    return Speed("normal", 32, backends.settings.threads, "cpu", dict.fromkeys(PLANS, 40.0), ratios)
