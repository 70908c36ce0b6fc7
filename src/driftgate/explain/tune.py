"""The search for a recipe: from the ranking of products, one at a time, each step built, asked and timed; with a look back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from driftgate.errors import BuildError, OptionError
from driftgate.explain.inspection import Announce
from driftgate.explain.ranking import RankedProduct
from driftgate.explain.trials import flips_of
from driftgate.explain.workshop import Candidate, Workshop
from driftgate.inputs.recipe import Form
from driftgate.judge.confidence.counted_limits import proportion_limits
from driftgate.judge.confidence.levels import Levels
from driftgate.judge.confidence.mean_limits import mean_limits

_LEAST_GAIN = 0.003
"""By what share the drift has to fall for a step to be kept; less is chance."""

_LEVELS = Levels(0.01, 0.01)
_FLOATS = (Form.FLOAT32, Form.FLOAT16)
_TABLE_WORK = 0.02
"""The work of a lookup, relative to a product of as many weights: for the order of the search only."""


class Cost(StrEnum):
    """What a recipe is to cost little of."""

    SPEED = "speed"
    SIZE = "size"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the search is for.

    Args:
        drift: the mean drift to get to; None for as little as the cost allows. `flips`: likewise, share of rows with a flip.
        cost: at most, relative to the backend as it is.
        tries: candidates to build at most.
    """

    drift: float | None
    flips: float | None
    cost: float
    tries: int

    def reached(self, candidate: Candidate) -> bool:
        """Whether the rows of the search show at 99% that both targets are kept; never where there is none.

        Shown, and not only reached: other rows are to show it too.
        """
        if self.drift is None and self.flips is None:
            return False
        drift = candidate.answered.largest_drift
        if self.drift is not None and not mean_limits(drift, _LEVELS, smallest=0.0).high <= self.drift:
            return False
        flipped = flips_of(candidate.answered).rows
        return self.flips is None or proportion_limits(flipped, len(drift), _LEVELS).high <= self.flips


@dataclass(slots=True, eq=False)
class Search:
    """One search.

    Args:
        rows: of the corpus, those that candidates are asked about.
        forms: what products may become; the first one that a product can have is tried first.
    """

    workshop: Workshop
    rows: list[int]
    forms: Sequence[Form]
    cost: Cost
    limits: Limits
    announce: Announce
    tried: list[Candidate] = field(default_factory=list, init=False)

    def run(self, products: Sequence[RankedProduct]) -> list[Candidate]:
        """Every candidate that was tried, the backend as it is first.

        Raises:
            OptionError: no product can have one of the forms.
        """
        best = self._try({})
        if best is None:
            raise OptionError(f"{self.workshop.spec.name}: it cannot be built as it is")
        for product in self._in_order(products):
            if self.limits.reached(best):
                break
            better = self._best_form(best, product)
            if better is not None:
                best = self._look_back(better, product.path)
        return self.tried

    def cost_of(self, candidate: Candidate) -> float:
        """Relative to the backend as it is."""
        return candidate.time_ratio.median if self.cost is Cost.SPEED else candidate.size_ratio

    def _in_order(self, products: Sequence[RankedProduct]) -> list[RankedProduct]:
        """By squared drift, which adds up, for each unit of what it is likely to cost."""

        def worth(product: RankedProduct) -> float:
            work = product.weights * (_TABLE_WORK if product.table and self.cost is Cost.SPEED else 1)
            return product.drift**2 / work

        # What adds next to nothing is not worth a try, however cheap.
        whole = sum(product.drift**2 for product in products)
        return sorted((found for found in products if found.drift**2 > _LEAST_GAIN * whole), key=worth, reverse=True)

    def _best_form(self, best: Candidate, product: RankedProduct) -> Candidate | None:
        """The form that takes away most drift for its cost; None where none is worth it."""

        def worth(found: Candidate) -> float:
            dearer = max(self.cost_of(found) - self.cost_of(best), _DEAREST_CHANCE)
            return (best.drift**2 - found.drift**2) / dearer

        forms = [form for form in self.forms if not product.table or form in _FLOATS]
        tried = [self._try({**best.forms, product.path: form}) for form in forms]
        better = [
            found
            for found in tried
            if found and found.drift < best.drift * (1 - _LEAST_GAIN) and self.cost_of(found) <= self.limits.cost
        ]
        return max(better, key=worth, default=None)

    def _look_back(self, best: Candidate, newest: str) -> Candidate:
        """Without the step that was worth least so far, if its drift stays: another may do its work by now."""
        earlier = [path for path in best.forms if path != newest]
        if len(earlier) < _LOOK_BACK_FROM:
            return best
        path = earlier[len(self.tried) % len(earlier)]
        without = self._try({other: form for other, form in best.forms.items() if other != path})
        return without if without is not None and without.drift <= best.drift * (1 + _LEAST_GAIN) else best

    def _try(self, forms: dict[str, Form]) -> Candidate | None:
        """None where a product cannot have its form, or enough was tried."""
        if len(self.tried) >= self.limits.tries:
            return None
        last = next(reversed(forms.items()), None)
        self.announce(f"candidate {len(self.tried) + 1}" + (f": {last[0]} as {last[1]}" if last else ""))
        try:
            found = self.workshop.make(forms, self.rows)
        except BuildError:
            return None  # such as gains moved to a product that reads no LayerNorm
        self.tried.append(found)
        return found


_LOOK_BACK_FROM = 3
_DEAREST_CHANCE = 0.005
"""Differences in cost below this are chance."""


def find_front(candidates: Sequence[Candidate], cost_of: Callable[[Candidate], float], most: int) -> list[Candidate]:
    """Candidates that no other beats in both drift and cost, from the least to the most costly; thinned out to `most`."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda found: (cost_of(found), found.drift)):
        if not front or candidate.drift < front[-1].drift:
            front.append(candidate)
    if len(front) <= most:
        return front
    places = sorted({round(step * (len(front) - 1) / (most - 1)) for step in range(most)})
    return [front[place] for place in places]
