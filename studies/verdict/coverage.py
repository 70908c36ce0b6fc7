"""How often the three verdicts are wrong, on rows drawn from real answers.

    python studies/verdict/coverage.py ANSWERS.npz [--runs 300] [--part before_after]

ANSWERS.npz is what `answers.py` wrote. Rows are drawn with replacement, so that the rows of the file are the population and their
values the true ones. Writes `coverage.json` beside this file, a part at a time; `table.py` makes the tables of README.md of it.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from means import bernstein_lower, bootstrap_upper, chen_upper, plug_in_lower, student_upper
from numpy.typing import NDArray

from driftgate.arrays import Decisions, FloatArray, LabelMatrix, Logits
from driftgate.judge.accuracy_verdicts import ALPHA
from driftgate.judge.bounds import Outcome
from driftgate.judge.confidence import loss_limits
from driftgate.judge.confidence.bootstrap import paired_losses
from driftgate.judge.confidence.calibration_limits import calibration_limits
from driftgate.judge.confidence.counted_limits import proportion_limits, quantile_limits, rows_for_quantile
from driftgate.judge.confidence.levels import SHOW_LEVEL, Levels, Limits
from driftgate.judge.confidence.loss_limits import paired_loss_limits
from driftgate.judge.confidence.mean_limits import lower_limit, mean_limits, upper_limit
from driftgate.judge.probabilities import decide, to_probabilities

RESULTS = Path(__file__).with_name("coverage.json")
GOOD = ("onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-dynamic", "onnx-int8-dynamic-per-tensor")
ROWS = (30, 100, 300, 1000, 3000)
QUANTILES = {"p90 drift": 0.9, "p95 drift": 0.95, "p99 drift": 0.99}
LOSSES = ("micro_f1", "macro_f1", "subset_accuracy", "mcc")
MARGINS = {"onnx-fp32": 0.001, "onnx-fp16": 0.002}  # of quality; 0.01 for INT8
METRICS = 2 + len(QUANTILES) + len(LOSSES) + 2
TINY = 5e-5
Indices = NDArray[np.int64]


class Answers:
    """What two sides say of the same rows."""

    def __init__(self, reference: Logits, backend: Logits, truth: LabelMatrix) -> None:
        self.probabilities = [to_probabilities(side, multi_label=True) for side in (reference, backend)]
        self.decisions = [decide(side, 0.5, multi_label=True) for side in self.probabilities]
        self.truth = truth
        self.drift: FloatArray = np.abs(self.probabilities[1] - self.probabilities[0]).max(axis=1)

    def limits(self, rows: Indices, levels: Levels) -> dict[str, Limits]:
        """Of every metric that is judged; quantiles only where so many rows can show them."""
        theirs, own = (Decisions(side[rows]) for side in self.decisions)
        truth, drift = LabelMatrix(self.truth[rows]), self.drift[rows]
        found = {"mean drift": mean_limits(drift, levels, smallest=0.0)}
        for name, share in QUANTILES.items():
            if len(rows) >= rows_for_quantile(share):
                found[name] = quantile_limits(drift, share, levels)
        found["rows flipped"] = proportion_limits(int((theirs != own).any(axis=1).sum()), len(rows), levels)
        found |= paired_loss_limits(theirs, own, truth, levels, multi_label=True, metrics=LOSSES)
        before, after = (side[rows] for side in self.probabilities)
        return found | calibration_limits(before, after, truth, levels)


def judge(limits: Limits, bound: float) -> Outcome:
    if not limits.low <= bound:
        return Outcome.FAIL
    return Outcome.PASS if limits.high <= bound else Outcome.NOT_SHOWN


def judge_good_builds(answers: dict[str, Answers], runs: int, random: np.random.Generator) -> dict[str, Any]:
    """Each metric held to its true value, where a verdict of either kind is an error; and to a bound with room.

    With room: twice the true value for drift, flips and calibration; the margin of its class for quality.
    """
    levels = Levels(low=ALPHA / (METRICS * len(answers)), high=SHOW_LEVEL)
    everything = np.arange(len(next(iter(answers.values())).truth))
    true = {backend: own.limits(everything, levels) for backend, own in answers.items()}
    found: dict[str, Any] = {"metrics of a run": METRICS * len(answers), "fail level": levels.low}
    for rows in ROWS:
        at_bound: dict[str, dict[str, Counter[str]]] = {backend: {} for backend in answers}
        with_room: dict[str, dict[str, Counter[str]]] = {backend: {} for backend in answers}
        failed_runs = 0
        for _ in range(runs):
            drawn, failed = random.integers(0, len(everything), rows), False
            for backend, own in answers.items():
                for metric, limits in own.limits(drawn, levels).items():
                    value = true[backend][metric].value
                    room = MARGINS.get(backend, 0.01) if metric in LOSSES else 2 * abs(value)
                    if metric == "calibration_error_increase":
                        room = 2 * float(true[backend][metric].tends_to or 0.0)
                    hard = judge(limits, value)
                    at_bound[backend].setdefault(metric, Counter())[hard] += 1
                    easy = judge(limits, room)
                    with_room[backend].setdefault(metric, Counter())[easy] += 1
                    failed |= hard is Outcome.FAIL
            failed_runs += failed
        found[str(rows)] = {
            "runs": runs,
            "runs with a FAIL": failed_runs,
            "at the bound": at_bound,
            "with room": with_room,
        }
        print("good builds", rows, failed_runs, flush=True)
    return found


def before_and_after(own: Answers, runs: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """Chance that micro-F1 passes a margin of 0.01, by true loss: rows answered with nothing."""
    found = []
    for share in (0.04, 0.082, 0.2):
        backend = Decisions(own.decisions[0] & (random.random((len(own.truth), 1)) >= share))
        true = _micro_f1(own.decisions[0], own.truth) - _micro_f1(backend, own.truth)
        for rows in (10, 30, 100, 300):
            before = after = covered = 0
            for _ in range(runs):
                drawn = random.integers(0, len(own.truth), rows)
                sides = Decisions(own.decisions[0][drawn]), Decisions(backend[drawn]), LabelMatrix(own.truth[drawn])
                before += paired_losses(*sides, multi_label=True, resamples=400)["micro_f1"].high <= 0.01
                limits = paired_loss_limits(*sides, Levels(TINY), multi_label=True, metrics=("micro_f1",))["micro_f1"]
                after += limits.high <= 0.01
                covered += limits.high >= true
            found.append(
                {"loss": true, "rows": rows, "before": before / runs, "after": after / runs, "covered": covered / runs}
            )
            print(found[-1], flush=True)
    return found


def compare_means(answers: dict[str, Answers], runs: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """Upper limits of mean drift at 5%: how often below the truth. Lower ones at 5e-5: how large, as shares of the truth."""
    populations = {name: own.drift for name, own in answers.items()}
    populations["lognormal, sigma 1"] = 0.02 * random.lognormal(-0.5, 1, 200_000)
    uppers: dict[str, Callable[[FloatArray], float]] = {
        "Student": lambda values: student_upper(values, 0.05),
        "bootstrap": lambda values: bootstrap_upper(values, 0.05),
        "Chen": lambda values: chen_upper(values, 0.05),
        "Gaffke, twice the largest": lambda values: upper_limit(values, 2 * values.max(), 0.05),
    }
    lowers: dict[str, Callable[[FloatArray], float]] = {
        "empirical Bernstein": lambda values: max(0.0, bernstein_lower(values, TINY)),
        "plug-in bets": lambda values: plug_in_lower(values, TINY),
        "mixture of bets": lambda values: lower_limit(values, 0.0, TINY),
    }
    found = []
    for name, population in populations.items():
        true = float(population.mean())
        for rows in (10, 30, 100, 300, 1000):
            drawn = [population[random.integers(0, len(population), rows)] for _ in range(runs)]
            below = {what: float(np.mean([limit(values) < true for values in drawn])) for what, limit in uppers.items()}
            width = float(np.median([upper_limit(values, 2 * values.max(), 0.05) for values in drawn])) / true
            lower = {
                what: float(np.median([limit(values) for values in drawn])) / true for what, limit in lowers.items()
            }
            beyond = float(np.mean([lower_limit(values, 0.0, 0.05) > true for values in drawn]))
            thrice = float(np.mean([lower_limit(values, 0.0, TINY) > true / 3 for values in drawn]))
            found.append(
                {
                    "population": name,
                    "rows": rows,
                    "upper limit below the truth": below,
                    "upper limit, share of the truth": width,
                    "lower limit, share of the truth": lower,
                    "lower limit at 5% above the truth": beyond,
                    "FAIL of three times the bound": thrice,
                }
            )
        print(name, flush=True)
    return found


def check_lower_losses(answers: dict[str, Answers], runs: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """Lower limits of losses at 1%: how often above the true loss, where hundreds of runs can see it."""
    found = []
    for name in ("onnx-int8-dynamic", "onnx-int8-dynamic-per-tensor"):
        own = answers[name]
        everything = own.limits(np.arange(len(own.truth)), Levels(0.01))
        for rows in (30, 100, 300, 1000):
            above = Counter(dict.fromkeys(LOSSES, 0))
            for _ in range(runs):
                drawn = random.integers(0, len(own.truth), rows)
                sides = (Decisions(side[drawn]) for side in own.decisions)
                limits = paired_loss_limits(
                    *sides, LabelMatrix(own.truth[drawn]), Levels(0.01), multi_label=True, metrics=LOSSES
                )
                above.update(metric for metric in LOSSES if limits[metric].low > everything[metric].value)
            found.append({"backend": name, "rows": rows, "runs": runs, "above": above})
        print(name, above, flush=True)
    return found


def _micro_f1(decisions: Decisions, truth: LabelMatrix) -> float:
    return 2 * float((decisions & truth).sum()) / float(decisions.sum() + truth.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--resamples", type=int, default=400, help="of upper limits of losses; the judge takes 2,000")
    parser.add_argument("--part", action="append", choices=("means", "before_after", "lower_losses", "good_builds"))
    arguments = parser.parse_args()
    loss_limits._RESAMPLES = arguments.resamples  # noqa: SLF001
    given = np.load(arguments.answers)
    answers = {name: Answers(given["reference"], given[name], LabelMatrix(given["truth"])) for name in GOOD}
    random, runs = np.random.default_rng(0), arguments.runs
    parts: dict[str, Callable[[], Any]] = {
        "means": lambda: compare_means(answers, runs, random),
        "before_after": lambda: before_and_after(answers[GOOD[0]], runs, random),
        "lower_losses": lambda: check_lower_losses(answers, runs, random),
        "good_builds": lambda: judge_good_builds(answers, runs, random),
    }
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in arguments.part or parts:
        results[name] = parts[name]()
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
