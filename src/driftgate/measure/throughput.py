"""Time configurations side by side in alternating blocks, each in workers of its own backend."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from driftgate.measure.timings import Block, Configuration
from driftgate.measure.workers import Share, Team

OpenTeam = Callable[[str, int], AbstractContextManager[Team]]
"""Starts the workers of a backend, with so many threads each."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A configuration, the file of its tokens, and the batches of each worker."""

    configuration: Configuration
    tokens: Path
    shares: tuple[Share, ...]

    @property
    def team(self) -> tuple[str, int]:
        return (self.configuration.backend, self.configuration.threads)


def time_tasks(
    tasks: Sequence[Task], open_team: OpenTeam, *, blocks: int, keep: bool, seed: int = 0
) -> Iterator[tuple[Configuration, Block]]:
    """Run every task once a block, only one of them at any time.

    Backends take turns at each cell in random order, so that a slow minute hits all of them.

    Args:
        keep: teams stay loaded until the end; all are opened before anything is timed. Otherwise one is loaded at a time,
            anew in every block, and answers all its cells before the next one: less memory, more time, and a block sees
            more of what differs from load to load.

    Raises:
        WorkerError: a worker died, failed or hung.
    """
    generator = np.random.default_rng(seed)
    with ExitStack() as stack:
        teams: dict[tuple[str, int], Team] = {}
        if keep:
            for key in dict.fromkeys(task.team for task in tasks):
                teams[key] = stack.enter_context(open_team(*key))
        for number in range(blocks):
            for task in order_tasks(tasks, generator, by_team=not keep):
                if task.team not in teams:
                    stack.close()
                    teams = {task.team: stack.enter_context(open_team(*task.team))}
                yield task.configuration, teams[task.team].time_block(number, task.tokens, task.shares)


def order_tasks(tasks: Sequence[Task], generator: np.random.Generator, *, by_team: bool) -> list[Task]:
    """A block's order: cells at random, and the backends of a cell one after another, at random too.

    Args:
        by_team: teams at random instead, and all cells of one after another.
    """
    groups: dict[object, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.team if by_team else task.configuration.cell, []).append(task)
    collected = list(groups.values())
    return [
        group[index]
        for group in (collected[index] for index in generator.permutation(len(collected)).tolist())
        for index in generator.permutation(len(group)).tolist()
    ]
