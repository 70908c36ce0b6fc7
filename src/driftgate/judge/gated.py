"""Every metric that the suites hold to bounds, and which limits mean anything for it.

A bound for any other metric is read by nobody: files of bounds are checked against this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """The limits that a bound may have: from 0 to `largest`, which no value can exceed or which is beyond any measure."""

    largest: float
    at_most: bool = True


_SHARE, _COUNT, _LOGIT, _RATIO, _BYTES = Range(1.0), Range(1e6), Range(1e4), Range(1e9), Range(1e12)
_KINDS = {"logit": _LOGIT, "probability": _SHARE}
_POLICIES = ("at_0_5", "at_thresholds")
_INVARIANCES = ("repeat", "order", "duplicates", "composition", "padding", "padding_side", "masked_content")
# Matthews correlation goes from -1 to 1.
_QUALITY = {
    **dict.fromkeys(("micro_f1", "macro_f1", "macro_f1_supported", "subset_accuracy"), _SHARE),
    "mcc": Range(2.0),
}

GATED: Mapping[str, Mapping[str, Range]] = {
    "accuracy": {
        **{f"max_abs_{kind}_change_{change}": own for change in _INVARIANCES for kind, own in _KINDS.items()},
        **{f"max_abs_{kind}_drift_on_generated_text": own for kind, own in _KINDS.items()},
        **{f"max_abs_{kind}_drift": own for kind, own in _KINDS.items()},
        **{f"{cause}_noise_max_abs_{kind}": own for cause in ("batch", "padding") for kind, own in _KINDS.items()},
        **{f"{name}_loss_upper_limit_{policy}": own for name, own in _QUALITY.items() for policy in _POLICIES},
        **{f"flip_rate_{policy}": _SHARE for policy in _POLICIES},
        **{f"labels_significantly_worse_{policy}": _COUNT for policy in _POLICIES},
        **dict.fromkeys(
            (
                "p99_of_largest_probability_drift",
                "mean_of_largest_probability_drift",
                "mean_of_largest_probability_drift_in_worst_slice",
                "max_abs_probability_movement",
                "mean_of_largest_probability_movement",
                "top1_disagreement",
                "largest_prevalence_shift",
                "brier_increase",
                "calibration_error_increase",
            ),
            _SHARE,
        ),
        "error_ratio_to_float32": _RATIO,
    },
    "benchmarks": {
        "best_ratio_to_torch": Range(1e4, at_most=False),
        "bytes_to_float32_parameters": Range(1e4),
        "leaked_bytes_per_thousand_runs": _BYTES,
    },
}
"""By suite and metric."""

METRICS: Mapping[str, Range] = {name: own for suite in GATED.values() for name, own in suite.items()}

UNKNOWN = _BYTES
"""Of a metric that a suite of one's own asks for."""
