"""Backends with one fault each, which one property of `accuracy/test_invariance.py` finds, and no other that is not like it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.errors import SequenceTooLongError
from driftgate.inputs.batches import TokenBatch
from driftgate.run.backend import InForce, Prepared
from driftgate.run.torch_backend import open_torch

Ask = Callable[[TokenBatch], Logits]
Answer = Callable[[TokenBatch, Ask], Logits]
"""(batch, the honest answers of any batch) -> the faulty answer."""

_CALLS = count()
PADDING_ID = 1
LATE_TOKENS = 40
ODD_WIDTH = 33


def drifts_with_calls(batch: TokenBatch, honest: Ask) -> Logits:
    """By less than any bound: only equal bits tell."""
    return Logits(honest(batch) + np.float32(1e-6) * (next(_CALLS) % 4 < 2))


def depends_on_the_place(batch: TokenBatch, honest: Ask) -> Logits:
    """By less than dynamic INT8 may depend on the other texts of the batch: the same mates in another order tell."""
    places = np.arange(len(batch.rows))[:, None] % 2
    return Logits(honest(batch) + np.float32(0.1) * places)


def depends_on_batch_mates(batch: TokenBatch, honest: Ask) -> Logits:
    logits = honest(batch)
    return Logits(logits + np.float32(1e-3) * logits.mean(0, keepdims=True) * (len(logits) > 1))


def masks_no_single_row(batch: TokenBatch, honest: Ask) -> Logits:
    """A batch of one needs no padding, somebody thought."""
    unmasked = replace(batch, attention_mask=np.ones_like(batch.attention_mask))
    return honest(unmasked if len(batch.rows) == 1 else batch)


def masks_no_front(batch: TokenBatch, honest: Ask) -> Logits:
    """Padding in front is read as text."""
    in_front = (batch.attention_mask[:, 0] == 0) & (batch.attention_mask[:, -1] == 1)
    unmasked = replace(batch, attention_mask=np.ones_like(batch.attention_mask))
    return honest(unmasked if in_front.any() else batch)


def masks_no_hole(batch: TokenBatch, honest: Ask) -> Logits:
    """The mask is taken for a first and a last token."""
    from_front = np.maximum.accumulate(batch.attention_mask, axis=1)
    from_behind = np.maximum.accumulate(batch.attention_mask[:, ::-1], axis=1)[:, ::-1]
    return honest(replace(batch, attention_mask=from_front * from_behind))


def reads_masked_ids(batch: TokenBatch, honest: Ask) -> Logits:
    """But not padding, which every other batch has."""
    masked = (batch.attention_mask == 0) & (batch.input_ids != PADDING_ID)
    return Logits(honest(batch) + np.float32(1e-3) * ((batch.input_ids * masked).sum(1, keepdims=True) % 7))


def has_no_answer_to_nothing(batch: TokenBatch, honest: Ask) -> Logits:
    """A row without a token divides by zero, in every row."""
    nothing = (batch.attention_mask.sum(1) == 0).any()
    return Logits(honest(batch) + np.float32(np.nan if nothing else 0))


def errs_late_in_a_text(batch: TokenBatch, honest: Ask) -> Logits:
    late = batch.attention_mask.sum(1, keepdims=True) > LATE_TOKENS
    return Logits(honest(batch) + np.float32(1e-3) * late)


def masks_the_padding_id(batch: TokenBatch, honest: Ask) -> Logits:
    """Wherever it stands: a text may have it, written out."""
    return honest(replace(batch, attention_mask=batch.attention_mask * (batch.input_ids != PADDING_ID)))


def errs_at_one_width(batch: TokenBatch, honest: Ask) -> Logits:
    """The one that is left over of a kernel's last block."""
    return Logits(honest(batch) + np.float32(1e-3) * (batch.input_ids.shape[1] == ODD_WIDTH))


def cuts_what_is_too_long(batch: TokenBatch, honest: Ask) -> Logits:
    try:
        return honest(batch)
    except SequenceTooLongError:
        return honest(TokenBatch(batch.rows, batch.input_ids[:, :8], batch.attention_mask[:, :8], None))


def takes_no_segments_for_others(batch: TokenBatch, honest: Ask) -> Logits:
    return Logits(honest(batch) + np.float32(1e-6) * (batch.token_type_ids is None))


@dataclass(frozen=True, slots=True)
class Fault:
    """A faulty backend.

    Args:
        found_by: the property that must fail. `also`: those like it that may.
        precision: class whose bounds leave everything else about the fault free.
    """

    answer: Answer
    found_by: str
    also: tuple[str, ...] = ()
    precision: Precision = Precision.FP32

    @property
    def spec(self) -> BackendSpec:
        name = self.answer.__name__.replace("_", "-")
        own = BackendSpec(name, self.precision, Runtime.TORCH)
        return replace(own, open_with=lambda encoder, _, settings: _Faulty(own, encoder, settings, self.answer))


class _Faulty:
    def __init__(self, spec: BackendSpec, encoder: Any, settings: Any, answer: Answer) -> None:
        self.spec, self._answer = spec, answer
        self._honest = open_torch(encoder, spec, settings)
        self._encoder = encoder

    @property
    def in_force(self) -> InForce:
        return self._honest.in_force

    def prepare(self, batch: TokenBatch) -> Prepared:
        return lambda: self._answer(batch, lambda asked: self._honest.prepare(asked)())


# Drift from the reference is free in class `checkpoint`, and other texts of a batch may move dynamic INT8 far: what agrees with
# the reference is not held to its invariances there.
_FREE = Precision.CHECKPOINT
FAULTS = (
    Fault(drifts_with_calls, "repeated_batches_get_the_same_answers", ("segments_of_zeros_are_the_same_as_none",)),
    Fault(depends_on_the_place, "shuffled_rows_get_shuffled_answers", precision=Precision.INT8_DYNAMIC),
    Fault(
        depends_on_batch_mates,
        "answers_do_not_depend_on_batch_mates",
        ("a_row_of_padding_is_finite_and_leaves_the_others_alone",),
        _FREE,
    ),
    Fault(masks_no_single_row, "padding_behind_the_text_changes_nothing", precision=_FREE),
    Fault(masks_no_front, "padding_in_front_of_the_text_means_what_it_means_to_the_reference"),
    Fault(masks_no_hole, "holes_in_the_mask_mean_what_they_mean_to_the_reference"),
    Fault(reads_masked_ids, "masked_ids_are_never_read", precision=_FREE),
    Fault(has_no_answer_to_nothing, "a_row_of_padding_is_finite_and_leaves_the_others_alone"),
    Fault(errs_late_in_a_text, "answers_are_the_references_on_changed_and_generated_texts"),
    Fault(
        masks_the_padding_id,
        "answers_are_the_references_on_any_unicode",
        (
            "answers_are_the_references_on_changed_and_generated_texts",
            "padding_in_front_of_the_text_means_what_it_means_to_the_reference",
            "holes_in_the_mask_mean_what_they_mean_to_the_reference",
        ),
    ),
    Fault(errs_at_one_width, "any_shape_runs_like_the_reference"),
    Fault(cuts_what_is_too_long, "more_tokens_than_the_limit_are_refused"),
    Fault(takes_no_segments_for_others, "segments_of_zeros_are_the_same_as_none"),
)


class FaultyBackends:
    """A plugin: faults as backends, each asked some properties, and which of them failed."""

    def __init__(self, faults: Iterable[Fault], *, own_property_only: bool) -> None:
        self._own_property_only = own_property_only
        self.faults = {fault.spec.name: fault for fault in faults}
        self.failed: dict[str, set[str]] = {name: set() for name in self.faults}
        self.asked: set[str] = set()

    def pytest_driftgate_backends(self, config: pytest.Config) -> list[BackendSpec]:
        return [fault.spec for fault in self.faults.values()]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.asked = {_split(item.nodeid)[0] for item in items}
        if self._own_property_only:
            items[:] = [item for item in items if self._is_own(*_split(item.nodeid))]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            test, backend = _split(report.nodeid)
            self.failed[backend].add(test)

    def _is_own(self, test: str, backend: str) -> bool:
        fault = self.faults.get(backend)
        return fault is not None and fault.found_by == test


def _split(node: str) -> tuple[str, str]:
    test, _, backend = node.removesuffix("]").partition("[")
    return test.partition("::test_")[2], backend


def names(faults: Iterable[Fault]) -> str:
    """As `--backends` takes them."""
    return ",".join(fault.spec.name for fault in faults)
