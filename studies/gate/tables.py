"""`docs/gate-results.md` and the ROC plot, from what `report.py` found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_HEAD = """# The speed gate, measured

Written by `python studies/gate/report.py`; parameters were fixed before, in `studies/gate/parameters.py`. Two kinds of runs,
never added up: *replayed* runs are the gate's judge on disjoint blocks of recorded rounds; *live* runs load, time and judge by
themselves. Intervals are Clopper-Pearson, {confidence:.0%}.

A run is one backend with two cells (one text; two texts), so that many fit into a recording: the schedule is the gate's, but
turns are shorter than those of its 32 texts, and so noisier. Replayed runs follow each other: one begins with the round after
that which decided the one before, and may reach into a part recorded later.

"""
_RUNS = """| backend | variant | reached | runs | REGRESSION | PASS | NOT MEASURABLE | rounds | s | s, 95% |
|---|---|---|---|---|---|---|---|---|---|
"""
_NOISE = """### Noise

Shares of a call's time. Call: its spread by the median absolute deviation, and plain. Correlation: of both times of a pair. Pair
in a load: spread of a pair's ratio between two fixed loads. Load: what a fresh load favours its side with. Second turn, and first
turn after another session's: how much slower, plus or minus one standard error, after the untimed turn that goes before each.

"""
_STOCK_HEAD = """
### Stock rules on the same rounds

{} rounds a run. Beside: baseline times of the same rounds. Stored: of the rounds before, about a minute older. A run fails
where a cell does.

| rule | baseline | false alarms | found at 3% | 5% | 7% | 10% | 15% | 20% |
|---|---|---|---|---|---|---|---|---|
"""
_CENSUS = """| backend | cell | pairs | loads | call | plain | correlation | pair in a load | load | second turn | after another |
|---|---|---|---|---|---|---|---|---|---|---|
"""
_SHOWN = ("same", *(f"slower {share}%" for share in (3, 5, 7, 10, 15, 20)))


def write_document(results: dict[str, Any], path: Path) -> None:
    """All tables."""
    lines = [_HEAD.format(**results)]
    for recording in results["recordings"]:
        lines += _describe_recording(recording, results["stock_rounds"])
    if results["live"]:
        lines.append(
            "## Live runs\n\n| condition | variant | runs | REGRESSION | PASS | NOT MEASURABLE | seconds | 95% |\n"
        )
        lines.append("|---|---|---|---|---|---|---|---|\n")
        lines += [_live_row(row) for row in results["live"]]
    if results["wide"]:
        lines.append(
            "\n## Twenty cells, live\n\n| condition | variant | exit code | seconds | verdicts | slowdowns |\n"
        )
        lines.append("|---|---|---|---|---|---|\n")
        lines += [_wide_row(row) for row in results["wide"]]
    lines.append(
        "\n![False alarms against slowdowns of 10% found, for every rule as its threshold moves](gate-roc.svg)\n"
    )
    path.write_text("".join(lines), encoding="utf-8")


def _describe_recording(recording: dict[str, Any], stock_rounds: int) -> list[str]:
    about = recording["about"]
    environment = about["environment"]
    rounds = ", ".join(f"{count} rounds of {backend}" for backend, count in recording["rounds"].items())
    runtime = f"onnxruntime {environment['versions'].get('onnxruntime')}"
    machine = f"{environment['cpu']}, {environment['usable_cores']} cores, {runtime}"
    return [
        f"## {about['condition'].capitalize()}\n\n{rounds} in {recording['seconds'] / 60:.1f} minutes; {machine}.\n\n",
        _NOISE,
        _CENSUS,
        *map(_census_row, recording["census"]),
        "\n### Replayed runs\n\n`controls`: one-cell runs of a second load of the baseline, which no control can void.\n\n",
        _RUNS,
        *map(_run_row, recording["replayed"]),
        _STOCK_HEAD.format(stock_rounds),
        *_stock_rows(recording["stock"]),
        "\n",
    ]


def _census_row(row: dict[str, Any]) -> str:
    shares = " | ".join(f"{row[name]:.1%}" for name in ("call", "call_sd"))
    effects = " | ".join(f"{row[name]:+.2%} ± {row[f'{name}_error']:.2%}" for name in ("second", "after_another"))
    return (
        f"| {row['backend']} | {row['cell']} | {row['pairs']} | {row['loads']} | {shares} | {row['within_pair']:.2f} | "
        f"{row['pair']:.1%} | {row['load']:.1%} | {effects} |\n"
    )


def _share(count: int, runs: int, low: float, high: float) -> str:
    return f"{count} ({count / runs:.1%} [{low:.1%}, {high:.1%}])"


def _counts(row: dict[str, Any]) -> str:
    failed = _share(row["regression"], row["runs"], row["regression_low"], row["regression_high"])
    return f"{row['runs']} | {failed} | {row['pass']} | {row['not_measurable']}"


def _seconds(row: dict[str, Any]) -> str:
    return f"{row['seconds_median']:.1f} | {row['seconds_p95']:.1f}"


def _run_row(row: dict[str, Any]) -> str:
    reached = f"{row['slowdown']:+.1%}" if "slowdown" in row else ""
    rounds = f"{row['rounds_median']:.0f}" if "rounds_median" in row else ""
    return f"| {row['backend']} | {row['variant']} | {reached} | {_counts(row)} | {rounds} | {_seconds(row)} |\n"


def _live_row(row: dict[str, Any]) -> str:
    return f"| {row['condition']} | {row['variant']} | {_counts(row)} | {_seconds(row)} |\n"


def _wide_row(row: dict[str, Any]) -> str:
    said = [cell["verdict"] for cell in row["cells"].values()]
    verdicts = ", ".join(f"{said.count(verdict)} {verdict}" for verdict in dict.fromkeys(said))
    slowdowns = [cell["slowdown"] for cell in row["cells"].values() if cell["slowdown"] is not None]
    spread = f"{min(slowdowns):+.1%} to {max(slowdowns):+.1%}" if slowdowns else ""
    return f"| {row['condition']} | {row['variant']} | {row['code']} | {row['seconds']:.0f} | {verdicts} | {spread} |\n"


def _stock_rows(rows: Sequence[dict[str, Any]]) -> list[str]:
    found = {(row["rule"], row["stored"], row["variant"]): row for row in rows}
    lines = []
    for name, stored in dict.fromkeys((row["rule"], row["stored"]) for row in rows):
        own = [found.get((name, stored, variant)) for variant in _SHOWN]
        shares = [_share(row["failed"], row["runs"], row["low"], row["high"]) if row else "" for row in own]
        lines.append(f"| {name} | {'stored' if stored else 'beside'} | {' | '.join(shares)} |\n")
    return lines


def roc_points(same: Sequence[float], slower: Sequence[float]) -> list[tuple[float, float]]:
    """Share of runs that fail without a change, and with one, at every threshold there is, the strictest first."""
    thresholds = sorted({*same, *slower}, reverse=True)
    shares = [tuple(float(np.mean(np.array(scores) >= least)) for scores in (same, slower)) for least in thresholds]
    return [(0.0, 0.0), *((alarms, found) for alarms, found in shares), (1.0, 1.0)]


def draw_roc(results: dict[str, Any], path: Path) -> None:
    """One panel a recording; the gate's own points are those of its `alpha`. Needs `driftgate[plots]`."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "gate"  # the same file from the same data
    from matplotlib import pyplot as plt

    panels = results["recordings"]
    figure, axes = plt.subplots(1, len(panels), figsize=(5.5 * len(panels), 5), squeeze=False)
    for axis, recording in zip(axes[0], panels, strict=True):
        scores = {(row["rule"], row["stored"], row["variant"]): row["scores"] for row in recording["stock"]}
        for (name, stored, variant), same in scores.items():
            slower = scores.get((name, stored, "slower 10%"))
            # mean:5% and mean:10% are two points of one curve.
            if variant == "same" and slower and name != "mean:10%":
                label = f"{name.split(':')[0]}, {'stored' if stored else 'beside'}"
                axis.plot(*zip(*roc_points(same, slower), strict=True), label=label, linestyle=":" if stored else "-")
        swept = recording["sweep"]
        sides = ([point[name] for point in swept] for name in ("false_alarms", "detected"))
        axis.plot(*sides, "k.-", label="driftgate, replayed")
        axis.set(title=recording["about"]["condition"], xlabel="runs failed without a change", xlim=(-0.02, 1.02))
        axis.set(ylabel="runs failed at 10% slower", ylim=(-0.02, 1.02))
    axes[0][-1].legend(fontsize="small", loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
