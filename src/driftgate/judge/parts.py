"""What can be measured of a backend, part by part: typed keys to the records, and the store that holds them.

No function that measures is here: bounds, results and tables need the keys only, and SciPy and scikit-learn are slow to import.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from driftgate.judge.agreement import Agreement
    from driftgate.judge.calibration import Calibration, PrevalenceShift
    from driftgate.judge.confidence.bootstrap import PairedLoss
    from driftgate.judge.drift import Drift, LongTexts
    from driftgate.judge.flips import Flips, Margins
    from driftgate.judge.movement import Movement
    from driftgate.judge.noise import ErrorRatio, Noise
    from driftgate.judge.quality import Quality, SubsetAccuracyChange
    from driftgate.judge.scores.correlation import ScoreQuality
    from driftgate.judge.scores.ranks import Ranks
    from driftgate.judge.scores.score_drift import ScoreDrift
    from driftgate.judge.slice_drift import SliceDrift

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """The key to one measurement, and the type of its record.

    Args:
        name: of its field in `results.json`.
        needs: what a run lacks where nothing of the part can be measured or held to a bound.
        of_scores: whether it is measured only of encoders that give a score, or only of others; None of both.
    """

    name: str
    needs: str = ""
    of_scores: bool | None = False

    def suits(self, *, gives_score: bool) -> bool:
        """Whether it is measured of encoders that give a score, or of those that do not."""
        return self.of_scores in (None, gives_score)


@dataclass(frozen=True, slots=True)
class Both(Generic[T]):
    """The same measurement of either side."""

    reference: T
    backend: T


@dataclass(slots=True)
class Measured:
    """The records of one backend, of the parts that were measured."""

    records: dict[str, Any] = field(default_factory=dict)
    """By the name of the part."""

    def get(self, part: Part[T]) -> T | None:
        """The record of a part; None where it was not measured."""
        found: T | None = self.records.get(part.name)
        return found

    def require(self, part: Part[T]) -> T:
        """The record of a part that has to be there.

        Raises:
            ValueError: it was not measured.
        """
        found = self.get(part)
        if found is None:
            raise ValueError(f"{part.name}: expected to be measured, and it was not")
        return found

    def put(self, part: Part[T], record: T) -> None:
        """Keep the record of a part."""
        self.records[part.name] = record


LABELS = "labels"
"""What parts need that compare with the truth."""

DRIFT: "Part[Drift]" = Part("drift")
SCORES: "Part[ScoreDrift]" = Part("scores", of_scores=True)
RANKS: "Part[Ranks]" = Part("ranks", "groups of rows whose order is to be judged", of_scores=True)
SCORE_QUALITY: "Part[Both[ScoreQuality]]" = Part("score_quality", "scores that people gave", of_scores=True)
ERROR_RATIO: "Part[ErrorRatio]" = Part("error_ratio", of_scores=None)
# By decision policy, such as "at 0.5":
FLIPS: "Part[Mapping[str, Flips]]" = Part(
    "flips", "rows of several labels; where a row has one, the ranking of labels is judged"
)
MARGINS: "Part[Mapping[str, Margins]]" = Part("margins")
AGREEMENT: "Part[Agreement]" = Part("agreement")
PREVALENCE: "Part[Mapping[str, PrevalenceShift]]" = Part("prevalence")
CALIBRATION: "Part[Both[Calibration]]" = Part("calibration", LABELS)
QUALITY: "Part[Mapping[str, Both[Quality]]]" = Part("quality", LABELS)
LOSSES: "Part[Mapping[str, Mapping[str, PairedLoss]]]" = Part("losses", LABELS)
SUBSET_ACCURACY: "Part[Mapping[str, SubsetAccuracyChange]]" = Part("subset_accuracy", LABELS)
# By name of the slice, and by what was varied, "batch" or "padding":
SLICES: "Part[Mapping[str, SliceDrift]]" = Part("slices", "slice of 100 rows or more")
NOISE: "Part[Mapping[str, Noise]]" = Part("noise", of_scores=None)
LONG_TEXTS: "Part[LongTexts]" = Part("long_texts", "text to make long inputs of")
MOVEMENT: "Part[Movement]" = Part("movement", of_scores=None)

OF_A_CORPUS: tuple[Part[Any], ...] = (
    DRIFT, SCORES, RANKS, SCORE_QUALITY, ERROR_RATIO, FLIPS, MARGINS, AGREEMENT, PREVALENCE, CALIBRATION, QUALITY, LOSSES,
    SUBSET_ACCURACY, SLICES, NOISE, LONG_TEXTS,
)  # fmt: skip
"""Everything that an assessment measures on one corpus."""

PARTS: tuple[Part[Any], ...] = (*OF_A_CORPUS, MOVEMENT)
