"""The metrics of property tests: the largest change seen while searching for counterexamples, by what was changed."""

from collections.abc import Mapping

from driftgate.judge.metric_types import LOGIT, PROBABILITY, Metric, Unit

_INVARIANCES = {
    "repeat": "the same batch is run again",
    "order": "the rows of a batch are shuffled",
    "duplicates": "a row occurs twice in a batch",
    "composition": "a row has other batch mates",
    "padding": "a row is padded further",
    "padding_side": "padding is on the other side",
    "masked_content": "the tokens under the mask are others",
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
