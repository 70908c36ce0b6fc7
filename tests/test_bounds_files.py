"""The bounds that the repository's own suites are held to."""

from pathlib import Path

import pytest

from driftgate.backends import PRECISION_CLASSES, REGISTRY, Invariance, Precision
from driftgate.judge.bounds import Bound, find_bound, load_bounds
from driftgate.pipeline import bounds_keys
from driftgate.run.device import Device, RunSettings

ROOT = Path(__file__).parents[1]
POLICIES = ("at_0_5", "at_thresholds")
KINDS = ("logit", "probability")
QUALITY = ("micro_f1", "macro_f1", "macro_f1_supported", "subset_accuracy", "mcc")
GATED = {
    "accuracy": (
        *(f"max_abs_{kind}_change_{invariance.replace('-', '_')}" for invariance in Invariance for kind in KINDS),
        *(f"max_abs_{kind}_drift_on_generated_text" for kind in KINDS),
        "max_abs_logit_drift",
        "max_abs_probability_drift",
        "p99_of_largest_probability_drift",
        "mean_of_largest_probability_drift",
        *(f"flip_rate_{policy}" for policy in POLICIES),
        *(f"{metric}_loss_upper_limit_{policy}" for metric in QUALITY for policy in POLICIES),
        *(f"labels_significantly_worse_{policy}" for policy in POLICIES),
        *(f"{cause}_noise_max_abs_{kind}" for cause in ("batch", "padding") for kind in KINDS),
        "error_ratio_to_float32",
        "mean_of_largest_probability_drift_in_worst_slice",
        "top1_disagreement",
        "largest_prevalence_shift",
        "brier_increase",
        "calibration_error_increase",
        "max_abs_probability_movement",
        "mean_of_largest_probability_movement",
    ),
    "benchmarks": ("best_ratio_to_torch", "bytes_to_float32_parameters", "leaked_bytes_per_thousand_runs"),
}
CELLS = [pytest.param(suite, metric, id=f"{suite}-{metric}") for suite, metrics in GATED.items() for metric in metrics]
SUITES = pytest.mark.parametrize("suite", list(GATED))


def bounds_of(suite: str) -> dict[tuple[str, str], Bound]:
    return load_bounds(ROOT / suite / "bounds.toml")


@SUITES
def test_bounds_file_loads(suite: str) -> None:
    assert bounds_of(suite)


@pytest.mark.parametrize("precision", PRECISION_CLASSES, ids=str)
@pytest.mark.parametrize(("suite", "metric"), CELLS)
def test_every_class_has_every_gated_metric(suite: str, metric: str, precision: Precision) -> None:
    assert find_bound(bounds_of(suite), (str(precision),), metric).metric == metric


@SUITES
def test_every_bound_is_for_a_metric_that_is_gated(suite: str) -> None:
    assert {metric for _, metric in bounds_of(suite)} <= set(GATED[suite])


@SUITES
def test_every_bound_is_for_a_backend_or_class_that_is_looked_up(suite: str) -> None:
    devices = [RunSettings(threads=1, device=Device(kind)) for kind in ("cpu", "cuda")]
    keys = {key for spec in REGISTRY.values() for settings in devices for key in bounds_keys(spec, settings)}
    keys |= {key for precision in PRECISION_CLASSES for key in (precision, f"{precision}-cpu", f"{precision}-cuda")}
    assert {key for key, _ in bounds_of(suite)} <= keys


@SUITES
def test_every_bound_gives_a_reason_of_more_than_twenty_characters(suite: str) -> None:
    short = [
        f"[{key}.{metric}]: {bound.reason!r}"
        for (key, metric), bound in bounds_of(suite).items()
        if len(bound.reason) <= 20
    ]
    assert not short


@pytest.mark.parametrize("precision", PRECISION_CLASSES, ids=str)
def test_drift_bounds_of_a_class_are_ordered_mean_p99_largest(precision: Precision) -> None:
    """A looser mean than maximum could never fail."""
    bounds = bounds_of("accuracy")
    names = [f"{part}_probability_drift" for part in ("mean_of_largest", "p99_of_largest", "max_abs")]
    limits = [find_bound(bounds, (str(precision),), name).limit for name in names]
    assert limits == sorted(limits)
