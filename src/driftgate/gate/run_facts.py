"""What a run takes place in and on, as a baseline keeps it, and what of it has changed since."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import driftgate.run
from driftgate.builder.artifact import digest_files
from driftgate.edges.packages import installed_versions
from driftgate.inputs.encoder import Encoder
from driftgate.results.environment import describe_environment
from driftgate.run.device import RunSettings

_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "numpy", "driftgate")


def timed_software() -> dict[str, str]:
    """Versions of what is installed here and takes part in a call, and the digest of our own code around it."""
    own = digest_files(Path(driftgate.run.__file__).parent.glob("*.py"))[:12]
    return {"python": platform.python_version(), **installed_versions(_PACKAGES), "driftgate.run": own}


Facts = Mapping[str, Any]
"""JSON-ready: when, of which encoder, with which software, settings and environment."""


def describe_run(encoder: Encoder, settings: RunSettings) -> Facts:
    """The facts of this run."""
    about = {
        "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "encoder": {
            "name": encoder.name,
            "labels": encoder.labels,
            "max_tokens": encoder.max_tokens,
            "tokenizer_sha256": digest_files(encoder.tokenizer_files),
        },
        "software": timed_software(),
        "settings": {"threads": settings.threads, "device": str(settings.device)},
        "environment": asdict(describe_environment()),
    }
    as_json: Facts = json.loads(json.dumps(about))
    return as_json


def list_changes(baseline: Facts, current: Facts, *parts: str, ignored: str = "") -> list[str]:
    """What in these parts of the facts is not as it was, in words, but for the fact `ignored`."""
    then, now = (
        {name: value for part in parts for name, value in side.get(part, {}).items()} for side in (baseline, current)
    )
    return [
        f"{name}: baseline {then.get(name)}, now {now.get(name)}"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name) and name != ignored
    ]
