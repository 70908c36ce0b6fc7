"""Causes that can be tried on the reference's own answers: labels, rows and activations that were taken for others."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, log_expit, log_softmax, softmax

from driftgate.arrays import FloatArray
from driftgate.judge.diagnosis.suspects import Probe, Suspect

_NAMED_LABELS = 6
_LEAST_FACTOR = 0.05
"""Logits that are multiplied by less are gone, not scaled."""
_SHARE = 1e-6
"""A column or a row whose variance is below this share of the reference's does not vary."""


def list_patterns(probe: Probe) -> Iterator[Suspect]:
    """Every cause that the reference's logits alone can imitate."""
    yield from _labels(probe)
    yield from _activations(probe)
    yield from _rows(probe)
    yield from _linear(probe)
    yield from _clipped(probe)


def _labels(probe: Probe) -> Iterator[Suspect]:
    """The order of the columns that brings the reference nearest to the backend."""
    reference, backend = probe.centred(probe.reference), probe.centred(probe.backend)
    distances = ((backend[:, :, None] - reference[:, None, :]) ** 2).mean(
        axis=0
    )  # (backend's label, reference's label)
    order = linear_sum_assignment(distances)[1]
    moved = np.flatnonzero(order != np.arange(len(order)))
    if not moved.size:
        return
    names = [repr(probe.labels[label]) for label in moved]
    answers = reference[:, order]
    if len(moved) == 2:  # noqa: PLR2004 - a pair
        yield Suspect("labels-exchanged", f"the labels {names[0]} and {names[1]} are exchanged", answers)
    else:
        shown = ", ".join(names[:_NAMED_LABELS]) + (", ..." if len(names) > _NAMED_LABELS else "")
        sentence = f"{len(names)} labels are in another order ({shown}); compare id2label of both models"
        yield Suspect("labels-permuted", sentence, answers)


def _activations(probe: Probe) -> Iterator[Suspect]:
    logits = probe.reference
    shares = softmax(logits, axis=1).clip(1e-30, 1 - 1e-12)
    if probe.multi_label:
        sentence = "softmax was used where the encoder was trained with sigmoids"
        yield Suspect("softmax-for-sigmoid", sentence, np.log(shares) - np.log1p(-shares))
        yield Suspect("softmax-for-sigmoid", sentence, log_softmax(logits, axis=1))
        sentence = "the sigmoid is taken twice: the backend hands on probabilities where logits are expected"
        yield Suspect("sigmoid-twice", sentence, expit(logits))
        sentence = "softmax was taken of the logits, and the sigmoid of its probabilities"
        yield Suspect("softmax-for-sigmoid", sentence, shares)
    else:
        sentence = "the softmax is taken twice: the backend hands on probabilities where logits are expected"
        yield Suspect("softmax-twice", sentence, shares)
        sentence = "sigmoids were used where the encoder was trained with softmax"
        yield Suspect("sigmoid-for-softmax", sentence, log_expit(logits))
        yield Suspect("sigmoid-for-softmax", sentence, expit(logits))


def _rows(probe: Probe) -> Iterator[Suspect]:
    reference, backend = probe.centred(probe.reference), probe.centred(probe.backend)
    reversed_rows, matched = np.arange(len(reference)), np.arange(len(reference))
    for rows in probe.batches:
        reversed_rows[rows] = rows[::-1]
        distances = ((backend[rows][:, None] - reference[rows][None]) ** 2).sum(axis=2)
        matched[rows] = rows[linear_sum_assignment(distances)[1]]
    yield Suspect("rows-reordered", "the rows of a batch come back in reverse order", reference[reversed_rows])
    if (matched != np.arange(len(matched))).any():
        sentence = "the rows of a batch come back in another order"
        yield Suspect("rows-reordered", sentence, reference[matched], fitted=len(matched))


def _linear(probe: Probe) -> Iterator[Suspect]:
    """Logits times a factor, plus a constant; and labels that are constant, or moved by a constant of their own."""
    reference, backend = probe.centred(probe.reference), probe.centred(probe.backend)
    factor = float((reference * backend).sum() / (reference**2).sum())
    if factor > _LEAST_FACTOR:
        yield Suspect("scaled", f"all logits are multiplied by {factor:.4g}", factor * reference, fitted=1)
    offset = float((backend - reference).mean())
    if probe.multi_label:
        yield Suspect("offset", f"all logits are moved by {offset:+.4g}", reference + offset, fitted=1)
        slope, level = np.polyfit(reference.ravel(), backend.ravel(), 1)
        if slope > _LEAST_FACTOR:
            sentence = f"all logits are multiplied by {slope:.4g} and moved by {level:+.4g}"
            yield Suspect("scaled-and-offset", sentence, slope * reference + level, fitted=2)
    moves = (backend - reference).mean(axis=0)
    most = int(np.abs(moves).argmax())
    sentence = f"logits of single labels are moved by constants, {probe.labels[most]!r} by {moves[most]:+.4g}: look at the bias"
    yield Suspect("label-offset", f"{sentence} of the last layer", reference + moves, fitted=len(moves))
    yield from _constant(probe)


def _constant(probe: Probe) -> Iterator[Suspect]:
    spread = probe.backend.var(axis=0)
    if (spread <= _SHARE * probe.reference.var(axis=0).mean()).all():
        answers = np.broadcast_to(probe.backend.mean(axis=0), probe.backend.shape)
        yield Suspect("constant", "the backend gives the same answer to every text", probe.centred(answers))
        return
    dead = np.flatnonzero(spread <= 1e-2 * probe.reference.var(axis=0))
    if dead.size:
        deadened: FloatArray = probe.reference.copy()
        deadened[:, dead] = probe.backend[:, dead].mean(axis=0)
        names = ", ".join(repr(probe.labels[label]) for label in dead[:_NAMED_LABELS])
        yield Suspect(
            "label-constant", f"the label {names} gets the same answer for every text", probe.centred(deadened)
        )


def _clipped(probe: Probe) -> Iterator[Suspect]:
    low, high = float(probe.backend.min()), float(probe.backend.max())
    at_limit = (probe.backend == low).sum() + (probe.backend == high).sum()
    if low < high and at_limit >= 0.01 * probe.backend.size:
        sentence = f"the logits saturate: none is below {low:.4g} or above {high:.4g}"
        yield Suspect("saturated", sentence, probe.centred(probe.reference.clip(low, high)))
