"""Beyond the one-line table: the figures of model cards with their intervals, and the judge's output in full."""

from collections.abc import Callable
from functools import partial

from rich import box
from rich.table import Table

from driftgate.judge.bootstrap import PairedLoss
from driftgate.judge.equivalence import MARGIN, judge_equivalence
from driftgate.judge.slices import MIN_ROWS
from driftgate.judge.subset_accuracy import SubsetAccuracyChange
from driftgate.report.record import BackendResults, Results
from driftgate.report.terminal import render

_WIDTH = 190
_METRIC_WIDTH, _COLUMN_WIDTH = 45, 30
_DETAILS: dict[str, Callable[[BackendResults], str]] = {
    "largest logit drift": lambda entry: f"{entry.drift['max_abs_logit']:.1e}",
    "p50, p99, p99.9 of largest per text": lambda entry: " ".join(
        f"{entry.drift['largest_logit_per_text']['percentiles'][share]:.1e}" for share in ("p50", "p99", "p99.9")
    ),
    "the same in probability": lambda entry: " ".join(
        f"{entry.drift['largest_per_text']['percentiles'][share]:.1e}" for share in ("p50", "p99", "p99.9")
    ),
    "error / float32's own error": lambda entry: f"{entry.error_ratio['ratio']:.3g}",
    **{
        f"{what} {policy}": partial(read, policy)
        for policy in ("at 0.5", "at thresholds")
        for what, read in {
            "flips, to yes + to no": lambda policy, entry: (
                f"{entry.flips[policy]['total']}, {entry.flips[policy]['gained']} + {entry.flips[policy]['lost']}"
            ),
            "p of a direction": lambda policy, entry: f"{entry.flips[policy]['asymmetry_p']:.2g}",
            "flips predicted by margins": lambda policy, entry: f"{entry.margins[policy]['predicted_flips']:.1f}",
            "decisions at risk": lambda policy, entry: f"{entry.margins[policy]['at_risk']:.2%}",
            "rows changed, 95% limit": lambda policy, entry: (
                f"{entry.flips[policy]['rows']}, {entry.flips[policy]['row_rate_upper_limit']:.2%}"
            ),
            "flips to wrong + to right": lambda policy, entry: (
                f"{entry.flips[policy]['against_truth']['negative']} + {entry.flips[policy]['against_truth']['positive']}"
            ),
            "labels significantly worse": lambda policy, entry: (
                ", ".join(entry.flips[policy]["against_truth"]["significantly_worse"]) or "none"
            ),
            "predicted yes / reference's": lambda policy, entry: f"{entry.prevalence[policy]['ratio']:.4f}",
            "rows lost + gained, McNemar p": lambda policy, entry: (
                f"{entry.subset_accuracy[policy]['lost']} + {entry.subset_accuracy[policy]['gained']}, "
                f"{entry.subset_accuracy[policy]['mcnemar_p']:.2g}"
            ),
        }.items()
    },
    "top-1 agreement": lambda entry: f"{entry.agreement['top1']:.4f}",
    "top-3 overlap": lambda entry: f"{entry.agreement['top3_overlap']:.4f}",
    "rank correlation, mean": lambda entry: f"{entry.agreement['rank_correlation_mean']:.4f}",
    "largest shift of a label's mean": lambda entry: f"{entry.prevalence['at 0.5']['largest_shift']:.1e}",
    "Brier score": lambda entry: f"{entry.calibration['brier']:.5f}",
    "expected calibration error": lambda entry: f"{entry.calibration['expected_calibration_error']:.5f}",
    "largest change by batch mates": lambda entry: f"{entry.noise['batch']['max_abs_probability']:.1e}",
    "largest change by padding": lambda entry: f"{entry.noise['padding']['max_abs_probability']:.1e}",
    "worst slice": lambda entry: _worst_slice(entry),  # noqa: PLW0108 - defined below
}
_CARD_METRICS = ("subset_accuracy", "macro_precision", "macro_recall", "macro_f1")
_CLAIMS = (
    "accuracy: the whole label set is right; precision, recall, F1: means over labels; "
    "seen from: the F1 loss shown with 80% power"
)


def render_claims(results: Results, width: int) -> str:
    """What model cards claim, for every backend and decision policy, and whether "almost identical" holds; "" if unlabelled."""
    table = Table(box=box.SIMPLE_HEAD, title=_CLAIMS, title_justify="left", pad_edge=False)
    table.add_column("backend", no_wrap=True)
    table.add_column("decisions", no_wrap=True)
    for heading in ("accuracy", "precision", "recall", "F1", "F1 loss [90%]", "seen from"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(f"almost identical (+-{MARGIN})", no_wrap=True)
    for name, entry in results.backends.items():
        for policy, quality in entry.quality.items():
            table.add_row(
                name,
                policy,
                *(f"{quality[metric]:.4f}" for metric in _CARD_METRICS),
                *_loss_cells(entry, policy),
            )
    return render(table, max(width, _WIDTH)) if table.row_count else ""


def _loss_cells(entry: BackendResults, policy: str) -> list[str]:
    losses = entry.losses.get(policy, {})
    if not losses:  # the reference itself
        return ["-", "-", "-"]
    macro = losses["macro_f1"]
    loss = f"{macro['loss']:+.4f} [{macro['low']:+.4f}, {macro['high']:+.4f}]"
    records = {name: PairedLoss(**loss) for name, loss in losses.items()}
    return [
        loss,
        f"{macro['detectable']:.4f}",
        judge_equivalence(SubsetAccuracyChange(**entry.subset_accuracy[policy]), records),
    ]


def render_details(results: Results, width: int) -> str:
    """One column a backend: everything the accuracy suite measured beyond the first table."""
    judged = {name: entry for name, entry in results.backends.items() if entry.drift}
    if not judged:
        return ""
    table = Table(box=box.SIMPLE_HEAD, title="the judge in detail", title_justify="left", pad_edge=False)
    table.add_column("metric", no_wrap=True)
    for name in judged:
        table.add_column(name, justify="right", no_wrap=True)
    for heading, read in _DETAILS.items():
        table.add_row(heading, *(_detail(read, entry) for entry in judged.values()))
    return render(table, max(width, _WIDTH, _METRIC_WIDTH + _COLUMN_WIDTH * len(judged)))


def _detail(read: Callable[[BackendResults], str], entry: BackendResults) -> str:
    try:
        return read(entry)
    except (KeyError, TypeError):  # not measured: no labels, one label, or the test was not selected
        return "-"


def _worst_slice(entry: BackendResults) -> str:
    large = {name: found for name, found in entry.slices.items() if found["rows"] >= MIN_ROWS}
    if not large:
        return "-"
    name = max(large, key=lambda name: large[name]["mean_of_largest"])
    return f"{large[name]['mean_of_largest']:.1e} {name}"
