"""Measure a bench: start the workers, time the blocks, and keep what is known so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from driftgate.bench.sweep import Announce, Bench
from driftgate.measure.process import describe_request
from driftgate.measure.shares import write_tokens
from driftgate.measure.timings import Block, Configuration, Throughput, estimate_seconds
from driftgate.measure.workers import Task, Team, start_team, time_tasks
from driftgate.pipeline import Built
from driftgate.run.device import RunSettings


@dataclass(slots=True)
class Measured:
    """What is known so far: it is filled block by block, and what an interruption leaves is worth keeping.

    Args:
        facts: of each backend's workers: `provider`, `arithmetic`, and `worker_bytes`, resident memory of one when loaded.
    """

    blocks: dict[Configuration, list[Block]] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def throughputs(self, bench: Bench) -> tuple[Throughput, ...]:
        """Of the configurations that were run at all, in the sweep's order."""
        return tuple(
            Throughput(configuration, work, tuple(self.blocks[configuration]))
            for configuration, (work, _) in bench.plan.items()
            if configuration in self.blocks
        )


def measure_bench(
    bench: Bench,
    measured: Measured,
    *,
    announce: Announce = lambda message: None,  # noqa: ARG005
    note: Announce = lambda message: None,  # noqa: ARG005
) -> None:
    """Time every configuration of the bench in alternating blocks and add what is found to `measured`, block by block.

    Args:
        announce: is told what is going on now. `note`: how long each block took, and the rest will take.

    Raises:
        WorkerError: a worker could not load the model, died, failed or hung. Blocks before that are in `measured`.
    """
    sweep, built = bench.sweep, {each.spec.name: each for each in bench.built}

    @contextmanager
    def open_team(backend: str, threads: int) -> Iterator[Team]:
        size = max(sweep.workers)
        announce(f"starting {count(size, 'worker')} of {backend}")
        with start_team(backend, size, _ask_for(built[backend], RunSettings(threads, sweep.device))) as team:
            measured.facts[backend] = {
                "provider": team.facts["provider"],
                "arithmetic": team.facts["arithmetic"],
                "worker_bytes": team.facts["resident_bytes"],
            }
            yield team

    with TemporaryDirectory() as folder:
        files = {}
        for number, sample in enumerate(bench.samples):
            files[sample.corpus.name] = path = Path(folder) / f"{number}.npz"
            write_tokens(path, sample.tokens)
        tasks = [Task(key, files[key.corpus], shares) for key, (_, shares) in bench.plan.items()]
        note(f"{count(len(tasks), 'configuration')}, {count(sweep.blocks, 'block')} of each")
        timed = time_tasks(tasks, open_team, blocks=sweep.blocks, keep=sweep.keep_workers, seed=sweep.seed)
        for done, (configuration, block) in enumerate(timed, 1):
            measured.blocks.setdefault(configuration, []).append(block)
            left = _left(bench, measured)
            announce(f"{done} of {bench.runs} runs, about {left} left; last: {_name(configuration)}")
            if done % len(bench.plan) == 0:
                note(f"block {block.number + 1} of {sweep.blocks} is done, about {left} left")


def _ask_for(built: Built, settings: RunSettings) -> dict[str, Any]:
    request = describe_request(built.encoder, built.spec, built.artifact, (), settings)
    # Published files come without the weights that they were made from.
    return {**request, "encoder": {**request["encoder"], "needs_weights": built.artifact is None}}


def _left(bench: Bench, measured: Measured) -> str:
    """The time that the runs to come will take, as minutes and seconds."""
    known = measured.throughputs(bench)
    total = 0.0
    for number in range(bench.sweep.blocks):
        due = {key: work for key, (work, _) in bench.plan.items() if len(measured.blocks.get(key, ())) <= number}
        total += estimate_seconds(known, due)
    return f"{int(total) // 60}:{int(total) % 60:02d}"


def _name(configuration: Configuration) -> str:
    workers = f"{count(configuration.workers, 'worker')} x {count(configuration.threads, 'thread')}"
    return f"{configuration.backend} on {configuration.corpus}, {configuration.plan}, {workers}"


def count(number: int, what: str) -> str:
    """Such as "1 worker" or "2 workers"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
