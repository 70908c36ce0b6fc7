"""`docs/gate-results.md` and the ROC plot, from what `report.py` found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parameters import SIGNS_CONFIDENCE

from driftgate.results.markdown import table as render_table

_HEAD = """# The speed gate, measured

Written by `python studies/gate/report.py`; parameters were fixed before, in `studies/gate/parameters.py`. Two kinds of
runs, never added up: *replayed* runs are the gate's judge on disjoint blocks of recorded rounds; *live* runs load, time and
judge by themselves. A share is followed by its interval, {confidence:.0%}: of replayed runs, which depend on their
neighbours, the wider of Clopper and Pearson's and a bootstrap of whole minutes, at each end.

A replayed run is one backend with two cells, 32 texts alone and by twos, timed as the gate times them. It begins with the
round after that which decided the one before. *Multiplied*: the rounds are those of equal artifacts, the candidate's times
are multiplied. *Real work*: its graph has an extra product. *Spread*: of a round's log ratio; that it is the same for both is
what the promise for slowdowns assumes.

"""
_SIGNS = """### Signs of equal artifacts

In how many rounds the second of two equal artifacts was slower: {confidence:.0%} intervals that hold for all cells of this
table together. Noise in shares of a time: of a round's ratio (by the median absolute deviation, and plain), of a pair's
within its loads, of what a load favours its side with, and how much slower second turns are.

"""


def write_document(results: Mapping[str, Any], path: Path) -> None:
    """All tables."""
    parts = [_HEAD.format(confidence=results["confidence"])]
    parts += [_describe_recording(recording) for recording in results["recordings"]]
    if results["live"]:
        header = [
            "condition",
            "cells",
            "variant",
            "runs",
            "failed",
            "passed",
            "not measurable",
            "verdicts",
            "s",
            "most s",
        ]
        parts.append(f"## Live runs\n\n{table(header, [_live_row(row) for row in results['live']])}\n\n")
    parts.append("![Runs failed at 2% against runs failed at 10%, as alpha moves](gate-roc.svg)\n")
    path.write_text("".join(parts), encoding="utf-8")


def _describe_recording(recording: Mapping[str, Any]) -> str:
    about = recording["about"]
    environment = about["environment"]
    signs = [
        "backend",
        "cell",
        "rounds",
        "slower",
        "interval",
        "median",
        "round",
        "plain",
        "pair",
        "load",
        "second turn",
    ]
    runs = ["backend", "slowdown", "measured", "spread", "runs", "failed", "not measurable", "rounds", "s", "s, 95%"]
    cells = ["backend", "slowdown", "cell", "REGRESSION", "PASS", "NOT MEASURABLE"]
    sign_rule = ["backend", "slowdown", "runs", "failed", "not measurable", "rounds"]
    machines = " and ".join(recording["machines"])
    took = f"{recording['seconds'] / 60:.0f} minutes in {recording['sittings']} sittings"
    sections = [
        f"## {about['condition'].capitalize()}\n\n{took}; {machines}; onnxruntime {environment['versions'].get('onnxruntime')}.",
        _SIGNS.format(confidence=SIGNS_CONFIDENCE) + table(signs, [_signs_row(row) for row in recording["census"]]),
        "### Replayed runs\n\n" + table(runs, [_runs_row(row) for row in recording["replayed"]]),
        "### Their cells\n\n"
        + table(cells, [row for replayed in recording["replayed"] for row in _cell_rows(replayed)]),
        "### By the rule that came before\n\nSigns of rounds alone, on the same rounds.\n\n"
        + table(sign_rule, [_sign_rule_row(row) for row in recording["replayed by signs"]]),
    ]
    return "\n\n".join(sections) + "\n\n"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As text, to be joined with text."""
    return str(render_table(headings, rows))


def _signs_row(row: Mapping[str, Any]) -> list[str]:
    return [
        row["backend"],
        row["cell"],
        str(row["rounds"]),
        f"{row['positive'] / row['rounds']:.1%}",
        f"{row['low']:.1%} to {row['high']:.1%}",
        f"{row['median']:+.2%}",
        *(f"{row[name]:.1%}" for name in ("round", "round_sd", "pair", "load")),
        f"{row['second']:+.2%} ± {row['second_error']:.2%}",
    ]


def _share(found: Mapping[str, Any]) -> str:
    return f"{found['count']} ({found['count'] / found['of']:.1%} [{found['low']:.1%}, {found['high']:.1%}])"


def _slowdown(row: Mapping[str, Any]) -> str:
    return f"{row['slowdown']:.0%}, {row['how']}"


def _runs_row(row: Mapping[str, Any]) -> list[str]:
    runs = row["runs"]
    ratios = [f"{row['measured']:+.1%}", f"{row['spread']:.1%}"] if "measured" in row else ["", ""]
    cost = ["", "", ""]
    if "rounds_median" in row:
        cost = [f"{row['rounds_median']:.0f}", f"{row['seconds_median']:.1f}", f"{row['seconds_p95']:.1f}"]
    shares = [_share(runs["regression"]), _share(runs["not measurable"])]
    return [row["backend"], _slowdown(row), *ratios, str(runs["pass"]["of"]), *shares, *cost]


def _cell_rows(row: Mapping[str, Any]) -> list[list[str]]:
    return [
        [row["backend"], _slowdown(row), cell, *map(_share, verdicts.values())]
        for cell, verdicts in row["cells"].items()
    ]


def _sign_rule_row(row: Mapping[str, Any]) -> list[str]:
    runs = row["runs"]
    shares = [_share(runs[name]) for name in ("regression", "not measurable")]
    rounds = f"{row['rounds_median']:.0f}" if "rounds_median" in row else ""
    return [row["backend"], _slowdown(row), str(runs["pass"]["of"]), *shares, rounds]


def _live_row(row: Mapping[str, Any]) -> list[str]:
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in row["verdicts"].items())
    return [
        row["condition"],
        str(row["cells"]),
        row["variant"],
        str(row["runs"]["pass"]["of"]),
        *(_share(row["runs"][name]) for name in ("regression", "pass", "not measurable")),
        verdicts,
        f"{row['seconds_median']:.1f}",
        f"{row['seconds_most']:.1f}",
    ]


def draw_roc(results: Mapping[str, Any], path: Path) -> None:
    """One panel a recording; the points are those of `alpha`. Needs `driftgate[plots]`."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "gate"  # the same file from the same data
    from matplotlib import pyplot as plt

    panels: Sequence[Mapping[str, Any]] = results["recordings"]
    figure, axes = plt.subplots(1, len(panels), figsize=(5.5 * len(panels), 5), squeeze=False)
    for axis, recording in zip(axes[0], panels, strict=True):
        for name, label in (("sweep", "bets"), ("sweep by signs", "signs")):
            sides = ([point[slowdown] for point in recording[name]] for slowdown in ("0.02", "0.1"))
            axis.plot(*sides, ".-", label=label)
        axis.set(title=recording["about"]["condition"], xlabel="runs failed at 2% slower", xlim=(-0.02, 1.02))
        axis.set(ylabel="runs failed at 10% slower", ylim=(-0.02, 1.02))
    axes[0][-1].legend(fontsize="small", loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
