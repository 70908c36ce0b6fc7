"""The metrics of encoders whose one logit is a score: entries of the registry of metrics."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from driftgate.judge.metric_types import CORRELATION, SCORE, SHARE, SPREAD, Interval, Metric, once
from driftgate.judge.parts import RANKS, SCORE_QUALITY, SCORES, Both

if TYPE_CHECKING:
    from driftgate.judge.scores.correlation import ScoreQuality

_CORRELATIONS = {"pearson": "Pearson's", "spearman": "Spearman's"}


def _own(name: str) -> "Callable[[Both[ScoreQuality]], float]":
    return lambda both: float(getattr(both.backend, name))


def _lost(name: str) -> "Callable[[Both[ScoreQuality]], float]":
    return lambda both: float(getattr(both.reference, name) - getattr(both.backend, name))


# fmt: off
SCORE_METRICS: tuple[Metric, ...] = (
    Metric("max_score_drift", "largest score drift", SPREAD,
           "largest difference of a score from the reference's; its bound is a ceiling for gross faults",
           once(SCORES, lambda scores: scores.drift.max)),
    Metric("p90_score_drift", "score drift, p90 of rows", SPREAD,
           "90th percentile over rows of the difference of a score from the reference's",
           once(SCORES, lambda scores: scores.drift.percentiles["p90"]), interval=Interval.QUANTILE, decides=True),
    Metric("mean_score_drift", "score drift, mean of rows", SPREAD,
           "mean over rows of the difference of a score from the reference's",
           once(SCORES, lambda scores: scores.drift.mean), interval=Interval.MEAN, decides=True),
    Metric("score_rank_correlation", "rank correlation of scores", CORRELATION,
           "Spearman's rank correlation of both sides' scores over all rows",
           once(SCORES, lambda scores: scores.rank_correlation), gated=False),
    Metric("score_rank_displacement", "1 - rank correlation of scores", CORRELATION,
           "mean over rows of six times the squared change of a row's place in the order of scores, as a share of the rows: one "
           "less Spearman's rank correlation, but for ties",
           once(SCORES, lambda scores: scores.rank_displacement), interval=Interval.MEAN),
    Metric("group_rank_loss", "1 - rank correlation in groups", CORRELATION,
           "one less the mean over groups of candidates of Kendall's tau-b of both sides' scores",
           once(RANKS, lambda ranks: 1 - ranks.rank_correlation), interval=Interval.MEAN),
    Metric("best_candidate_changed", "groups with another best candidate", SHARE,
           "share of groups of candidates whose best one is another",
           once(RANKS, lambda ranks: ranks.best_changed), interval=Interval.SHARE),
    Metric("top3_candidates_changed", "change of the three best candidates", SCORE,
           "one less the mean overlap (Jaccard) of the three best candidates, over groups of more than three",
           once(RANKS, lambda ranks: None if ranks.top3_overlap is None else 1 - ranks.top3_overlap), interval=Interval.MEAN),
    *(Metric(name, f"{label} correlation with people", CORRELATION,
             f"{label} correlation of the backend's scores with those that people gave",
             once(SCORE_QUALITY, _own(name)), gated=False) for name, label in _CORRELATIONS.items()),
    *(Metric(f"{name}_loss", f"loss of {label} correlation", CORRELATION,
             f"{label} correlation of the reference's scores with those that people gave, less that of the backend's",
             once(SCORE_QUALITY, _lost(name)), interval=Interval.MEAN) for name, label in _CORRELATIONS.items()),
)
# fmt: on
