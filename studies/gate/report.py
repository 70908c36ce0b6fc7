"""Say what the recordings show: `python studies/gate/report.py idle.npz loaded.npz live-idle.json live-loaded.json wide.json`.

Recordings of the same condition are joined. Writes `results.json` beside this file, `docs/gate-results.md` and
`docs/gate-roc.svg`.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
sys.path.insert(0, str(HERE))

from census import take_carry_over, take_census  # noqa: E402
from parameters import CONFIDENCE, MOST_ROUNDS, ROC_ALPHAS, RULE, SAME, STOCK_ROUNDS  # noqa: E402
from recording import Recording, Run, control_as_candidate, load_recording, replay, rounds_of  # noqa: E402
from stock_rules import STOCK_RULES, score_runs  # noqa: E402
from tables import draw_roc, write_document  # noqa: E402

from driftgate.gate.pairs import Pair  # noqa: E402
from driftgate.gate.verdicts import TimedBackend  # noqa: E402
from driftgate.judge.intervals import clopper_pearson  # noqa: E402

CONTROLS = "controls"
"""Replayed A/A runs of one cell: each contest's second load of the baseline as a candidate."""
ROC_SLOWDOWN = "slower 10%"


def count_outcomes(codes: Sequence[int], seconds: Sequence[float]) -> dict[str, Any]:
    """Of gated runs: how many ended how, with an interval of those that ended in a regression."""
    found = Counter(codes)
    interval = clopper_pearson(found[1], len(codes), CONFIDENCE)
    return {
        "runs": len(codes),
        "regression": found[1],
        "pass": found[0],
        "not_measurable": found[7],
        "regression_low": interval.low,
        "regression_high": interval.high,
        "seconds_median": float(np.median(seconds)),
        "seconds_p95": float(np.quantile(seconds, 0.95)),
    }


def by_variant(recording: Recording) -> dict[tuple[str, str], list[list[Pair]]]:
    """Pairs of every contest, by backend and variant."""
    found: defaultdict[tuple[str, str], list[list[Pair]]] = defaultdict(list)
    for backend in recording.pairs:
        for contest, pairs in recording.contests(backend).items():
            found[backend, contest.split("#")[0]].append(pairs)
    return dict(found)


def series_of(recording: Recording) -> dict[tuple[str, str], list[TimedBackend]]:
    """Rounds of every contest, and of every control on its own, by backend and variant."""
    found: dict[tuple[str, str], list[TimedBackend]] = {}
    for (backend, variant), contests in by_variant(recording).items():
        found[backend, variant] = [rounds_of(pairs) for pairs in contests]
        found.setdefault((backend, CONTROLS), []).extend(map(control_as_candidate, contests))
    return found


def replay_all(recording: Recording) -> list[dict[str, Any]]:
    """What the gate would have said, by backend and variant, and of all backends together."""
    outcomes: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    rows = []
    for (backend, variant), series in series_of(recording).items():
        runs = [run for timed in series for run in replay(timed, RULE)]
        cost = recording.seconds_a_round(backend)
        own = [(run.code, run.rounds * cost) for run in runs]
        outcomes[variant] += own
        if own:
            codes, seconds = zip(*own, strict=True)
            reached = [_slowdown(timed) for timed in series]
            rounds = float(np.median([run.rounds for run in runs]))
            rows.append(
                {"backend": backend, "variant": variant, "slowdown": float(np.mean(reached)), "rounds_median": rounds}
                | count_outcomes(codes, seconds)
            )
    together = [
        {"backend": "all", "variant": variant} | count_outcomes(*zip(*own, strict=True))
        for variant, own in outcomes.items()
        if own
    ]
    return rows + together


def _slowdown(timed: TimedBackend) -> float:
    """Of a contest over the whole recording: the mean over cells of the median over rounds."""
    return float(np.expm1(np.mean([np.median(ratios) for ratios in timed.cells.values()])))


def judge_by_stock_rules(recording: Recording) -> list[dict[str, Any]]:
    """How often each stock rule fails a run of `STOCK_ROUNDS` rounds, by variant, over all backends."""
    scores: defaultdict[tuple[str, bool, str], list[float]] = defaultdict(list)
    for (_, variant), contests in by_variant(recording).items():
        for pairs in contests:
            for name, rule in STOCK_RULES.items():
                for stored in (False, True):
                    scores[name, stored, variant] += score_runs(pairs, rule, STOCK_ROUNDS, stored=stored)
    rows = []
    for (name, stored, variant), own in scores.items():
        if own:
            failed = sum(score > STOCK_RULES[name].threshold for score in own)
            interval = clopper_pearson(failed, len(own), CONFIDENCE)
            row = {"rule": name, "stored": stored, "variant": variant, "runs": len(own), "failed": failed}
            rows.append(row | {"low": interval.low, "high": interval.high, "scores": own})
    return rows


def sweep_gate(recording: Recording) -> list[dict[str, float]]:
    """Share of replayed runs that fail without a change and with 10%, for every `alpha` of the parameters."""
    series = series_of(recording)
    points = []
    for alpha in ROC_ALPHAS:
        rule = replace(RULE, alpha=alpha)
        shares = {}
        for variant in (SAME, ROC_SLOWDOWN):
            chosen = [timed for (_, name), own in series.items() if name == variant for timed in own]
            runs: list[Run] = [run for timed in chosen for run in replay(timed, rule)]
            shares[variant] = float(np.mean([run.code == 1 for run in runs])) if runs else float("nan")
        points.append({"alpha": alpha, "false_alarms": shares[SAME], "detected": shares[ROC_SLOWDOWN]})
    return points


def census_of(recording: Recording) -> list[dict[str, Any]]:
    """The noise of every backend and cell."""
    rows = []
    for backend, pairs in recording.pairs.items():
        same = sorted({pair.backend for pair in pairs if pair.backend.split("#")[0] == SAME})
        carried = take_carry_over(pairs, same)
        for cell in dict.fromkeys(pair.cell.split("/")[1] for pair in pairs):
            own = [pair for pair in pairs if pair.cell.split("/")[1] == cell]
            rows.append({"backend": backend, "cell": cell, **take_census(own, same), **carried})
    return rows


def report_recording(recording: Recording) -> dict[str, Any]:
    """Everything one recording shows, JSON-ready."""
    return {
        "about": recording.about,
        "rounds": {
            backend: sum(part["rounds"] for part in recording.parts if part["backend"] == backend)
            for backend in recording.pairs
        },
        "seconds": sum(part["seconds"] for part in recording.parts),
        "seconds_a_round": {backend: recording.seconds_a_round(backend) for backend in recording.pairs},
        "census": census_of(recording),
        "replayed": replay_all(recording),
        "stock": judge_by_stock_rules(recording),
        "sweep": sweep_gate(recording),
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


def finite(value: Any) -> Any:
    """The same with null for what could not be estimated."""
    if isinstance(value, dict):
        return {name: finite(own) for name, own in value.items()}
    if isinstance(value, list):
        return [finite(own) for own in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def report_live(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Live runs by condition and variant."""
    found: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for document in documents:
        for run in document.get("runs", []):
            found[document["about"]["condition"], run["variant"]].append(run)
    return [
        {"condition": condition, "variant": variant}
        | count_outcomes([run["code"] for run in runs], [run["seconds"] for run in runs])
        for (condition, variant), runs in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help=".npz of --minutes, .json of --live and --wide")
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of gate-results.md and gate-roc.svg")
    given = parser.parse_args()
    live = [json.loads(path.read_text(encoding="utf-8")) for path in given.files if path.suffix == ".json"]
    results = {
        "rule": asdict(RULE),
        "most_rounds": MOST_ROUNDS,
        "stock_rounds": STOCK_ROUNDS,
        "confidence": CONFIDENCE,
        "recordings": [
            report_recording(recording)
            for recording in load_conditions([path for path in given.files if path.suffix == ".npz"])
        ],
        "live": report_live(live),
        "wide": [
            {"condition": document["about"]["condition"], **run}
            for document in live
            for run in document.get("wide", [])
        ],
    }
    if not results["recordings"]:
        sys.exit("expected at least one recording, a file that ends in .npz, found none")
    draw_roc(results, given.docs / "gate-roc.svg")
    for recording in results["recordings"]:
        for row in recording["stock"]:
            del row["scores"]  # drawn, and as many as runs
    write_document(results, given.docs / "gate-results.md")
    given.results.write_text(json.dumps(finite(results), indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
