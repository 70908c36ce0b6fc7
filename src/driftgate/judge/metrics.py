"""The registry of metrics: every number that is held to a bound or shown in the table of details is one entry here.

Bounds files, the accuracy suite, `driftgate publish`, tables and `docs/metrics.md` all read it. Adding a metric is one entry; a
gated one needs a bound for every precision class in its suite's `bounds.toml` besides.
"""

from collections.abc import Mapping
from typing import Any

from driftgate.judge.metric_sources import MIN_SLICE_ROWS, against_truth, drift_in_worst_slice, loss, noise, quality
from driftgate.judge.metric_types import (
    BYTES,
    CHANGES,
    CORRELATION,
    COUNT,
    EXPECTED_COUNT,
    FACTOR,
    LOGIT,
    NOISE_FACTOR,
    P_VALUE,
    PROBABILITY,
    SCORE,
    SHARE,
    SPREAD,
    Interval,
    Metric,
    each_policy,
    once,
)
from driftgate.judge.parts import (
    AGREEMENT,
    CALIBRATION,
    DRIFT,
    ERROR_RATIO,
    FLIPS,
    LONG_TEXTS,
    MARGINS,
    MOVEMENT,
    PREVALENCE,
    SLICES,
    SUBSET_ACCURACY,
    Part,
)
from driftgate.judge.scores.score_metrics import SCORE_METRICS

_QUALITY = {
    "micro_f1": ("micro-F1", SCORE),
    "macro_f1": ("macro-F1", SCORE),
    "macro_f1_supported": ("macro-F1 of labels with 50 rows or more", SCORE),
    "subset_accuracy": ("subset accuracy", SCORE),
    "mcc": ("Matthews correlation", CORRELATION),
}
_CAUSES = {"batch": "random other texts in the batch", "padding": "padding up to the encoder's limit"}


# fmt: off
_ALL: tuple[Metric, ...] = (
    Metric("max_abs_logit_drift", "largest logit drift", LOGIT,
           "largest difference of a logit from the reference's, over rows and labels; it grows with the rows, so that its bound "
           "is a ceiling for gross faults",
           once(DRIFT, lambda drift: drift.max_abs_logit)),
    Metric("max_abs_probability_drift", "largest probability drift", PROBABILITY,
           "largest difference of a label probability, over rows and labels; it grows with the rows, so that its bound is a "
           "ceiling for gross faults",
           once(DRIFT, lambda drift: drift.largest_per_text.max)),
    Metric("p99_of_largest_probability_drift", "probability drift, p99 of rows", PROBABILITY,
           "99th percentile over rows of each row's largest probability difference; gated from 299 rows",
           once(DRIFT, lambda drift: drift.largest_per_text.percentiles["p99"]), interval=Interval.QUANTILE),
    Metric("p95_of_largest_probability_drift", "probability drift, p95 of rows", PROBABILITY,
           "95th percentile over rows of each row's largest probability difference; gated from 59 rows",
           once(DRIFT, lambda drift: drift.largest_per_text.percentiles["p95"]), interval=Interval.QUANTILE),
    Metric("p90_of_largest_probability_drift", "probability drift, p90 of rows", PROBABILITY,
           "90th percentile over rows of each row's largest probability difference",
           once(DRIFT, lambda drift: drift.largest_per_text.percentiles["p90"]), interval=Interval.QUANTILE, decides=True),
    Metric("median_of_largest_probability_drift", "probability drift, median of rows", PROBABILITY,
           "median over rows of each row's largest probability difference",
           once(DRIFT, lambda drift: drift.largest_per_text.median), gated=False),
    Metric("mean_of_largest_probability_drift", "probability drift, mean of rows", PROBABILITY,
           "mean over rows of each row's largest probability difference",
           once(DRIFT, lambda drift: drift.largest_per_text.mean), interval=Interval.MEAN, decides=True),
    Metric("relative_logit_error", "logit error / spread of logits", SPREAD,
           "root mean square logit difference from the reference, relative to how far a label's logits are spread over the rows; "
           "differences that softmax ignores are left out",
           once(DRIFT, lambda drift: drift.relative_logit_error), interval=Interval.MEAN, decides=True),
    Metric("p90_of_largest_logit_drift", "logit drift, p90 of rows", LOGIT,
           "90th percentile over rows of each row's largest logit difference",
           once(DRIFT, lambda drift: drift.largest_logit_per_text.percentiles["p90"]), gated=False),
    Metric("p99_of_largest_logit_drift", "logit drift, p99 of rows", LOGIT,
           "99th percentile over rows of each row's largest logit difference",
           once(DRIFT, lambda drift: drift.largest_logit_per_text.percentiles["p99"]), gated=False),
    Metric("error_ratio_to_float32", "error / float32's own error", NOISE_FACTOR,
           "root mean square error against float64 logits, in multiples of the float32 reference's own",
           once(ERROR_RATIO, lambda error: error.ratio), interval=Interval.MEAN),
    Metric("flip_rate", "flips, share of decisions", SHARE,
           "share of label decisions that differ from the reference's",
           each_policy(FLIPS, lambda flips: flips.rate), by_policy=True, gated=False),
    Metric("row_flip_rate", "rows with a flip, share", SHARE,
           "share of rows of a multi-label head whose set of labels differs from the reference's",
           each_policy(FLIPS, lambda flips: flips.row_rate if flips.multi_label else None),
           by_policy=True, interval=Interval.SHARE),
    Metric("gained_labels", "labels gained", COUNT,
           "labels that the backend gives and the reference does not",
           each_policy(FLIPS, lambda flips: flips.gained), by_policy=True, gated=False),
    Metric("lost_labels", "labels lost", COUNT,
           "labels that the reference gives and the backend does not",
           each_policy(FLIPS, lambda flips: flips.lost), by_policy=True, gated=False),
    Metric("flip_asymmetry_p", "flip-asymmetry p-value", P_VALUE,
           "exact test that gained and lost labels are equally likely",
           each_policy(FLIPS, lambda flips: flips.asymmetry_p), by_policy=True, gated=False),
    Metric("predicted_flips", "flips predicted by margins", EXPECTED_COUNT,
           "flips expected if drift had nothing to do with how close a decision is",
           each_policy(MARGINS, lambda margins: margins.predicted_flips), by_policy=True, gated=False),
    Metric("decisions_at_risk", "decisions at risk", SHARE,
           "share of decisions closer to their threshold than 99% of logits move",
           each_policy(MARGINS, lambda margins: margins.at_risk), by_policy=True, gated=False),
    Metric("rows_with_a_flip", "rows with a flip", COUNT,
           "rows whose set of labels changed",
           each_policy(FLIPS, lambda flips: flips.rows), by_policy=True, gated=False),
    Metric("row_flip_rate_upper_limit", "rows with a flip, 95% limit", SHARE,
           "exact 95% upper limit of the share of rows with a flip",
           each_policy(FLIPS, lambda flips: flips.row_rate_upper_limit), by_policy=True, gated=False),
    Metric("negative_flips", "negative flips", COUNT,
           "decisions that were right and are wrong now",
           against_truth(lambda flips: flips.negative), by_policy=True, gated=False),
    Metric("positive_flips", "positive flips", COUNT,
           "decisions that were wrong and are right now",
           against_truth(lambda flips: flips.positive), by_policy=True, gated=False),
    Metric("labels_significantly_worse", "labels significantly worse", COUNT,
           "labels of 50 rows or more whose flips are significantly more often from right to wrong (Holm over labels)",
           against_truth(lambda flips: len(flips.significantly_worse)), by_policy=True, gated=False),
    Metric("largest_label_loss", "largest loss of a label", SHARE,
           "of labels of 50 rows or more, the largest share of rows that got wrong in one, less those that got right",
           against_truth(lambda flips: flips.largest_loss), by_policy=True, interval=Interval.MEAN),
    Metric("top1_disagreement", "top-1 disagreement", SHARE,
           "share of rows whose most probable label differs: the flips of a single-label head",
           once(AGREEMENT, lambda agreement: 1 - agreement.top1), interval=Interval.SHARE),
    Metric("top3_overlap", "top-3 overlap", SCORE,
           "mean overlap (Jaccard) of the three most probable labels",
           once(AGREEMENT, lambda agreement: agreement.top3_overlap), gated=False),
    Metric("rank_correlation", "rank correlation, mean", CORRELATION,
           "mean over rows of Kendall's tau-b of all labels",
           once(AGREEMENT, lambda agreement: agreement.rank_correlation_mean), gated=False),
    Metric("largest_prevalence_shift", "largest prevalence shift", PROBABILITY,
           "largest shift of a label's mean probability over the corpus: drift that has a direction",
           once(PREVALENCE, lambda shifts: next(iter(shifts.values())).largest_shift), interval=Interval.MEAN),
    Metric("predicted_label_ratio", "predicted labels / reference's", FACTOR,
           "how many labels the backend gives, relative to the reference",
           each_policy(PREVALENCE, lambda shift: shift.ratio), by_policy=True, gated=False),
    *(Metric(name, label, unit, f"{label} of the backend against the true labels", quality(name),
             by_policy=True, gated=False) for name, (label, unit) in _QUALITY.items()),
    *(Metric(f"{name}_loss", f"{label} loss", unit, f"{label} of the reference, less the backend's", loss(name),
             by_policy=True, interval=Interval.LOSS) for name, (label, unit) in _QUALITY.items()),
    Metric("rows_lost", "rows only the reference gets right", COUNT,
           "rows whose whole label set only the reference gets right",
           each_policy(SUBSET_ACCURACY, lambda change: change.lost), by_policy=True, gated=False),
    Metric("rows_gained", "rows only the backend gets right", COUNT,
           "rows whose whole label set only the backend gets right",
           each_policy(SUBSET_ACCURACY, lambda change: change.gained), by_policy=True, gated=False),
    Metric("mcnemar_p", "McNemar p-value", P_VALUE,
           "exact test of rows lost against rows gained",
           each_policy(SUBSET_ACCURACY, lambda change: change.mcnemar_p), by_policy=True, gated=False),
    Metric("brier", "Brier score", SCORE,
           "mean squared difference of probabilities and true labels",
           once(CALIBRATION, lambda both: both.backend.brier), gated=False),
    Metric("brier_increase", "Brier score increase", SCORE,
           "Brier score minus the reference's",
           once(CALIBRATION, lambda both: both.backend.brier - both.reference.brier), interval=Interval.MEAN),
    Metric("calibration_error", "expected calibration error", SCORE,
           "per label, over 15 bins of equal mass; the mean over labels",
           once(CALIBRATION, lambda both: both.backend.expected_calibration_error), gated=False),
    Metric("calibration_error_increase", "calibration error increase", SCORE,
           "expected calibration error minus the reference's",
           once(CALIBRATION,
                lambda both: both.backend.expected_calibration_error - both.reference.expected_calibration_error),
           interval=Interval.CALIBRATION),
    Metric("mean_of_largest_probability_drift_in_worst_slice", "probability drift in the worst slice", PROBABILITY,
           f"mean drift of the slice that drifts most, of those of {MIN_SLICE_ROWS} rows or more",
           once(SLICES, drift_in_worst_slice), interval=Interval.MEAN),
    Metric("mean_of_largest_probability_drift_on_long_texts", "probability drift on long texts", PROBABILITY,
           "mean drift of texts joined to a quarter, half or all of the encoder's limit, of the length that drifts most",
           once(LONG_TEXTS, lambda long_texts: long_texts.largest_mean)),
    *(Metric(f"{cause}_noise_max_abs_{kind}", f"{kind} change by {what}", unit,
             f"largest change of a {kind} by {what}, on a few rows of every length", noise(cause, kind))
      for cause, what in _CAUSES.items() for kind, unit in (("logit", LOGIT), ("probability", PROBABILITY))),
    *(metric for pair in CHANGES.values() for metric in pair),
    Metric("max_abs_probability_movement", "largest movement since the baseline", PROBABILITY,
           "largest probability difference from the backend's own answers in the accuracy baseline",
           once(MOVEMENT, lambda movement: movement.backend), gated=False),
    Metric("p90_of_largest_probability_movement", "movement since the baseline, p90 of rows", PROBABILITY,
           "90th percentile over rows of each row's largest probability difference from the accuracy baseline",
           once(MOVEMENT, lambda movement: movement.p90_backend), interval=Interval.QUANTILE, decides=True),
    Metric("mean_of_largest_probability_movement", "mean movement since the baseline", PROBABILITY,
           "mean over rows of each row's largest probability difference from the accuracy baseline",
           once(MOVEMENT, lambda movement: movement.mean_backend), interval=Interval.MEAN, decides=True),
    *SCORE_METRICS,
    Metric("best_ratio_to_torch", "best block, speedup vs torch", FACTOR,
           "speed relative to torch in the best of several alternating blocks", at_most=False, suite="benchmarks"),
    Metric("bytes_to_float32_parameters", "weights / float32 parameters", FACTOR,
           "bytes of the graph's constants, relative to the encoder's parameters in float32", suite="benchmarks"),
    Metric("leaked_bytes_per_thousand_runs", "memory growth per thousand runs", BYTES,
           "slope of resident memory over many shapes, in a process of its own", suite="benchmarks"),
)
# fmt: on

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""Every metric by its name, in the order in which tables show them."""

BOUNDED: Mapping[str, Metric] = {name: metric for metric in _ALL if metric.gated for name in metric.bound_names}
"""Every gated metric, by the names that bounds files may give limits for."""

ANY_UNIT = BYTES
"""Of a metric that a suite of one's own asks for."""


def gated_in(part: Part[Any]) -> list[Metric]:
    """The metrics of a part that are held to bounds."""
    return [metric for metric in _ALL if metric.gated and metric.source and metric.source.part == part]
