"""A tuned backend: searched on one half of the rows, judged on the other, and what its recipe says of that."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from driftgate.assessor import assess
from driftgate.backends import BackendSpec
from driftgate.explain.inspection import Announce
from driftgate.explain.ranking import Halves, rank_products
from driftgate.explain.trials import flips_of
from driftgate.explain.tune import Cost, Limits, Search, find_front
from driftgate.explain.workshop import Candidate, Workshop
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.recipe import Form, Recipe
from driftgate.inputs.tokens import tokenize
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.judge.bounds import Outcome
from driftgate.judge.confidence import levels
from driftgate.judge.confidence.counted_limits import proportion_limits
from driftgate.judge.confidence.mean_limits import mean_limits
from driftgate.pipeline import OpenBackends

_LEVELS = levels.Levels(0.05, 0.05)
_SHOWN = 8


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A candidate of the front, on rows that the search did not see.

    Args:
        drift, row_flips: with 90% intervals. `flips`: decisions that changed.
        verdict: of the bounds that it was held to on the rows of the search; None where there were none.
    """

    candidate: Candidate
    cost: float
    drift: levels.Limits
    row_flips: levels.Limits
    flips: int
    verdict: Outcome | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What a search found.

    Args:
        front: from the least to the most costly; the first is the backend as it is.
        chosen: the one that the recipe is of; None where no recipe reaches the target. `verdict`: whether it does on the rows
            that were kept from the search.
        recipe: of the chosen one.
    """

    front: tuple[Judged, ...]
    chosen: Judged | None
    verdict: Outcome
    recipe: Recipe | None
    cost: Cost
    searched_rows: int
    judged_rows: int
    tried: int


@dataclass(frozen=True, slots=True)
class Target:
    """What a recipe is to reach.

    Args:
        limits: on drift, flips and cost. `bounds`: a file of bounds to hold candidates to; None for none.
    """

    limits: Limits
    bounds: Path | None = None

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return self.bounds is not None or self.limits.drift is not None or self.limits.flips is not None


def tune(
    backends: OpenBackends,
    spec: BackendSpec,
    corpus: Corpus,
    target: Target,
    forms: Sequence[Form],
    cost: Cost,
    folder: Path,
    announce: Announce = lambda _: None,
) -> Tuned:
    """Search a recipe for a backend.

    Args:
        folder: for candidates while they are asked.

    Raises:
        OptionError: a backend without products that a recipe could change. CorpusError: too few rows.
    """
    halves = Halves.of(corpus)
    tokens = tokenize(backends.encoder, corpus.texts)
    announce(f"{spec.name}: reference on {len(corpus):,} rows")
    workshop = Workshop(backends, spec, tokens, folder)
    announce(f"{spec.name}: ranking its products")
    ranked = rank_products(backends, spec, tokens.take(halves.searched))
    search = Search(workshop, halves.searched, forms, cost, target.limits, announce)
    tried = search.run(ranked)
    front = [tried[0], *find_front(tried[1:], search.cost_of, _SHOWN - 1)]
    seen, unseen = corpus.take(halves.searched), corpus.take(halves.judged)
    judged = []
    for number, candidate in enumerate(front, 1):
        announce(f"judging {number} of {len(front)} on {len(halves.judged):,} other rows")
        again = workshop.make(candidate.forms, halves.judged, final=True)
        timed = replace(candidate, time_ratio=again.time_ratio)
        verdict = _hold_to_bounds(workshop, seen, candidate, target, announce)
        flips = flips_of(again.answered)
        drift = mean_limits(again.answered.largest_drift, _LEVELS, smallest=0.0)
        row_flips = proportion_limits(flips.rows, len(halves.judged), _LEVELS)
        judged.append(Judged(timed, search.cost_of(timed), drift, row_flips, flips.total, verdict))
    chosen = _choose(judged, target)
    reached = Outcome.FAIL
    if chosen:
        held = _hold_to_bounds(workshop, unseen, chosen.candidate, target, announce) or Outcome.PASS
        verdicts = {held, _hold_to_limits(chosen, target.limits)}
        reached = next(each for each in (Outcome.FAIL, Outcome.NOT_SHOWN, Outcome.PASS) if each in verdicts)
    recipe = _recipe(workshop, corpus, halves, chosen, len(tried), cost) if chosen else None
    return Tuned(tuple(judged), chosen, reached, recipe, cost, len(halves.searched), len(halves.judged), len(tried))


def _hold_to_bounds(
    workshop: Workshop, rows: Corpus, candidate: Candidate, target: Target, announce: Announce
) -> Outcome | None:
    if target.bounds is None:
        return None
    backends, spec = workshop.backends, workshop.spec
    recipe = Recipe(spec.name, candidate.forms)
    own = replace(spec, name=f"{spec.name}-{recipe.digest[:8]}", recipe=recipe)
    found = assess(backends.encoder, rows, [own], target.bounds, backends.settings, announce)
    return found.verdict(NotShown.DRIFT)


def _choose(judged: Sequence[Judged], target: Target) -> Judged | None:
    """The least costly that reaches the target on the rows of the search; without one, the least drift at the cost allowed."""
    if target.given:
        limited = target.limits.drift is not None or target.limits.flips is not None
        reaching = [found for found in judged if not limited or target.limits.reached(found.candidate)]
        # Where the rows of the search are too few to show a bound, the other rows may say so as well: that is no failure.
        for least in (Outcome.PASS, Outcome.NOT_SHOWN) if target.bounds else (None,):
            if found := next((each for each in reaching if each.verdict is least), None):
                return found
        return None
    affordable = [found for found in judged if found.cost <= target.limits.cost and found.candidate.forms]
    return min(affordable, key=lambda found: found.candidate.drift, default=None)


def _hold_to_limits(chosen: Judged, most: Limits) -> Outcome:
    """Whether the limits are kept on the other rows: the whole interval is within, or beyond, or neither."""
    pairs = [(chosen.drift, most.drift), (chosen.row_flips, most.flips)]
    given = [(limits, most) for limits, most in pairs if most is not None]
    if all(limits.high <= most for limits, most in given):
        return Outcome.PASS
    return Outcome.FAIL if any(limits.low > most for limits, most in given) else Outcome.NOT_SHOWN


def _recipe(workshop: Workshop, corpus: Corpus, halves: Halves, chosen: Judged, tried: int, cost: Cost) -> Recipe:
    search = {
        "driftgate": version("driftgate"),
        "corpus": corpus.name,
        "corpus_sha256": corpus.sha256,
        "searched_rows": len(halves.searched),
        "searched_sha256": corpus.take(halves.searched).sha256,
        "judged_rows": len(halves.judged),
        "judged_sha256": corpus.take(halves.judged).sha256,
        "rows_sha256": hashlib.sha256(repr((halves.searched, halves.judged)).encode()).hexdigest(),
        "candidates": tried,
        "drift": chosen.drift.value,
        "drift_interval_90": [chosen.drift.low, chosen.drift.high],
        "row_flip_rate": chosen.row_flips.value,
        "row_flip_rate_interval_90": [chosen.row_flips.low, chosen.row_flips.high],
        "cost": str(cost),
        "cost_ratio": chosen.cost,
    }
    encoder = workshop.backends.encoder
    return Recipe(workshop.spec.name, chosen.candidate.forms, encoder.sha256, workshop.build, search)
