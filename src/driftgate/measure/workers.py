"""The parent's end of a team of workers: they start together, each answers its share, and none outlives a failure.

Configurations are timed side by side in alternating blocks, each in workers of its own backend.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.errors import WorkerError
from driftgate.measure.remote import Worker, start_worker
from driftgate.measure.timings import Block, Configuration

Share = Sequence[Sequence[int]]
"""The batches of one worker: which rows go together."""

READY_SECONDS = 600.0
"""A team that is not loaded, or has not answered a first batch, by then hangs; compiling a large model takes minutes."""
LEAST_RUN_SECONDS = 60.0
PATIENCE = 20.0
"""A share that takes so many times as long as its first batch promised hangs."""
_LEAD_NS = 20_000_000
_MODULE = "driftgate.measure.shares"


def deal_batches(padded_tokens: Sequence[int], workers: int) -> list[list[int]]:
    """Which batches each worker answers: the next batch goes to whoever has least to do, as from a common queue.

    Args:
        padded_tokens: of each batch, in plan order; the batches are the same however many workers there are.

    Raises:
        ValueError: fewer batches than workers.
    """
    if len(padded_tokens) < workers:
        raise ValueError(f"expected at least one batch for each of {workers} workers, found {len(padded_tokens)}")
    shares: list[list[int]] = [[] for _ in range(workers)]
    loads = [0] * workers
    for index, tokens in enumerate(padded_tokens):
        worker = loads.index(min(loads))
        shares[worker].append(index)
        loads[worker] += tokens
    return shares


class Team:
    """Workers of one backend, loaded and waiting. `facts` is what the first says it runs: provider, arithmetic, threads."""

    def __init__(self, workers: Sequence[Worker], facts: Mapping[str, Any]) -> None:
        self._workers = workers
        self.facts = facts

    def time_block(self, number: int, tokens: Path, shares: Sequence[Share]) -> Block:
        """Answer the shares once, the first by the first worker and so on; workers without a share sleep on.

        Every worker pads its batches and answers the first one before the common start.

        Args:
            number: of the block. `tokens`: a file that `write_tokens` wrote.

        Raises:
            WorkerError: one died, failed, hung, or answered another number of rows; all are ended then.
        """
        workers = self._workers[: len(shares)]
        prepare = [{"do": "prepare", "tokens": str(tokens), "batches": share} for share in shares]
        expected = max(ask_all(workers, prepare, READY_SECONDS))
        start_ns = time.perf_counter_ns() + _LEAD_NS
        run = [{"do": "run", "start_ns": start_ns}] * len(workers)
        spans = ask_all(workers, run, LEAST_RUN_SECONDS + PATIENCE * expected)
        asked, answered = sum(len(rows) for share in shares for rows in share), sum(span["rows"] for span in spans)
        if answered != asked:
            raise WorkerError(f"{workers[0].name}: expected answers for {asked} rows, found {answered}")
        return Block(
            number, start_ns, tuple(span["begun_ns"] for span in spans), tuple(span["ended_ns"] for span in spans)
        )


@contextmanager
def start_team(backend: str, size: int, model: Mapping[str, Any], *, module: str = _MODULE) -> Iterator[Team]:
    """Start `size` workers that load the model at the same time; they are ended at exit.

    Args:
        model: as `describe_request` gives it.

    Raises:
        WorkerError: one of them could not load it.
    """
    with ExitStack() as stack:
        names = [f"{backend}, worker {number} of {size}" for number in range(1, size + 1)]
        workers = [stack.enter_context(start_worker(sys.executable, name, module=module)) for name in names]
        facts = ask_all(workers, [{"do": "open", "model": model}] * size, READY_SECONDS)
        yield Team(workers, facts[0])


def ask_all(workers: Sequence[Worker], requests: Sequence[Mapping[str, Any]], timeout_seconds: float) -> list[Any]:
    """Ask every worker its request at the same time; what each found.

    Raises:
        WorkerError: of the first that died, failed or hung; the others are ended at once, whatever they are doing.
    """
    with ThreadPoolExecutor(len(workers)) as pool:
        asked = [
            pool.submit(worker.ask, request, timeout_seconds) for worker, request in zip(workers, requests, strict=True)
        ]
        try:
            for answered in as_completed(asked):
                answered.result()
            return [answer.result() for answer in asked]
        except BaseException:  # Ctrl-C too: the pool waits for its threads, and they for the workers
            for worker in workers:
                worker.kill()
            raise


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
        """Backend and threads: tasks that share them share workers."""
        return (self.configuration.backend, self.configuration.threads)


def time_tasks(
    tasks: Sequence[Task], open_team: OpenTeam, *, blocks: int, keep: bool, seed: int = 0
) -> Iterator[tuple[Configuration, Block]]:
    """Run every task once a block, only one of them at any time.

    Backends take turns at each cell in random order, so that a slow minute hits all of them.

    Args:
        keep: teams stay loaded until the end; all are opened before anything is timed. Otherwise one is loaded at a time,
            again in every block, and answers all its cells before the next one: less memory, more time, and a block sees
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
