"""The cause that accounts best for what was answered.

A suspect is scored by how well its move away from the reference predicts the backend's: the slope of the regression through the
origin, which is 1 where the fault is wholly there, and the squared correlation, which is what share of the squared difference it
accounts for. Rounding that has nothing to do with a suspect moves neither slope nor direction, only the share; hence a fault in
INT8 is named from a smaller share than is asked of one in float32, with "perhaps". How much rounding there is, the rows tell
that a suspect does not move: one that leaves far more than that unexplained on those that it moves is not certain either.
"""

from collections.abc import Sequence

import numpy as np

from driftgate.arrays import BoolArray, FloatArray
from driftgate.judge.diagnosis.patterns import list_patterns
from driftgate.judge.diagnosis.suspects import UNKNOWN, Diagnosis, Probe, Suspect

CERTAIN_SHARE, LIKELY_SHARE = 0.9, 0.25
FITTED_SHARE, EXACT_SHARE = 0.98, 0.9999
"""Asked of a suspect that was fitted to the backend's answers: for "perhaps", and to be certain."""
SLOPE = (0.8, 1.25)
LEAST_LIKENESS = 0.5
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
    found = _best(probe, scored)
    if found and (found.certain or found.explained >= CERTAIN_SHARE):
        return found
    return _where_it_acts(probe) or _by_group(probe) or found or _by_elimination(probe)


def _is_stale(probe: Probe) -> bool:
    """The same rows in reverse order got the same answers in the same order, and they should not have."""
    again = probe.groups.get("again")
    first = next((rows for rows in probe.batches if len(rows) > 1), None)
    if again is None or first is None or not again.any():
        return False
    alike = np.array_equal(probe.backend[first], probe.backend[again])
    return alike and not np.allclose(probe.reference[first], probe.reference[again], atol=1e-3)


def account_for(probe: Probe, suspect: Suspect, rows: BoolArray | None = None) -> float:
    """The share of the squared difference that it accounts for; 0 where the slope is wrong, or the share too small.

    It is 0, too, where the backend tells texts apart in another way: a level of logits that fits is not enough.

    Args:
        rows: to look at, bool, (rows,); None for all.
    """
    moved, imitated = (move if rows is None else move[rows] for move in _moves(probe, suspect))
    reference = probe.centred(probe.reference)
    energy = float((imitated**2).sum())
    likeness = _likeness(suspect.answers, probe.backend)
    if energy <= 1e-10 * float((reference**2).sum()) or (likeness is not None and likeness < LEAST_LIKENESS):
        return 0.0
    product = float((imitated * moved).sum())
    share = product**2 / (energy * float((moved**2).sum())) if product > 0 else 0.0
    least = FITTED_SHARE if suspect.fitted else LIKELY_SHARE
    return share if SLOPE[0] <= product / energy <= SLOPE[1] and share >= least else 0.0


def _likeness(one: FloatArray, other: FloatArray) -> float | None:
    """The correlation of how each label's logits vary from text to text; None where one side's do not."""
    ours, theirs = (side - side.mean(axis=0) for side in (one, other))
    size = float(np.sqrt((ours**2).sum() * (theirs**2).sum()))
    return float((ours * theirs).sum()) / size if size else None


def _moves(probe: Probe, suspect: Suspect) -> tuple[FloatArray, FloatArray]:
    """How far the backend's and the suspect's logits are from the reference's, float64, (rows, labels) each."""
    reference = probe.centred(probe.reference)
    return probe.centred(probe.backend) - reference, probe.centred(suspect.answers) - reference


def _acts_on(imitated: FloatArray) -> BoolArray:
    """The rows that a suspect moves, bool, (rows,).

    Args:
        imitated: how far it moves the logits, float64, (rows, labels).
    """
    sizes = (imitated**2).mean(axis=1)
    return np.asarray(sizes > NOISE**2 * sizes.max())


def _leaves_rounding_only(probe: Probe, suspect: Suspect) -> bool:
    """Whether what it does not explain is about as large as what differs where it changes nothing; True without such rows."""
    moved, imitated = _moves(probe, suspect)
    acts = _acts_on(imitated)
    if acts.all():
        return True
    left = float(((moved - imitated)[acts] ** 2).mean())
    rounding = float((moved[~acts] ** 2).mean()) + NOISE**2 * float((moved[acts] ** 2).mean())
    return left <= _DISTINCT**2 * rounding


def _best(probe: Probe, scored: Sequence[tuple[float, Suspect]]) -> Diagnosis | None:
    """The suspect with the largest share; not certain where another cause leaves less than twice as much unexplained, or where it
    leaves more than rounding itself.
    """
    if not scored:
        return None
    share, suspect = scored[0]
    others = [one for one, other in scored if other.cause != suspect.cause and other.fitted <= suspect.fitted]
    ahead = not others or 1 - others[0] > 2 * (1 - share) + _TIE
    enough = share >= (EXACT_SHARE if suspect.fitted else CERTAIN_SHARE)
    certain = ahead and enough and _leaves_rounding_only(probe, suspect)
    return Diagnosis(suspect.cause, suspect.sentence if certain else f"perhaps {suspect.sentence}", certain, share)


def _where_it_acts(probe: Probe) -> Diagnosis | None:
    """A suspect that accounts for the rows that it moves: what INT8 rounds on all others says nothing against it.

    Of batches as people make them: what becomes of padding in front and of holes in a mask is left out, since a backend that
    moves padding, say, may do anything to a batch that is padded in front already.
    """
    usual = ~np.any([rows for group, rows in probe.groups.items() if group in {"front", "holes"}], axis=0)
    scored = [
        (account_for(probe, suspect, usual & _acts_on(_moves(probe, suspect)[1])), suspect)
        for suspect in probe.suspects
    ]
    share, suspect = max(scored, key=lambda found: found[0], default=(0.0, None))
    if suspect is None or share < CERTAIN_SHARE:
        return None
    return Diagnosis(suspect.cause, f"perhaps {suspect.sentence}", certain=False, explained=share)


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
    alike = _likeness(reference, backend) or 0.0
    quiet = probe.rms("together") <= _DISTINCT * probe.rms("alone")
    if quiet and alike >= LEAST_LIKENESS:
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
