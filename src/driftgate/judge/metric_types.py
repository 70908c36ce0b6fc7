"""What a metric is: where it is read, its unit, how it is shown, and whether it is held to a bound."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from driftgate.judge.parts import Measured, Part

T = TypeVar("T")

POLICIES = ("at 0.5", "at thresholds")
"""Decision policies: one threshold for all labels, and the encoder's own."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a metric counts in.

    Args:
        largest: the largest limit that means anything: no value can exceed it, or it is beyond any measure.
        form: how a value is shown, as `format` takes it.
    """

    name: str
    largest: float
    form: str


PROBABILITY = Unit("probability", 1.0, ".1e")
LOGIT = Unit("logit", 1e4, ".1e")
SHARE = Unit("share", 1.0, ".2%")
SCORE = Unit("score from 0 to 1", 1.0, ".4f")
CORRELATION = Unit("correlation from -1 to 1", 2.0, ".4f")  # a change of it can be 2
COUNT = Unit("count", 1e6, ",.0f")
EXPECTED_COUNT = Unit("expected count", 1e6, ",.1f")
P_VALUE = Unit("p-value", 1.0, ".2g")
FACTOR = Unit("ratio", 1e4, ".3g")
SPREAD = Unit("multiple of the spread of the reference's logits", 1e4, ".1e")
NOISE_FACTOR = Unit("multiple of float32's own error", 1e9, ".3g")
BYTES = Unit("bytes", 1e12, ",.0f")


class Interval(StrEnum):
    """How the limits of a metric are found where rows are a sample of the texts that the encoder is used on."""

    MEAN = "mean: Gaffke above, betting below"
    QUANTILE = "order statistics"
    SHARE = "exact (Clopper-Pearson)"
    LOSS = "paired bootstrap with one row more above, betting on the jackknife below"
    CALIBRATION = "mean movement above, betting below"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a metric is read: values by decision policy ("" where thresholds play no part); None where there is no value."""

    part: Part[Any]
    read: Callable[[Any], Mapping[str, float | None]]


def once(part: Part[T], read: Callable[[T], float | None]) -> Source:
    """A number of the whole corpus."""
    return Source(part, lambda record: {"": read(record)})


def each_policy(part: Part[Mapping[str, T]], read: Callable[[T], float | None]) -> Source:
    """A number for each decision policy."""
    return Source(part, lambda records: {policy: read(record) for policy, record in records.items()})


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Args:
        name: what bounds call it; under a decision policy the policy is added (`bound_names`).
        label: its row in the table of details. `meaning`: its line in the documentation.
        source: None for what a test measures and hands to the `gate` fixture by itself.
        by_policy: whether it depends on decision thresholds.
        gated: whether it is held to a bound. `at_most`: whether that is an upper limit.
        suite: whose `bounds.toml` has its bounds.
        interval: None for what speaks of the rows that were seen and of no others, such as a maximum held to a ceiling.
        decides: whether a run has to show it: drift, which few rows without labels show.
    """

    name: str
    label: str
    unit: Unit
    meaning: str
    source: Source | None = None
    by_policy: bool = False
    gated: bool = True
    at_most: bool = True
    suite: str = "accuracy"
    interval: Interval | None = None
    decides: bool = False

    @property
    def bound_names(self) -> tuple[str, ...]:
        """The names that bounds files know it by."""
        return tuple(policy_metric(self.name, policy) for policy in POLICIES) if self.by_policy else (self.name,)

    def values(self, measured: Measured) -> dict[str, float]:
        """Values by decision policy; none where its part was not measured."""
        record = measured.get(self.source.part) if self.source else None
        if self.source is None or record is None:
            return {}
        return {policy: value for policy, value in self.source.read(record).items() if value is not None}

    def show(self, value: float) -> str:
        """A value of it, as tables show it."""
        return format(value, self.unit.form)


def policy_metric(metric: str, policy: str) -> str:
    """What bounds call a metric under a decision policy: `row_flip_rate_at_0_5`; without one its own name."""
    return f"{metric}_{policy.replace(' ', '_').replace('.', '_')}" if policy else metric


_INVARIANCES = {
    "repeat": "the same batch is run again",
    "order": "the rows of a batch are shuffled",
    "duplicates": "a row occurs twice in a batch",
    "composition": "a row shares its batch with other rows",
    "padding": "a row is padded further",
    "padding_side": "padding is on the other side",
    "masked_content": "the masked tokens are different",
}


def _change(name: str, label: str, meaning: str) -> tuple[Metric, Metric]:
    """Both metrics of a change that searches for counterexamples hold to bounds, example by example: in logits, probabilities."""
    kinds: tuple[tuple[str, Unit], ...] = (("logit", LOGIT), ("probability", PROBABILITY))
    logit, probability = (
        Metric(f"max_abs_{kind}_{name}", f"{kind} change, {label}", unit, f"{meaning}: largest {kind} difference seen")
        for kind, unit in kinds
    )
    return logit, probability


GENERATED = "drift_on_generated_text"
CHANGES: Mapping[str, tuple[Metric, Metric]] = {
    **{
        f"change_{name}": _change(f"change_{name}", f"invariance {name.replace('_', ' ')}", f"where {when}")
        for name, when in _INVARIANCES.items()
    },
    GENERATED: _change(GENERATED, "generated text", "drift from the reference on generated texts"),
}
"""What property tests hold to bounds, by the name of the change: in logits and in probabilities."""
