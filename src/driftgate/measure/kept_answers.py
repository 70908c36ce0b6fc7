"""What the reference answered, kept for the next run: at the size that people ship, asking it again takes minutes.

An entry lies in the cache of artifacts, with the same guarantees: it is named by all that it was made from, written whole or not
at all, and compared with its digests before it is used. What is quickly asked again is not kept.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from driftgate.arrays import FloatArray, Logits
from driftgate.backends import Precision
from driftgate.builder.artifact import Manifest, verify_manifest
from driftgate.builder.build import library_versions
from driftgate.builder.cache import cached
from driftgate.builder.steps import digest_code
from driftgate.edges.cache_folder import cache_folder
from driftgate.errors import ArtifactError
from driftgate.inputs.batches import BatchPlan
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.run.device import RunSettings

Answers = TypeVar("Answers", Logits, FloatArray)

WORTH_SECONDS = 2.0
"""Answers that take less are asked again."""
_FILE = "logits.npy"
_MADE_BY = (
    "driftgate.run.torch_backend",
    "driftgate.run.backend",
    "driftgate.inputs.weights",
    "driftgate.inputs.batches",
)


def keep_answers(
    encoder: Encoder,
    tokens: TokenizedTexts,
    plan: BatchPlan,
    settings: RunSettings,
    ask: Callable[[], Answers],
    *,
    exact: bool = False,
    anew: bool = False,
) -> Answers:
    """The reference's logits, (rows, labels): from the cache, or from `ask` and then in the cache.

    Args:
        tokens: of the rows. `plan`: how they are batched, `settings`: on how many threads they are answered; the last bits of a
            sum depend on both.
        ask: answers them. `exact`: in float64, and else in float32.
        anew: ask, whatever is in the cache.

    Raises:
        CacheError, BuildError: the cache cannot be written.
    """
    dtype = "float64" if exact else "float32"
    key = _key(encoder, tokens, plan, settings, dtype)
    kept: Answers | None = None if anew else _read(cache_folder() / key, dtype, (len(tokens), len(encoder.labels)))
    if kept is not None:
        return kept
    started = time.perf_counter()
    logits = ask()
    if time.perf_counter() - started >= WORTH_SECONDS:

        def fill(folder: Path) -> Manifest:
            np.save(folder / _FILE, logits, allow_pickle=False)
            name = ("reference@1",)
            return Manifest("reference", Precision.FP32, name, encoder.name, encoder.sha256, library_versions(), {}, {})

        cached(key, fill, rebuild=True)  # what lies there is damaged, or not wanted
    return logits


def _read(entry: Path, dtype: str, shape: tuple[int, int]) -> Any:
    """Verified; None where there is nothing, or something else."""
    if not entry.is_dir():
        return None
    try:
        verify_manifest(entry)
        values = np.load(entry / _FILE, allow_pickle=False)
    except (ArtifactError, OSError, ValueError, EOFError):  # damaged: asked again and kept anew
        return None
    whole = values.dtype == dtype and values.shape == shape and bool(np.isfinite(values).all())
    return values if whole else None


def _key(encoder: Encoder, tokens: TokenizedTexts, plan: BatchPlan, settings: RunSettings, dtype: str) -> str:
    from torch.backends.cpu import get_cpu_capability

    rows = hashlib.sha256()
    for part in (tokens.input_ids, tokens.token_type_ids or ()):
        rows.update(np.array([len(ids) for ids in part], dtype=np.int64).tobytes())
        for ids in part:
            rows.update(ids.tobytes())
    made_from = [
        encoder.sha256,
        rows.hexdigest(),
        [tokens.pad_token_id, tokens.pad_token_type_id, tokens.padding_side],
        repr(plan),
        dtype,
        settings.threads,
        library_versions(),
        get_cpu_capability(),
        [digest_code(module) for module in _MADE_BY],
    ]
    return f"reference-{hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:20]}"
