"""Errors that are no rounding of products: what is left with every product exact, and the module in which it begins."""

from collections.abc import Mapping

from driftgate.explain.alignment import Deviation
from driftgate.explain.reference_calls import Call

_FLOAT32, _FLOAT16 = 3e-5, 5e-3
"""Relative errors that order of addition and rounding explain in a deep encoder."""

_JUMP = 3.0
"""By how much an error has to grow from one tensor to the next to begin there; rounding grows by less."""


def find_faults(calls: tuple[Call, ...], errors: Mapping[int, Deviation], *, half: bool) -> dict[str, float]:
    """Modules in which an error appears while every product is exact, with its relative size.

    Args:
        errors: of what goes into each of the reference's products, by site, in a graph whose products are exact.
        half: whether the rest of the graph is computed in float16.
    """
    floor = _FLOAT16 if half else _FLOAT32
    before, found = 0.0, dict[str, float]()
    for site in sorted(errors):
        if not errors[site].squared_reference:
            continue
        error = errors[site].relative_error
        if not error <= max(floor, _JUMP * before):
            found.setdefault(_maker(calls, site), error)
        before = max(before, error)
    return found


def _maker(calls: tuple[Call, ...], site: int) -> str:
    """The module that computes what goes into the products of a site: the one of the call before the first that reads it."""
    reader = next(place for place, call in enumerate(calls) if call.site == site)
    return calls[max(reader - 1, 0)].module
