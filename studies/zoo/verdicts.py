"""How often the judge is right about the zoo: rows drawn from the answers that `answers.py` computed once.

    python studies/zoo/verdicts.py ANSWERS OUT.json [NAME...] [--half seen] [--bounds FILE]

A file's rows are the population, and their values the true ones. For each good build and mutant, and for 10 to 3,000 rows, counts
the runs that PASS, FAIL and are NOT SHOWN. What follows without confidence limits is not computed: a value
within its bound cannot FAIL, one beyond it cannot PASS. All other limits are the judge's own.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faults
import numpy as np
from encoders import RECIPES
from numpy.typing import NDArray
from tasks import MULTI_LABEL

from driftgate.arrays import BoolArray, FloatArray, LabelMatrix, Logits
from driftgate.assessor import find_bounds
from driftgate.backends import REGISTRY
from driftgate.inputs.long_texts import LENGTHS
from driftgate.judge.accuracy_verdicts import levels_of_run
from driftgate.judge.bounds import Bounds, find_bound
from driftgate.judge.confidence.counted_limits import quantile_limits, rows_for_quantile
from driftgate.judge.confidence.counted_quality import count_rows, counted_metrics, split_totals
from driftgate.judge.confidence.levels import DRIFT_ROWS, Levels, Limits
from driftgate.judge.confidence.loss_limits import METRICS
from driftgate.judge.confidence.mean_limits import BEYOND_SEEN, lower_limit, upper_limit
from driftgate.judge.confidence.metric_limits import find_limits
from driftgate.judge.drift import squared_relative_errors
from driftgate.judge.evidence import Evidence, Head
from driftgate.judge.metric_types import policy_metric
from driftgate.judge.noise import squared_error_ratios
from driftgate.judge.parts import AGREEMENT, CALIBRATION, FLIPS, LOSSES, PREVALENCE, Part
from driftgate.judge.quality import MIN_SUPPORT
from driftgate.pipeline import bounds_keys
from driftgate.run.device import RunSettings

ROWS = (10, 30, 100, 300, 1000, 3000)
BACKENDS = 5
"""Judged in a run, among which the level of a FAIL is divided: as many as a run judges by default."""
FAULTY = ("onnx-fp32", "onnx-int8")
"""Backends whose answers get faults."""
POLICY = "at 0.5"
WORST = 2
"""How many of the bounds that a build is beyond are named."""
MEAN = "mean_of_largest_probability_drift"
P90 = "p90_of_largest_probability_drift"
RATIO = "error_ratio_to_float32"
RELATIVE = "relative_logit_error"
LONG = "mean_of_largest_probability_drift_on_long_texts"
QUANTILES = {P90: 0.9, "p95_of_largest_probability_drift": 0.95, "p99_of_largest_probability_drift": 0.99}


@dataclass(frozen=True, eq=False)
class Draws:
    """Rows of many runs, int64, (runs, rows), and how often each of all rows is in a run, float64, (runs, all rows)."""

    drawn: NDArray[np.int64]
    weights: FloatArray

    @classmethod
    def make(cls, rows: int, runs: int, population: int) -> "Draws":
        drawn = np.random.default_rng(rows).integers(0, population, (runs, rows))
        return cls(drawn, np.stack([np.bincount(chosen, minlength=population) for chosen in drawn]).astype(np.float64))

    def first(self, runs: int) -> "Draws":
        return Draws(self.drawn[:runs], self.weights[:runs])


class Population:
    """A backend's answers to all rows of a file, and what each row adds to each metric."""

    def __init__(
        self, file: Mapping[str, NDArray[Any]], backend: Logits, long: Mapping[str, FloatArray], *, multi_label: bool
    ) -> None:
        self.multi_label, self.long = multi_label, long
        self.reference, self.backend, self.truth = Logits(file["reference"]), backend, LabelMatrix(file["truth"])
        labels = tuple(map(str, range(self.truth.shape[1])))
        self.head = Head(labels, multi_label, {POLICY: 0.5})
        self.evidence = self.of(np.arange(len(self.truth)))
        rows = file["exact_rows"]
        relative = squared_relative_errors(self.reference, backend, multi_label=multi_label)
        assert relative is not None
        self.relative = relative
        self.squares = squared_error_ratios(file["exact"], Logits(self.reference[rows]), Logits(backend[rows]))

    def of(self, rows: NDArray[np.int64]) -> Evidence:
        return Evidence(
            self.head,
            LabelMatrix(self.truth[rows]),
            lambda: Logits(self.reference[rows]),
            lambda: Logits(self.backend[rows]),
        )

    @cached_property
    def means(self) -> dict[tuple[Part[Any], str, str], FloatArray]:
        """What each row adds to means over rows, float64, (rows,), or (rows, parts) where the largest of several counts."""
        before, after = self.evidence.probabilities
        theirs, own = self.evidence.decisions[POLICY]
        found: dict[tuple[Part[Any], str, str], FloatArray] = {
            (CALIBRATION, "brier_increase", ""): ((after - self.truth) ** 2 - (before - self.truth) ** 2).mean(axis=1),
            (AGREEMENT, "top1_disagreement", ""): (self.reference.argmax(axis=1) != self.backend.argmax(axis=1)).astype(
                float
            ),
            (CALIBRATION, "calibration_error_increase", ""): np.abs(after - before).mean(axis=1),
            (PREVALENCE, "largest_prevalence_shift", ""): np.concatenate([after - before, before - after], axis=1),
        }
        if self.multi_label:
            found[FLIPS, "row_flip_rate", POLICY] = (theirs != own).any(axis=1).astype(float)
        return found

    @cached_property
    def label_losses(self) -> FloatArray:
        """Of each label, 1 where only the reference is right, -1 where only the backend is, (rows, labels)."""
        theirs, own = self.evidence.decisions[POLICY]
        return (theirs == self.truth).astype(np.float64) - (own == self.truth)

    @cached_property
    def counts(self) -> tuple[FloatArray, FloatArray]:
        theirs, own = self.evidence.decisions[POLICY]
        return count_rows(theirs, self.truth).astype(np.float64), count_rows(own, self.truth).astype(np.float64)


def values(population: Population, draws: Draws) -> Iterator[tuple[Part[Any], str, str, FloatArray]]:
    """Every other metric with confidence limits, and its value in each run, float64, (runs,); for calibration, no less."""
    weights = draws.weights
    rows = weights.sum(axis=1)
    for (part, name, policy), added in population.means.items():
        mean = weights @ added / (rows if added.ndim == 1 else rows[:, None])
        yield part, name, policy, mean if added.ndim == 1 else mean.max(axis=1)
    support = weights @ population.truth
    losses = np.where(support >= MIN_SUPPORT, weights @ population.label_losses / rows[:, None], -np.inf)
    yield FLIPS, "largest_label_loss", POLICY, losses.max(axis=1)
    totals = [split_totals(weights @ side, rows) for side in population.counts]
    # Where a label has enough rows in some runs only, this is another mean than the judge's.
    supported = (support >= MIN_SUPPORT).all(axis=0)
    for name, metric in counted_metrics(supported, multi_label=population.multi_label).items():
        if name in METRICS:
            yield LOSSES, f"{name}_loss", POLICY, metric(totals[0]) - metric(totals[1])


def judge(
    population: Population, keys: tuple[str, ...], bounds: Bounds, levels: Levels, draws: Draws
) -> dict[str, Any]:
    """How many runs come to a PASS and to a FAIL, the others being NOT SHOWN."""
    drawn, random = draws.drawn, np.random.default_rng(0)
    runs, rows = drawn.shape
    open_runs = np.ones(runs, bool)

    def limit(name: str, policy: str = "") -> float:
        return find_bound(bounds, keys, policy_metric(name, policy)).limit

    def fail(runs_beyond: BoolArray) -> None:
        open_runs[runs_beyond] = False

    # A maximum is held to a ceiling as it is; so are the means of long texts.
    drift = population.evidence.largest_drift[drawn]
    fail(drift.max(axis=1) > limit("max_abs_probability_drift"))
    logits = np.abs(population.backend.astype(np.float64) - population.reference).max(axis=1)[drawn]
    fail(logits.max(axis=1) > limit("max_abs_logit_drift"))
    for long in population.long.values():
        fail(long[random.integers(0, len(long), (runs, len(long)))].mean(axis=1) > limit(LONG))
    p90_shown, ordered = np.zeros(runs, bool), np.sort(drift, axis=1)
    for name, share in QUANTILES.items():
        if rows >= rows_for_quantile(share):
            places = quantile_limits(np.arange(rows, dtype=np.float64), share, levels)  # of the order statistics
            if np.isfinite(places.low):
                fail(ordered[:, int(places.low)] > limit(name))
            if name == P90:
                p90_shown = ordered[:, int(places.high)] <= limit(name)
    means = drift.mean(axis=1)
    exact = population.squares[random.integers(0, len(population.squares), (runs, min(rows, len(population.squares))))]
    relative = population.relative[drawn]
    for sample, at_most in ((drift, limit(MEAN)), (exact, limit(RATIO) ** 2), (relative, limit(RELATIVE) ** 2)):
        suspects = np.flatnonzero(open_runs & (sample.mean(axis=1) > at_most))
        fail(_where(runs, [run for run in suspects if lower_limit(sample[run], 0.0, levels.low) > at_most]))
    known: dict[tuple[str, int], Mapping[tuple[str, str], Limits]] = {}
    for part, name, policy, found in values(population, draws):
        suspects = np.flatnonzero(open_runs & (found > limit(name, policy)))
        beyond = []
        for run in suspects:
            if (part.name, run) not in known:
                known[part.name, run] = find_limits(part, population.of(drawn[run]), levels)
            limits = known[part.name, run].get((name, policy))
            if limits is not None and limits.low > limit(name, policy):
                beyond.append(run)
        fail(_where(runs, beyond))
    passed = open_runs & (means <= limit(MEAN)) & p90_shown & (rows >= DRIFT_ROWS)
    for run in np.flatnonzero(passed):
        passed[run] = (
            _upper(drift[run], levels) <= limit(MEAN) and _upper(relative[run], levels) <= limit(RELATIVE) ** 2
        )
    return {"pass": int(passed.sum()), "fail": int((~open_runs).sum())}


def _upper(values: FloatArray, levels: Levels) -> float:
    return upper_limit(values, BEYOND_SEEN * float(values.max()), levels.high)


def _where(runs: int, chosen: list[Any]) -> BoolArray:
    found = np.zeros(runs, bool)
    found[chosen] = True
    return found


def truths(population: Population, keys: tuple[str, ...], bounds: Bounds) -> dict[str, Any]:
    """What is true of all rows: drift, decisions changed, and what is furthest beyond its bound, by how many times."""
    rows = len(population.truth)
    everything = Draws(np.arange(rows)[None], np.ones((1, rows)))
    found = {MEAN: float(population.evidence.largest_drift.mean())}
    for name, share in QUANTILES.items():
        found[name] = float(np.quantile(population.evidence.largest_drift, share))
    found[RELATIVE] = float(np.sqrt(population.relative.mean()))
    found[RATIO] = float(np.sqrt(population.squares.mean()))
    if population.long:
        found[LONG] = max(float(long.mean()) for long in population.long.values())
    for _, name, policy, value in values(population, everything):
        if name != "calibration_error_increase":
            found[policy_metric(name, policy)] = float(value[0])
    beyond = {
        name: round(value / at_most, 2)
        for name, value in found.items()
        if value > (at_most := find_bound(bounds, keys, name).limit) and at_most > 0
    }
    worst = dict(sorted(beyond.items(), key=lambda one: -one[1])[:WORST])
    theirs, own = population.evidence.decisions[POLICY]
    shown = {
        name: float(f"{found[name]:.3g}") for name in (MEAN, P90, "p99_of_largest_probability_drift", RELATIVE, RATIO)
    }
    return {"values": shown, "changed rows": round(float((theirs != own).any(axis=1).mean()), 5), "beyond": worst}


def populations(path: Path) -> Iterator[tuple[str, str, Population]]:
    """Every good build and mutant of a file, with the backend whose bounds it is held to."""
    with np.load(path) as opened:
        file = {name: opened[name] for name in opened.files}
    multi_label = RECIPES[path.stem.partition("+")[0]].task in MULTI_LABEL
    reference = Logits(file["reference"])
    for name, found in file.items():
        if name.startswith("good "):
            backend, logits = name.removeprefix("good "), Logits(found)
            yield name, backend, Population(file, logits, _long(file, backend, multi_label), multi_label=multi_label)
            faulty = faults.of_answers(reference, logits, multi_label=multi_label) if backend in FAULTY else {}
            for fault, changed in faulty.items():
                yield fault, backend, Population(file, changed, {}, multi_label=multi_label)
        elif " / " in name:
            fault, _, kind = name.partition(" / ")
            backend = {"fp32": "onnx-fp32", "int8": "onnx-int8"}[kind]
            yield fault, backend, Population(file, Logits(found), {}, multi_label=multi_label)


def _long(file: Mapping[str, NDArray[Any]], backend: str, multi_label: bool) -> dict[str, FloatArray]:
    head = Head((), multi_label, {})
    return {
        length: np.abs(
            head.probabilities(Logits(file[f"long {length} {backend}"]))
            - head.probabilities(Logits(file[f"long {length} reference"]))
        ).max(axis=1)
        for length in LENGTHS
        if f"long {length} {backend}" in file
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--half", choices=("seen", "unseen"))
    parser.add_argument("--runs", type=int, default=800, help="of good builds")
    parser.add_argument("--mutant-runs", type=int, default=200)
    parser.add_argument("--bounds", type=Path)
    given = parser.parse_args()
    levels, bounds = levels_of_run(BACKENDS), find_bounds(given.bounds)
    results = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    for path in sorted(given.answers.glob("*.npz")):
        recipe = RECIPES[path.stem.partition("+")[0]]
        if (given.names and path.stem not in given.names) or (
            given.half and recipe.bounds_set != (given.half == "seen")
        ):
            continue
        found: dict[str, Any] = {}
        draws: dict[int, Draws] = {}
        for fault, backend, population in populations(path):
            draws = draws or {rows: Draws.make(rows, given.runs, len(population.truth)) for rows in ROWS}
            keys = bounds_keys(REGISTRY[backend], RunSettings(1), multi_label=population.multi_label)
            true = truths(population, keys, bounds)
            runs = given.runs if fault.startswith("good") else given.mutant_runs
            by_rows = {
                str(rows): judge(population, keys, bounds, levels, drawn.first(runs)) for rows, drawn in draws.items()
            }
            mean_bound = find_bound(bounds, keys, MEAN).limit
            found[f"{fault} | {backend}"] = {"true": true, "mean bound": mean_bound, "runs": runs, "rows": by_rows}
        results[path.stem] = {"half": "seen" if recipe.bounds_set else "unseen", "builds": found}
        given.out.write_text(json.dumps(results, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")
        print(path.stem, len(found), flush=True)


if __name__ == "__main__":
    main()
