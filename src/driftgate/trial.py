"""Artifacts on trial: asked beside the reference, held to the bounds of their class, timed beside torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from driftgate.backends import REGISTRY
from driftgate.builder.build import Announce
from driftgate.errors import DeviceError
from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan, spread_sample
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.embedded import embedded_comments, throughput_corpus
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.tokens import tokenize
from driftgate.judge.bounds import Bound, Bounds, Violation, find_bound
from driftgate.judge.bounds_file import load_bounds
from driftgate.judge.comparison import Comparison, compare
from driftgate.judge.speed import Ratio, speed_ratio
from driftgate.limits import CORPUS_ROWS
from driftgate.measure.blocks import time_blocks
from driftgate.measure.workload import prepare_workload
from driftgate.pipeline import Built, bounds_keys, decision_policies, known_keys, open_built
from driftgate.report.card_facts import Speed
from driftgate.run.backend import Backend, predict
from driftgate.run.device import RunSettings, require_device
from driftgate.spelling import option
from driftgate.suites import FOLDER

PLAN = BudgetPlan()
"""How the texts of a trial are batched: dynamic INT8's answers depend on it."""

SEED = 0
"""Of the rows that are drawn from a corpus."""

_SPEED_PLANS: tuple[BatchPlan, ...] = (ArrivalPlan(1), ArrivalPlan(8), ArrivalPlan(32), PLAN)
_SPEED_CORPUS, _SPEED_ROWS = "normal", 32


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What artifacts are judged by before they are published.

    Args:
        corpus: the texts, drawn from `all_rows` rows.
        bounds: limits of drift and quality.
    """

    corpus: Corpus
    all_rows: int
    bounds: Bounds
    settings: RunSettings


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A backend, opened, beside the reference; `held` pairs every bound with its value."""

    built: Built
    backend: Backend
    comparison: Comparison
    held: tuple[tuple[Bound, float], ...]

    @property
    def violations(self) -> list[Violation]:
        return [Violation(self.built.spec.name, bound, value) for bound, value in self.held if not bound.holds(value)]


def suite_bounds() -> Path:
    """The accuracy suite's bounds."""
    return FOLDER / "accuracy/bounds.toml"


def find_bounds(own: Path | None) -> Bounds:
    """The accuracy suite's bounds, with a user's own before them.

    Raises:
        BoundsError: a file that cannot be read.
    """
    keys = known_keys()
    suites = load_bounds(suite_bounds(), keys=keys)
    return (load_bounds(own, keys=keys, metrics=()), suites) if own else (suites,)


def open_trial(
    encoder: Encoder, corpus: Corpus | None, rows: int, own_bounds: Path | None, settings: RunSettings
) -> Trial:
    """What an encoder's artifacts are judged by, with everything read that could be wrong.

    Args:
        corpus: None for the embedded comments. `rows`: how many of it; 0 for all.

    Raises:
        OptionError: `rows` is no such number. BoundsError: bounds that cannot be read. DeviceError: the device is not here.
    """
    CORPUS_ROWS.require(rows)
    try:
        require_device(settings.device)
    except DeviceError as error:
        raise DeviceError(f"{error}; {option('no_verify', True)} builds without judging") from error
    bounds = find_bounds(own_bounds)
    whole = corpus or embedded_comments(encoder)
    return Trial(whole.sample(rows, SEED) if rows else whole, len(whole), bounds, settings)


def judge(encoder: Encoder, built: Sequence[Built], trial: Trial, announce: Announce) -> Iterator[Judged]:
    """Ask the reference and every backend for the same texts, and hold what differs to the bounds of its class."""
    from driftgate.run.torch_backend import open_reference

    corpus = trial.corpus
    tokens = tokenize(encoder, corpus.texts)
    announce(f"reference: torch on {len(corpus)} rows")
    reference = predict(open_reference(encoder, trial.settings), tokens, PLAN)
    for one in built:
        announce(f"{one.spec.name}: judged on {len(corpus)} rows")
        backend = open_built(one, trial.settings)
        comparison = compare(
            reference,
            predict(backend, tokens, PLAN),
            encoder.labels,
            decision_policies(encoder),
            corpus.labels,
            multi_label=encoder.problem_type is ProblemType.MULTI_LABEL,
        )
        keys = bounds_keys(one.spec, trial.settings)
        held = tuple((find_bound(trial.bounds, keys, metric), value) for metric, value in comparison.gated.items())
        yield Judged(one, backend, comparison, held)


def measure_speed(encoder: Encoder, judged: Sequence[Judged], settings: RunSettings) -> Speed:
    """Time torch and every backend in alternating blocks of the same texts, under each batch plan."""
    torch = open_built(Built(REGISTRY["torch"], encoder, None), settings)
    backends = {"torch": torch, **{one.built.spec.name: one.backend for one in judged}}
    tokens = tokenize(encoder, throughput_corpus(_SPEED_CORPUS).texts)
    sample = tokens.take(spread_sample(tokens, _SPEED_ROWS))
    texts_per_second: dict[str, float] = {}
    ratios: dict[str, dict[str, Ratio]] = {one.built.spec.name: {} for one in judged}
    for plan in _SPEED_PLANS:
        seconds = time_blocks({name: prepare_workload(backend, sample, plan) for name, backend in backends.items()})
        texts_per_second[plan.name] = len(sample) / float(np.median(seconds["torch"]))
        for name, found in ratios.items():
            found[plan.name] = speed_ratio(seconds["torch"], seconds[name])
    device = str(settings.device)
    return Speed(_SPEED_CORPUS, len(sample), settings.threads, device, texts_per_second, ratios)
