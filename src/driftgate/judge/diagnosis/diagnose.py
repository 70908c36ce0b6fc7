"""The cause that accounts best for what was answered.

A suspect is scored by how well its move away from the reference predicts the backend's: the slope of the regression through the
origin, which is 1 where the fault is wholly there, and the squared correlation, which is what share of the squared difference it
accounts for. Rounding that has nothing to do with a suspect moves neither slope nor direction, only the share; hence a fault in
INT8 is named from a smaller share than is asked of one in float32, with "perhaps".
"""

from collections.abc import Sequence

import numpy as np

from driftgate.judge.diagnosis.patterns import list_patterns
from driftgate.judge.diagnosis.suspects import UNKNOWN, Diagnosis, Probe, Suspect

CERTAIN_SHARE, LIKELY_SHARE = 0.9, 0.25
FITTED_SHARE, EXACT_SHARE = 0.98, 0.9999
"""Asked of a suspect that was fitted to the backend's answers: for "perhaps", and to be certain."""
SLOPE = (0.8, 1.25)
FLOAT32_NOISE = "float32-noise"
NOISE = 1e-5
"""Root of the mean squared difference, relative to that of the logits, below which only float32's rounding differs."""
COMPLETE_SHARE = 0.9999
"""Nobody else need be suspected."""
_TIE = 1e-9
_TINY = 1e-30
_DISTINCT = 3.0
"""How many times more one group has to differ than another for the difference between them to mean something."""


def diagnose(probe: Probe) -> Diagnosis:
    """The likely cause; `UNKNOWN` where no suspect accounts for the difference."""
    reference, backend = probe.centred(probe.reference), probe.centred(probe.backend)
    moved = backend - reference
    size = float(np.sqrt(np.mean(moved**2)))
    if size <= NOISE * float(np.sqrt(np.mean(reference**2)) + _TINY):
        sentence = (
            "only float32 rounding differs on the texts that were asked again; the bound is too tight for this encoder"
        )
        return Diagnosis(FLOAT32_NOISE, f"perhaps {sentence}", certain=False, explained=1.0)
    if _is_stale(probe):
        sentence = (
            "a batch gets the answers of an earlier batch of the same shape: an output buffer is not filled again"
        )
        return Diagnosis("stale-answers", sentence, certain=True, explained=1.0)
    scored = sorted(
        (
            (share, suspect)
            for suspect in [*probe.suspects, *list_patterns(probe)]
            if (share := account_for(probe, suspect))
        ),
        key=lambda found: (-round(found[0], 6), found[1].fitted),
    )
    found = _best(scored)
    if found and (found.certain or found.explained >= CERTAIN_SHARE):
        return found
    return _by_group(probe) or found or _by_elimination(probe)


def _is_stale(probe: Probe) -> bool:
    """The same rows in reverse order got the same answers in the same order, and they should not have."""
    again = probe.groups.get("again")
    first = next((rows for rows in probe.batches if len(rows) > 1), None)
    if again is None or first is None or not again.any():
        return False
    alike = np.array_equal(probe.backend[first], probe.backend[again])
    return alike and not np.allclose(probe.reference[first], probe.reference[again], atol=1e-3)


def account_for(probe: Probe, suspect: Suspect) -> float:
    """The share of the squared difference that it accounts for; 0 where the slope is wrong, or the share too small."""
    reference = probe.centred(probe.reference)
    moved = probe.centred(probe.backend) - reference
    imitated = probe.centred(suspect.answers) - reference
    energy = float((imitated**2).sum())
    if energy <= 1e-10 * float((reference**2).sum()):
        return 0.0
    product = float((imitated * moved).sum())
    share = product**2 / (energy * float((moved**2).sum())) if product > 0 else 0.0
    least = FITTED_SHARE if suspect.fitted else LIKELY_SHARE
    return share if SLOPE[0] <= product / energy <= SLOPE[1] and share >= least else 0.0


def _best(scored: Sequence[tuple[float, Suspect]]) -> Diagnosis | None:
    """The suspect with the largest share; not certain where another cause leaves less than twice as much unexplained."""
    if not scored:
        return None
    share, suspect = scored[0]
    others = [one for one, other in scored if other.cause != suspect.cause and other.fitted <= suspect.fitted]
    ahead = not others or 1 - others[0] > 2 * (1 - share) + _TIE
    certain = ahead and share >= (EXACT_SHARE if suspect.fitted else CERTAIN_SHARE)
    return Diagnosis(suspect.cause, suspect.sentence if certain else f"perhaps {suspect.sentence}", certain, share)


def _by_group(probe: Probe) -> Diagnosis | None:
    """What differs only where a text is padded, shares a batch, or is long."""
    alone, together = probe.rms("alone"), probe.rms("together")
    quiet = max(alone, 1e-12)
    if together > _DISTINCT * quiet:
        sentence = "perhaps padding leaks into the answers: they are right for a text alone and wrong in a batch with longer ones"
        return Diagnosis("padding-leaks", sentence, certain=False, explained=1 - (alone / together) ** 2)
    quiet = max(alone, together, 1e-12)
    for group, cause, sentence in (
        (
            "front",
            "mask-misread",
            "perhaps the mask is misread: only batches that are padded in front get wrong answers",
        ),
        ("holes", "mask-misread", "perhaps the mask is misread: only masks with zeros inside a text get wrong answers"),
        ("long", "long-texts", "perhaps positions or a branch on length: only long texts get wrong answers"),
    ):
        if (differs := probe.rms(group)) > _DISTINCT * quiet:
            return Diagnosis(cause, sentence, certain=False, explained=1 - (quiet / differs) ** 2)
    return None


def _by_elimination(probe: Probe) -> Diagnosis:
    """Right questions, right order, and answers that still follow the reference's: the weights or the operators are left."""
    reference, backend = probe.centred(probe.reference), probe.centred(probe.backend)
    ours, theirs = (side - side.mean(axis=0) for side in (reference, backend))
    size = float(np.sqrt((ours**2).sum() * (theirs**2).sum()))
    alike = float((ours * theirs).sum()) / size if size else 0.0
    quiet = probe.rms("together") <= _DISTINCT * probe.rms("alone")
    if quiet and alike >= 0.5:  # noqa: PLR2004 - half
        sentence = (
            "perhaps the weights or an operator of some layer: the differences fit no fault of labels, rows, activation, mask, "
            "padding, positions or length; `driftgate explain` says which module differs first"
        )
        return Diagnosis("weights-or-operator", sentence, certain=False, explained=0.0)
    if quiet and abs(alike) < 0.3:  # noqa: PLR2004
        sentence = "perhaps these are different weights: the answers have almost nothing in common with the reference's"
        return Diagnosis("other-model", sentence, certain=False, explained=0.0)
    return Diagnosis(
        UNKNOWN, "the cause is unknown; `driftgate explain` compares modules one by one", certain=False, explained=0.0
    )


def diagnose_non_finite(precision: str, said: str) -> Diagnosis:
    """Of a backend whose answers hold NaN or infinity; `said` is the error's own account of it."""
    if precision == "fp16":
        sentence = f"perhaps an overflow of float16, whose largest number is 65,504: {said}"
        return Diagnosis("float16-overflow", sentence, certain=False, explained=1.0)
    return Diagnosis("not-finite", f"NaN or infinite logits: {said}", certain=True, explained=1.0)
