"""What a bench was run on and with, as its results say it."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from driftgate.bench.sweep import Bench
from driftgate.bench.throughput_files import name_part
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.hub.hub_encoder import snapshot_commit
from driftgate.pipeline import Built
from driftgate.results.environment import describe_environment
from driftgate.run.device import Device, available_threads


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
