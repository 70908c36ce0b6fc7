"""Where the time of a run went, in words."""

import textwrap

from driftgate.edges.escape import for_terminal
from driftgate.measure.phases import RunTime

_LARGEST = 4
"""Phases that are named unless all are asked for."""
_MINUTE = 60
_SHORT = 10
"""Seconds below which tenths are told."""


def describe_time(taken: RunTime, width: int, *, brief: bool) -> list[str]:
    """Lines at most `width` columns wide, escaped.

    Args:
        brief: name the largest phases only.
    """
    compared = ""
    if taken.ratio is not None:
        inference = say_seconds(taken.inference_seconds)
        compared = f", {taken.ratio:.1f} times the {inference} of inference that its verdicts need"
    phases = list(taken.phases.items())
    rest = 0
    if brief:
        phases = sorted(phases, key=lambda phase: -phase[1])
        phases, rest = phases[:_LARGEST], len(phases) - _LARGEST
    named = [f"{name} {say_seconds(seconds)}" for name, seconds in phases]
    more = [f"{rest} more with -v"] if rest > 0 else []
    said = for_terminal(f"time: {say_seconds(taken.seconds)}{compared}: {', '.join([*named, *more])}")
    return textwrap.wrap(said, width, subsequent_indent="  ", break_on_hyphens=False)


def say_seconds(seconds: float) -> str:
    """As people say it: "4.2 s", "48 s", "3 min 05 s"."""
    if seconds < _SHORT:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
