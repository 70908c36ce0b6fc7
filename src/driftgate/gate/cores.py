"""On which cores the threads of a gated run stay.

Left to the scheduler, a session's threads live where they were put when it was loaded, and what else runs there slows them for as
long as the session lives: beside one busy process on two cores, equal artifacts differed by 17% to 30% from load to load. Threads
that stay on the same cores on both sides share what goes on there.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from driftgate.run.device import RunSettings

_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def choose_cores(threads: int) -> tuple[int, ...]:
    """One for each thread, of those that this process may use; () where there are too few, or the system does not tell.

    Two threads of a core share its arithmetic: cores of their own come first. Of several, the last: the first ones answer more
    interrupts.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    usable = sorted(os.sched_getaffinity(0))
    last_of_each = set({_siblings(core): core for core in usable}.values())
    chosen = sorted(usable, key=lambda core: (core not in last_of_each, -core))[:threads]
    return tuple(sorted(chosen)) if len(chosen) == threads else ()


def _siblings(core: int) -> str:
    """What names the physical core; its own number where that is not told."""
    try:
        return Path(_SIBLINGS.format(core)).read_text(encoding="ascii").strip()
    except OSError:
        return str(core)


def hold_cores(settings: RunSettings) -> RunSettings:
    """The same with a core for each thread; as they were where a device does the work."""
    return replace(settings, cores=choose_cores(settings.threads)) if settings.device.kind == "cpu" else settings


@contextmanager
def stay_on(cores: Sequence[int]) -> Iterator[None]:
    """Keep this thread, which makes the calls, on the first of them; () leaves it alone."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores[0]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
