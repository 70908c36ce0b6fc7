"""Every family of tiny encoders through the exporter and the backends: seconds, nodes, drift, and bits in other company.

    python studies/export/families.py [FAMILY ...]

Drift is the largest difference of logits from torch's, in units of their spread, over batches of 1 to 5 rows with padding on
either side. Rows that changed: of `onnx-int8`, alone and in batches. Prints a table and writes `families.json` beside this file.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import onnx

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.inputs.batches import TokenBatch, pad_rows
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.pipeline import open_backend
from driftgate.run.backend import Backend
from driftgate.run.device import RunSettings
from driftgate.run.torch_backend import open_reference

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests/support"))
from tiny_encoders import FAMILIES, SENTENCES, make_encoder  # noqa: E402 - found by the line above

BACKENDS = ("onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-dynamic", "onnx-int8-static")
SETTINGS = RunSettings(1)
BATCH_SIZES = (1, 2, 5)


def batches_of(tokens: TokenizedTexts) -> Iterator[TokenBatch]:
    """Batches of several sizes, padded on the right, on the left, and not more than needed."""
    rows = range(len(tokens))
    for size in BATCH_SIZES:
        for start in range(0, len(tokens), size):
            batch = pad_rows(tokens, rows[start : start + size])
            yield batch
            yield on_the_left(batch)


def on_the_left(batch: TokenBatch) -> TokenBatch:
    order = np.argsort(batch.attention_mask, axis=1, kind="stable")
    turned = {
        name: np.take_along_axis(array, order, axis=1)
        for name in ("input_ids", "attention_mask", "token_type_ids")
        if (array := getattr(batch, name)) is not None
    }
    return replace(batch, **turned)


def answer(backend: Backend, tokens: TokenizedTexts) -> Any:
    return np.concatenate([np.asarray(backend.prepare(batch)()) for batch in batches_of(tokens)])


def count_changed(backend: Backend, tokens: TokenizedTexts) -> int:
    alone = np.concatenate([backend.prepare(pad_rows(tokens, [row]))() for row in range(len(tokens))])
    together = np.asarray(backend.prepare(pad_rows(tokens, range(len(tokens))))())
    return int((alone != together).any(axis=1).sum())


def examine(encoder: Encoder) -> dict[str, Any]:
    start = time.perf_counter()
    export = build_artifact(encoder, replace(REGISTRY["onnx-fp32"], name="export", steps=("export",)))
    seconds = time.perf_counter() - start
    tokens = tokenize(encoder, SENTENCES)
    expected = answer(open_reference(encoder, SETTINGS), tokens)
    drift = {}
    for name in BACKENDS:
        difference = np.abs(answer(open_backend(encoder, name, SETTINGS), tokens) - expected).max()
        drift[name] = float(difference / expected.std())
    return {
        "export_seconds": round(seconds, 1),
        "nodes": {
            "export": len(onnx.load(export.model).graph.node),
            "onnx-fp32": len(onnx.load(build_artifact(encoder, REGISTRY["onnx-fp32"]).model).graph.node),
            "onnx-int8": len(onnx.load(build_artifact(encoder, REGISTRY["onnx-int8"]).model).graph.node),
        },
        "drift": drift,
        "rows_changed": f"{count_changed(open_backend(encoder, 'onnx-int8', SETTINGS), tokens)} of {len(tokens)}",
    }


def main() -> None:
    found = {}
    print(f"| family | export, s | nodes: export, fp32, int8 | {' | '.join(BACKENDS)} | rows changed |")
    print("|---" * (4 + len(BACKENDS)) + "|")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["DRIFTGATE_CACHE"] = str(Path(scratch) / "cache")
        for family in sys.argv[1:] or FAMILIES:
            entry = examine(load_encoder(make_encoder(Path(scratch) / family, family)))
            found[family] = entry
            drift = " | ".join(f"{entry['drift'][name]:.1e}" for name in BACKENDS)
            nodes = ", ".join(map(str, entry["nodes"].values()))
            print(f"| {family} | {entry['export_seconds']} | {nodes} | {drift} | {entry['rows_changed']} |", flush=True)
    if not sys.argv[1:]:
        (HERE / "families.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
