"""What artifacts are put to before they are published: texts to be judged on, bounds, timing against torch; and the results."""

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
from driftgate.judge.accuracy_verdicts import UNSHOWN, NotShown
from driftgate.judge.assessment import BackendAssessment
from driftgate.judge.bounds import Bounds, MetricVerdict, Outcome
from driftgate.judge.metric_types import POLICIES
from driftgate.judge.parts import DRIFT, FLIPS, LOSSES
from driftgate.measure.timings import Ratio, speed_ratio
from driftgate.measure.workload import prepare_workload, time_blocks
from driftgate.pipeline import OpenBackends
from driftgate.publish.card_facts import Speed
from driftgate.results.unshown import describe_outcome, list_unshown
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
        bounds: limits of drift and quality.
        not_shown: what has to be shown before anything is written.
    """

    corpus: Corpus
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
        raise DeviceError(f"{error}; driftgate build builds without judging") from error
    bounds = find_bounds(own_bounds)
    whole = corpus or embedded_comments(encoder)
    return Trial(whole.sample(rows, SEED) if rows else whole, bounds, settings, not_shown)


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


_POLICY = POLICIES[0]


def render_judged(assessment: BackendAssessment) -> str:
    """One line: drift, flips, F1 where there are labels, how many bounds were checked."""
    measured, parts = assessment.measured, []
    if drift := measured.get(DRIFT):
        parts.append(f"largest probability difference {drift.largest_per_text.max:.3g}")
    if flips := (measured.get(FLIPS) or {}).get(_POLICY):
        parts.append(f"{flips.total:,} of {flips.decisions:,} decisions flipped {_POLICY}")
    if losses := (measured.get(LOSSES) or {}).get(_POLICY):
        macro = losses["macro_f1"]
        parts.append(f"macro F1 {macro.backend:.4f} (torch {macro.reference:.4f})")
    return f"{assessment.backend}: {', '.join(parts)}; {len(assessment.verdicts)} bounds checked"


def render_unshown(
    assessments: Sequence[BackendAssessment], rows: int, not_shown: NotShown, exit_code: int
) -> list[str]:
    """A line for each backend with bounds that the texts do not show to be kept, and what comes of it."""
    lines = list_unshown({one.backend: one.verdicts for one in assessments}, rows)
    if exit_code == UNSHOWN:
        lines.append(f"{describe_outcome(Outcome.NOT_SHOWN, not_shown)} with {option('corpus')}; nothing was published")
    return lines


def render_failures(failures: Sequence[MetricVerdict], where: str) -> list[str]:
    """Lines with every broken bound: value, limit, by how much, why it is there."""
    lines = [f"{one}; beyond it by {abs(one.value - one.limit):.3g}" for one in failures]
    count = f"{len(lines)} bound is broken" if len(lines) == 1 else f"{len(lines)} bounds are broken"
    return [f"{count} on {where}; nothing was published:", *(f"  {line}" for line in lines)]
