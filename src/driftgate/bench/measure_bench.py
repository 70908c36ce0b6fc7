"""Measure a bench: start the workers, time the blocks, keep what is known so far, and say what it was run on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from driftgate.bench.sweep import Bench
from driftgate.bench.throughput_files import name_part
from driftgate.builder.build import Announce
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.hub.hub_encoder import snapshot_commit
from driftgate.measure.process import describe_request
from driftgate.measure.shares import write_tokens
from driftgate.measure.timings import Block, Configuration, Throughput, estimate_seconds
from driftgate.measure.workers import Task, Team, start_team, time_tasks
from driftgate.pipeline import Built
from driftgate.results.environment import describe_environment
from driftgate.run.device import Device, RunSettings, available_threads


def name_device(device: Device) -> str:
    """What the processor or the graphics card calls itself."""
    if device.kind == "cpu":
        return describe_environment().cpu
    import torch

    return str(torch.cuda.get_device_name(device.index))


def describe_bench(bench: Bench, device_name: str, started: datetime) -> dict[str, Any]:
    """What is measured, on what and where, JSON-ready: the header of a `ThroughputRun`.

    Args:
        started: when, with its time zone.
    """
    encoder, sweep = bench.built[0].encoder, bench.sweep
    return {
        "started": started.isoformat(timespec="seconds"),
        "model": {"name": encoder.name, "sha256": encoder.sha256, "revision": snapshot_commit(encoder.path)},
        "device": {"name": device_name, "kind": str(sweep.device)},
        "cores": available_threads(),
        "environment": asdict(describe_environment()),
        "settings": {
            "plans": [asdict(plan) for plan in sweep.plans],
            "blocks": sweep.blocks,
            "seed": sweep.seed,
            "keep_workers": sweep.keep_workers,
        },
        "corpora": {
            sample.corpus.name: {
                "rows": len(sample.tokens),
                "of_rows": len(sample.corpus),
                "sha256": sample.corpus.sha256,
                "pinned": sample.corpus.pinned,
                "truncated_rows": sum(sample.tokens.truncated),
                "name_in_files": _name_in_files(sample.corpus),
            }
            for sample in bench.samples
        },
        "backends": {each.spec.name: _describe_built(each) for each in bench.built},
    }


def _name_in_files(corpus: Corpus) -> str:
    """The guide calls its comments of more than 200 characters `filtered`; our `long` follows their lengths."""
    return "filtered" if corpus.name == "long" and not corpus.private else name_part(corpus.name)


def _describe_built(built: Built) -> dict[str, Any]:
    artifact = built.artifact
    files = {} if artifact is None else {"artifact_sha256": artifact.sha256, "size_bytes": artifact.size_bytes}
    return {"precision": built.spec.precision, **files}


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
            announce(f"{done} of {len(tasks) * sweep.blocks} runs, about {left} left; last: {_name(configuration)}")
            if done % len(tasks) == 0:
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
