"""Say what the recordings show: `python studies/gate/report.py recordings/*.npz recordings/*.json`.

Recordings of the same condition are joined. Writes `results.json` beside this file, `docs/gate-results.md` and
`docs/gate-roc.svg`.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
sys.path.insert(0, str(HERE))

from census import count_signs, take_census  # noqa: E402
from parameters import CONFIDENCE, INJECTED, MOST_ROUNDS, MULTIPLIED, ROC_ALPHAS, RULE, SAME  # noqa: E402
from recording import Recording, Run, load_recording, replay, slow_down, timed_of  # noqa: E402
from sign_test import decide  # noqa: E402
from tables import draw_roc, write_document  # noqa: E402

from driftgate.gate.rule import SpeedRule, Verdict  # noqa: E402
from driftgate.gate.sequential import robust_spread  # noqa: E402
from driftgate.gate.verdicts import TimedRun  # noqa: E402
from driftgate.judge.confidence.counted_limits import clopper_pearson  # noqa: E402

RESAMPLES = 2000
Replay = Callable[[TimedRun, SpeedRule], list[Run]]


def share(flags: Sequence[bool], blocks: Sequence[object]) -> dict[str, float]:
    """How many of them, with an interval for what depends on its neighbours: the wider of Clopper and Pearson's and a
    bootstrap of whole blocks, at each end.

    Args:
        blocks: of each, the stretch of the recording that it began in.
    """
    exact = clopper_pearson(sum(flags), len(flags), CONFIDENCE)
    by_block: defaultdict[object, list[bool]] = defaultdict(list)
    for flag, block in zip(flags, blocks, strict=True):
        by_block[block].append(flag)
    counts = np.array([(sum(own), len(own)) for own in by_block.values()])
    drawn = np.random.default_rng(0).integers(len(counts), size=(RESAMPLES, len(counts)))
    sums = counts[drawn].sum(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [tail, 1 - tail])
    return {"count": sum(flags), "of": len(flags), "low": min(exact.low, low), "high": max(exact.high, high)}


def tabulate(recording: Recording, how: Replay = replay) -> list[dict[str, Any]]:
    """What the gate would have said of every slowdown, by backend: of runs, and of each of their cells; of runs of all
    backends together besides.
    """
    rows = []
    together: defaultdict[tuple[str, float], list[tuple[object, Run]]] = defaultdict(list)
    for backend in recording.pairs:
        series = {name: timed_of(pairs) for name, pairs in recording.contests(backend).items()}
        equal = [timed for name, timed in series.items() if name.split("#")[0] == SAME]
        cases = [("multiplied", slowdown, [slow_down(timed, slowdown) for timed in equal]) for slowdown in MULTIPLIED]
        for variant, slowdown in INJECTED.items():
            own = [timed for name, timed in series.items() if name.split("#")[0] == variant]
            cases += [("real work", slowdown, own)] if own else []
        for kind, slowdown, own_series in cases:
            found = [
                ((backend, recording.block_of(backend, run.start)), run)
                for timed in own_series
                for run in how(timed, RULE)
            ]
            if not found:  # fewer rounds than one run may take
                continue
            together[kind, slowdown] += found
            described = describe_runs(recording, backend, own_series, found)
            rows.append({"backend": backend, "how": kind, "slowdown": slowdown, **described})
    for (kind, slowdown), found in together.items():
        rows.append({"backend": "all", "how": kind, "slowdown": slowdown, "runs": count_runs(found), "cells": {}})
    return rows


def count_runs(found: Sequence[tuple[object, Run]]) -> dict[str, Any]:
    """Shares of exit codes of replayed runs, each with the block it began in."""
    blocks = [block for block, _ in found]
    return {name: share([run.code == code for _, run in found], blocks) for name, code in _CODES.items()}


def describe_runs(
    recording: Recording, backend: str, series: Sequence[TimedRun], found: Sequence[tuple[object, Run]]
) -> dict[str, Any]:
    """Shares of exit codes and of verdicts by cell, rounds and seconds, of all runs replayed from the rounds of `series`."""
    runs = [run for _, run in found]
    cost = recording.seconds_a_round(backend)
    seconds = [run.rounds * cost for run in runs]
    cells: defaultdict[str, list[tuple[object, Verdict]]] = defaultdict(list)
    for block, run in found:
        for cell, verdict in run.verdicts.items():
            cells[cell.split("/")[1]].append((block, verdict))
    ratios = [timed.ratios_of(cell) for timed in series for cell in timed.backends]
    return {
        "measured": float(np.expm1(np.mean([np.median(own) for own in ratios]))),
        "spread": float(np.mean([robust_spread(own) for own in ratios])),
        "runs": count_runs(found),
        "cells": {
            cell: {
                str(verdict): share([own is verdict for _, own in verdicts], [block for block, _ in verdicts])
                for verdict in (Verdict.REGRESSION, Verdict.PASS, Verdict.NOT_MEASURABLE)
            }
            for cell, verdicts in sorted(cells.items())
        },
        "rounds_median": float(np.median([run.rounds for run in runs])),
        "seconds_median": float(np.median(seconds)),
        "seconds_p95": float(np.quantile(seconds, 0.95)),
    }


_CODES = {"regression": 1, "pass": 0, "not measurable": 7}


def replay_signs(timed: TimedRun, rule: SpeedRule) -> list[Run]:
    """The same by the rule that came before."""
    runs, start = [], 0
    while len(timed.rounds) - start >= MOST_ROUNDS:
        block = replace(timed, rounds=timed.rounds[start : start + MOST_ROUNDS])
        decided = decide(block, rule)
        rounds = max(rounds for _, rounds in decided.values())
        runs.append(Run(start, rounds, {cell: verdict for cell, (verdict, _) in decided.items()}))
        start += rounds
    return runs


def sweep(recording: Recording, how: Replay) -> list[dict[str, float]]:
    """Shares of replayed runs that fail at each of the slowdowns, for every `alpha` of the parameters, over all backends."""
    equal = [
        timed_of(pairs)
        for backend in recording.pairs
        for name, pairs in recording.contests(backend).items()
        if name.split("#")[0] == SAME
    ]
    points = []
    for alpha in ROC_ALPHAS:
        rule = replace(RULE, alpha=alpha)
        shares = {}
        for slowdown in (0.02, 0.10):
            runs = [run for timed in equal for run in how(slow_down(timed, slowdown), rule)]
            shares[f"{slowdown:g}"] = float(np.mean([run.code == 1 for run in runs]))
            shares[f"{slowdown:g} rounds"] = float(np.mean([run.rounds for run in runs]))
        points.append({"alpha": alpha, **shares})
    return points


def census_of(recording: Recording) -> list[dict[str, Any]]:
    """Signs and noise of every backend and cell, and of the control, on equal artifacts."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for backend, pairs in recording.pairs.items():
        for pair in pairs:
            if pair.is_control or pair.backend.split("#")[0] == SAME:
                name = "control" if pair.is_control else pair.cell.split("/")[1]
                groups.setdefault((backend, name), []).append(pair)
    return [
        {"backend": backend, "cell": cell, **count_signs(own, len(groups)), **take_census(own)}
        for (backend, cell), own in sorted(groups.items())
    ]


def report_recording(recording: Recording) -> dict[str, Any]:
    """Everything one recording shows, JSON-ready."""
    return {
        "about": recording.about,
        "sittings": recording.sittings,
        "machines": recording.machines,
        "seconds": sum(part["seconds"] for part in recording.parts),
        "seconds_a_round": {backend: recording.seconds_a_round(backend) for backend in recording.pairs},
        "census": census_of(recording),
        "replayed": tabulate(recording),
        "replayed by signs": tabulate(recording, replay_signs),
        "sweep": sweep(recording, replay),
        "sweep by signs": sweep(recording, replay_signs),
    }


def load_conditions(paths: Sequence[Path]) -> list[Recording]:
    """One recording of each condition: files of the same one are joined, in the order given."""
    found: dict[str, Recording] = {}
    for path in paths:
        recording = load_recording(path)
        condition = recording.about["condition"]
        if condition in found:
            found[condition].join(recording)
        else:
            found[condition] = recording
    return list(found.values())


def report_live(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Live runs by condition, number of cells and variant."""
    found: defaultdict[tuple[str, int, str], list[dict[str, Any]]] = defaultdict(list)
    for document in documents:
        for run in document["runs"]:
            found[document["about"]["condition"], len(run["cells"]), run["variant"]].append(run)
    rows = []
    for (condition, cells, variant), runs in found.items():
        codes = [run["code"] for run in runs]
        verdicts = [[cell["verdict"] for cell in run["cells"].values()] for run in runs]
        seconds = [run["seconds"] for run in runs]
        rows.append(
            {
                "condition": condition,
                "cells": cells,
                "variant": variant,
                "runs": {
                    name: share([own == code for own in codes], range(len(codes))) for name, code in _CODES.items()
                },
                "verdicts": Counter(verdict for own in verdicts for verdict in own),
                "undecided_most": max(own.count(str(Verdict.NOT_MEASURABLE)) for own in verdicts),
                "seconds_median": float(np.median(seconds)),
                "seconds_most": float(max(seconds)),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help=".npz of --minutes, .json of --live and --wide")
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of gate-results.md and gate-roc.svg")
    given = parser.parse_args()
    live = [json.loads(path.read_text(encoding="utf-8")) for path in given.files if path.suffix == ".json"]
    recordings = load_conditions([path for path in given.files if path.suffix == ".npz"])
    if not recordings:
        sys.exit("expected at least one recording, a file that ends in .npz, found none")
    results = {
        "rule": asdict(RULE),
        "most_rounds": MOST_ROUNDS,
        "confidence": CONFIDENCE,
        "recordings": [report_recording(recording) for recording in recordings],
        "live": report_live(live),
    }
    draw_roc(results, given.docs / "gate-roc.svg")
    write_document(results, given.docs / "gate-results.md")
    given.results.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
