"""A cause that was put in is named; one that no rule knows is not."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from driftgate.arrays import FloatArray
from driftgate.judge.diagnosis.diagnose import CERTAIN_SHARE, diagnose, diagnose_non_finite
from driftgate.judge.diagnosis.suspects import UNKNOWN, Probe, Suspect

ROWS = 64


def make_probe(
    fault: Callable[[FloatArray], FloatArray], *, labels: int = 12, multi_label: bool = True, noise: float = 0.0
) -> Probe:
    generator = np.random.default_rng(1)
    reference = generator.normal(-2, 2, (ROWS, labels))
    backend = fault(reference) + noise * generator.normal(size=reference.shape)
    places = np.arange(ROWS)
    return Probe(
        tuple(f"label {at}" for at in range(labels)),
        multi_label,
        reference,
        backend,
        {"alone": places < 16, "together": places >= 16},
        [np.arange(start, end) for start, end in pairwise([*range(17), 24, 32, 40, 48, 56, 64])],
    )


def exchange(logits: FloatArray) -> FloatArray:
    return logits[:, [0, 2, 1, *range(3, logits.shape[1])]]


def reverse_batches(logits: FloatArray) -> FloatArray:
    return np.concatenate([logits[:16], *(logits[start : start + 8][::-1] for start in range(16, ROWS, 8))])


def kill_label(logits: FloatArray) -> FloatArray:
    return np.where(np.arange(logits.shape[1]) == 1, -1.0, logits)


def softmax(logits: FloatArray) -> FloatArray:
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.log(shares / (1 - shares))


EITHER_HEAD = {
    "labels-exchanged": exchange,
    "labels-permuted": lambda logits: np.roll(logits, 1, axis=1),
    "rows-reordered": reverse_batches,
    "scaled": lambda logits: 1.05 * logits,
    "label-offset": lambda logits: logits + np.linspace(0, 1, logits.shape[1]),
    "label-constant": kill_label,
    "constant": np.zeros_like,
    "saturated": lambda logits: logits.clip(-3, 0),
}
MULTI_LABEL_ONLY = {
    "softmax-for-sigmoid": softmax,
    "sigmoid-twice": lambda logits: 1 / (1 + np.exp(-logits)),
    "offset": lambda logits: logits + 0.5,
    "scaled-and-offset": lambda logits: 0.9 * logits + 0.5,
}
SINGLE_LABEL_ONLY = {
    "softmax-twice": lambda logits: np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
    "sigmoid-for-softmax": lambda logits: -np.log1p(np.exp(-logits)),
}


@pytest.mark.parametrize("multi_label", [True, False], ids=["multi-label", "single-label"])
@pytest.mark.parametrize("cause", EITHER_HEAD)
def test_a_fault_of_either_head_is_named(cause: str, multi_label: bool) -> None:
    labels = 12 if multi_label else 4
    assert diagnose(make_probe(EITHER_HEAD[cause], labels=labels, multi_label=multi_label)).cause == cause


@pytest.mark.parametrize("cause", MULTI_LABEL_ONLY)
def test_a_fault_of_a_multi_label_head_is_named(cause: str) -> None:
    found = diagnose(make_probe(MULTI_LABEL_ONLY[cause]))
    assert (found.cause, found.certain) == (cause, True)


@pytest.mark.parametrize("cause", SINGLE_LABEL_ONLY)
def test_a_fault_of_a_single_label_head_is_named(cause: str) -> None:
    found = diagnose(make_probe(SINGLE_LABEL_ONLY[cause], labels=4, multi_label=False))
    assert (found.cause, found.certain) == (cause, True)


def test_exchanged_labels_are_named_by_their_names() -> None:
    assert diagnose(make_probe(exchange)).sentence == "the labels 'label 1' and 'label 2' are exchanged"


@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_a_fault_under_the_noise_of_int8_is_named_or_called_possible(noise: float) -> None:
    found = diagnose(make_probe(exchange, noise=noise))
    assert found.cause == "labels-exchanged"
    assert found.certain or "perhaps" in found.sentence


def test_float32_rounding_alone_is_said() -> None:
    assert diagnose(make_probe(lambda logits: logits * (1 + 1e-7))).cause == "float32-noise"


@pytest.mark.parametrize("scale", [0.05, 0.5, 3.0])
def test_noise_without_a_pattern_is_never_named_for_certain(scale: float) -> None:
    found = diagnose(make_probe(lambda logits: logits, noise=scale))
    assert not found.certain
    assert found.cause in {UNKNOWN, "weights-or-operator"}


HELD_OUT = {
    "cubed": lambda logits: logits**3 / 10,
    "absolute": np.abs,
    "floored": np.floor,
    "every third row lost": lambda logits: np.where(np.arange(len(logits))[:, None] % 3 == 0, 0.0, logits),
    "labels averaged": lambda logits: (logits + np.roll(logits, 1, axis=1)) / 2,
}


@pytest.mark.parametrize("fault", HELD_OUT)
def test_a_fault_that_no_rule_was_written_for_is_not_named_for_certain(fault: str) -> None:
    found = diagnose(make_probe(HELD_OUT[fault]))
    assert not found.certain, found


def suspecting(probe: Probe, *suspects: Suspect, **groups: FloatArray) -> Probe:
    fields = {name: getattr(probe, name) for name in Probe.__slots__}
    return Probe(**{**fields, "suspects": suspects, "groups": {**probe.groups, **groups}})


def test_what_the_reference_says_when_it_is_asked_wrongly_is_recognized() -> None:
    probe = make_probe(lambda logits: logits[::-1] * 0.7)
    found = diagnose(suspecting(probe, Suspect("mask-ignored", "the mask is ignored", probe.backend.copy())))
    assert (found.cause, found.certain) == ("mask-ignored", True)


def of_some(share: float, size: float = 1.0) -> Callable[[FloatArray], FloatArray]:
    """A fault that moves the last rows, which are this share of all, by what differs from row to row."""

    def move(logits: FloatArray) -> FloatArray:
        moved = np.random.default_rng(7).normal(scale=size, size=logits.shape)
        return logits + np.where(np.arange(len(logits))[:, None] >= (1 - share) * len(logits), moved, 0.0)

    return move


def test_a_cause_that_leaves_more_than_rounding_is_only_possible() -> None:
    reference = make_probe(np.copy).reference
    cut = of_some(0.5)(reference)
    other = 0.2 * np.random.default_rng(8).normal(size=reference.shape)
    suspect = Suspect("truncated", "long texts are cut", cut)
    exact = diagnose(suspecting(make_probe(lambda logits: cut, noise=1e-7), suspect))
    assert (exact.cause, exact.certain) == ("truncated", True)
    near = diagnose(
        suspecting(make_probe(lambda logits: np.where(cut == logits, logits, cut + other), noise=1e-7), suspect)
    )
    assert (near.cause, near.certain) == ("truncated", False)
    assert near.explained > CERTAIN_SHARE
    assert near.sentence == "perhaps long texts are cut"


def test_a_cause_of_few_rows_is_possible_amid_the_rounding_of_all() -> None:
    fault = of_some(0.1, 3.0)
    probe = make_probe(fault, noise=0.7)
    found = diagnose(suspecting(probe, Suspect("truncated", "long texts are cut", fault(probe.reference))))
    assert (found.cause, found.certain, found.sentence) == ("truncated", False, "perhaps long texts are cut")
    assert found.explained >= CERTAIN_SHARE


def test_a_cause_of_few_rows_is_not_seen_in_rounding_alone() -> None:
    fault = of_some(0.1, 3.0)
    probe = make_probe(np.copy, noise=0.7)
    found = diagnose(suspecting(probe, Suspect("truncated", "long texts are cut", fault(probe.reference))))
    assert (found.cause, found.certain) == ("weights-or-operator", False)


def test_moved_padding_is_named_whatever_becomes_of_batches_that_are_padded_in_front_already() -> None:
    fault = of_some(0.75, 2.0)
    front = np.arange(ROWS) >= ROWS - 8
    odd = np.random.default_rng(9).normal(scale=8, size=(ROWS, 12))
    probe = make_probe(lambda logits: np.where(front[:, None], odd, fault(logits)))
    suspect = Suspect("padding-side", "padding is put in front", fault(probe.reference))
    assert diagnose(suspecting(probe, suspect, front=front)).cause == "padding-side"


def test_other_weights_are_named_though_their_level_is_that_of_a_wrong_question() -> None:
    """Most of an answer is the level of its logits: one that is wrong in the same direction explains it, and not the texts."""
    probe = make_probe(lambda logits: -6 + np.random.default_rng(10).normal(scale=0.3, size=logits.shape))
    level = Suspect("mask-ignored", "the mask is ignored", -6 + 0.3 * probe.reference)
    assert diagnose(suspecting(probe, level)).cause == "other-model"


def test_two_causes_that_look_the_same_are_only_possible() -> None:
    probe = make_probe(lambda logits: logits[::-1] * 0.7)
    tried = tuple(Suspect(name, name, probe.backend.copy()) for name in ("one", "other"))
    found = diagnose(suspecting(probe, *tried))
    assert not found.certain
    assert found.sentence.startswith("perhaps ")


def test_answers_that_differ_beside_others_only_point_to_padding() -> None:
    def leak(logits: FloatArray) -> FloatArray:
        noise = np.random.default_rng(5).normal(size=logits.shape)
        return logits + np.where(np.arange(len(logits))[:, None] < 16, 1e-6, 0.3) * noise

    assert diagnose(make_probe(leak)).cause == "padding-leaks"


def test_a_float16_artifact_that_is_not_finite_points_to_overflow() -> None:
    assert diagnose_non_finite("fp16", "2 rows").cause == "float16-overflow"
    assert diagnose_non_finite("fp32", "2 rows").cause == "not-finite"


def test_logits_of_other_shapes_or_without_a_number_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Probe(("a", "b"), True, np.zeros((2, 2)), np.zeros((2, 3)), {}, [])
    with pytest.raises(ValueError, match="finite"):
        make_probe(lambda logits: logits * np.nan)
