"""What the rows of one output have in common: input, model and options."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from driftgate.backends import REGISTRY, Runtime
from driftgate.builder.published import is_checkpoint
from driftgate.errors import OptionError
from driftgate.predict.journal import differences
from driftgate.predict.prediction_job import PredictionJob


def identify(job: PredictionJob, sha256: str, opened: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed run must have in common with the interrupted one."""
    return {
        "input": opened,
        **({"part": asdict(job.part)} if job.part else {}),
        **({"machine": job.machine} if job.machine else {}),
        **identify_model(job, sha256),
    }


def identify_model(job: PredictionJob, sha256: str) -> dict[str, Any]:
    """Model and options, which the rows of one output must share.

    Args:
        sha256: of the files that answer.
    """
    return {
        "model": {
            "backend": job.backend.partition("=")[0],  # the digest says which file that is, wherever it lies
            "sha256": sha256,
            "encoder": job.encoder.sha256,
            "device": job.settings.device.kind if job.settings else "cpu",
            **({"threads": job.run_settings.threads} if bits_depend_on_threads(job.backend) else {}),
        },
        "options": {
            "format": job.input_format,
            "output format": job.output_format,
            "text column": job.text_column,
            "id column": job.id_column,
            "pair column": job.pair_column,
            "max tokens": job.encoder.max_tokens,
            "encoding": job.encoding,
            "rejects": job.rejects,
            "texts in rejects": job.rejects_with_texts,
            "token budget": job.token_budget,
            "top": job.top,
            "logits": job.logits,
            "thresholds": job.thresholds or job.encoder.thresholds,
            "window rows": job.rows_at_once,
            "safe for spreadsheets": job.csv_safe,
        },
    }


def bits_depend_on_threads(backend: str) -> bool:
    """Whether sums are split by threads, so that another number of them rounds otherwise: torch's are, ONNX Runtime's are not."""
    name, _, path = backend.partition("=")
    if path:
        return is_checkpoint(Path(path))
    spec = REGISTRY.get(name)
    return spec is not None and spec.runtime is not Runtime.ONNXRUNTIME


def require_planned(required: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Refuse another model, or other options, than a plan was made for.

    Raises:
        OptionError: with every difference.
    """
    changed = list(differences(required, json.loads(json.dumps({name: identity[name] for name in required}))))
    if changed:
        raise OptionError(f"another model, or other options, than planned: {'; '.join(changed)}")
