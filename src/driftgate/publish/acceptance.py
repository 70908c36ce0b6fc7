"""What artifacts are put to before they are published: texts to be judged on, bounds, and timing beside torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from driftgate.assessor import find_bounds
from driftgate.backends import REGISTRY, BackendSpec
from driftgate.edges.limits import CORPUS_ROWS
from driftgate.edges.spelling import option
from driftgate.errors import DeviceError
from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan, spread_sample
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.embedded import embedded_comments, throughput_corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import tokenize
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.judge.bounds import Bounds
from driftgate.measure.timings import Ratio, speed_ratio
from driftgate.measure.workload import prepare_workload, time_blocks
from driftgate.pipeline import OpenBackends
from driftgate.publish.card_facts import Speed
from driftgate.run.device import RunSettings, require_device

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
        not_shown: what has to be shown before anything is written.
    """

    corpus: Corpus
    all_rows: int
    bounds: Bounds
    settings: RunSettings
    not_shown: NotShown = NotShown.DRIFT


def open_trial(
    encoder: Encoder,
    corpus: Corpus | None,
    rows: int,
    own_bounds: Path | None,
    settings: RunSettings,
    not_shown: NotShown = NotShown.DRIFT,
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
    return Trial(whole.sample(rows, SEED) if rows else whole, len(whole), bounds, settings, not_shown)


def measure_speed(backends: OpenBackends, specs: Sequence[BackendSpec]) -> Speed:
    """Time torch and every backend in alternating blocks of the same texts, under each batch plan."""
    timed = {spec.name: backends.open(spec) for spec in (REGISTRY["torch"], *specs)}
    corpus = throughput_corpus(_SPEED_CORPUS, pairs=backends.encoder.takes_pairs)
    tokens = tokenize(backends.encoder, corpus.texts)
    sample = tokens.take(spread_sample(tokens, _SPEED_ROWS))
    texts_per_second: dict[str, float] = {}
    ratios: dict[str, dict[str, Ratio]] = {spec.name: {} for spec in specs}
    for plan in _SPEED_PLANS:
        seconds = time_blocks({name: prepare_workload(backend, sample, plan) for name, backend in timed.items()})
        texts_per_second[plan.name] = len(sample) / float(np.median(seconds["torch"]))
        for name, found in ratios.items():
            found[plan.name] = speed_ratio(seconds["torch"], seconds[name])
    settings = backends.settings
    return Speed(corpus.name, len(sample), settings.threads, str(settings.device), texts_per_second, ratios)
